"""Device models that change while devices stream: PUT, and the modality channels."""
import time

import httpx
import pytest

from client import PPG, closed, frame, ingest, is_open, make_model, receive, rest

STACK = {"edges": 2, "publishers": 1}
ACC = {"modality": "acc_3axis", "sample_rate_hz": 50}


@pytest.fixture
def http(stack, key):
    with rest(stack, key) as client:
        yield client


@pytest.fixture
def watch(stack, key):
    return make_model(stack, key, (PPG, ACC))


def path(model, channel=None):
    base = f"/v1/device-models/{model['id']}"
    return base if channel is None else f"{base}/modalities" + (
        f"/{channel['id']}" if channel else "")


def test_put_replaces_what_is_given_and_adds_channels(http, watch):
    answer = http.put(path(watch), json={
        "id": "ignored", "description": "new", "created_at": "ignored too",
        "modality_channels": [{"modality": "ppg_red", "sample_rate_hz": 25}]})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["id"] == watch["id"] and changed["name"] == watch["name"]
    assert changed["description"] == "new" and changed["created_at"] == watch["created_at"]
    assert changed["modality_channels"][:2] == watch["modality_channels"]
    assert changed["modality_channels"][2]["modality"] == "ppg_red"
    assert http.get(path(watch)).json() == changed
    # The whole object sent back changes nothing but the time.
    again = http.put(path(watch), json=changed).json()
    assert again | {"updated_at": 0} == changed | {"updated_at": 0}


def test_put_says_what_is_wrong(http, watch):
    other = http.post("/v1/device-models", json={"name": f"taken {time.time_ns()}"}).json()
    for body, status, field in (
            ({"name": ""}, 400, "name"), ({"name": 1}, 400, "name"),
            ({"description": "x" * 1025}, 400, "description"),
            ({"modality_channels": [{"modality": "x"}]}, 400,
             "modality_channels[0].sample_rate_hz"),
            ({"modality_channels": [{"id": other["id"], "modality": "x", "sample_rate_hz": 1}]},
             400, "modality_channels[0].id"),
            ({"spo2_calibration": [1, 2]}, 400, "spo2_calibration"),
            ({"name": other["name"]}, 409, "name")):
        answer = http.put(path(watch), json=body)
        assert answer.status_code == status, (body, answer.text)
        assert answer.json()["detail"].startswith(field), answer.text
    assert http.get(path(watch)).json() == watch


def test_channels_are_listed_added_changed_and_removed(http, watch):
    first, second = watch["modality_channels"]
    assert http.get(path(watch, "")).json() == [first, second]
    made = http.post(path(watch, ""), json={"modality": "ppg_ir", "sample_rate_hz": 100})
    assert made.status_code == 201
    assert made.json() | {"id": 0} == {"id": 0, "modality": "ppg_ir", "sample_rate_hz": 100,
                                       "bit_depth": 16, "num_channels": 1}
    answer = http.put(path(watch, made.json()), json={"bit_depth": 24})
    assert (answer.status_code, answer.json()) == (200, made.json() | {"bit_depth": 24})
    answer = http.delete(path(watch, first))
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.get(path(watch, "")).json() == [second, made.json() | {"bit_depth": 24}]
    for call in (lambda: http.delete(path(watch, first)),
                 lambda: http.put(path(watch, first), json={}),
                 lambda: http.put(path(watch, {"id": "garbage"}), json={})):
        assert call().status_code == 404
    answer = http.post(path(watch, ""), json={"modality": "ppg_ir"})
    assert answer.status_code == 400 and answer.json()["detail"] == "sample_rate_hz: required"
    answer = http.put(path(watch, second), json={"sample_rate_hz": 0})
    assert answer.status_code == 400 and answer.json()["detail"].startswith("sample_rate_hz: exp")
    answer = http.patch(path(watch, ""))
    assert answer.status_code == 405 and answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"


async def test_a_live_frame_of_a_removed_channel_gets_4004(stack, key, http, watch):
    t0 = int(time.time() * 1000)
    async with ingest(stack, key, watch, "a") as one, ingest(stack, key, watch, "b") as two:
        slots = (await receive(one))["slots"]
        await receive(two)
        assert [slot["slot_id"] for slot in slots] == [0, 1]
        assert http.delete(path(watch, watch["modality_channels"][1])).status_code == 204
        # What stays goes on.
        await one.send(frame(0, t0, [1] * 20))
        for n in range(200):  # the word of the router overtakes no frame: it comes soon
            try:
                await two.send(frame(1, t0 + n * 20, [1, 2, 3], count=1))
            except Exception:
                break
            if not is_open(two):
                break
            import asyncio
            await asyncio.sleep(0.02)
        code, reason = await closed(two)
        assert code == 4004 and "removed" in reason
        await one.send(frame(0, t0 + 200, [1] * 20))
        assert is_open(one)
    made = http.post(path(watch, ""), json=ACC).json()
    async with ingest(stack, key, watch, "a") as one:
        slots = (await receive(one))["slots"]
        assert [(s["slot_id"], s["modality"]) for s in slots] == [(0, "ppg_green"),
                                                                 (2, "acc_3axis")]
        assert slots[1]["modality_channel_id"] == made["id"]


def test_another_account_finds_nothing_to_change(stack, watch):
    with rest(stack, stack.key()) as other:
        unknown = {"id": "019a0000-0000-7000-8000-000000000000"}
        for model in (watch, unknown):
            for answer in (other.put(path(model), json={"name": "mine"}),
                           other.get(path(model, "")),
                           other.post(path(model, ""), json=PPG),
                           other.delete(path(model, watch["modality_channels"][0]))):
                assert isinstance(answer, httpx.Response)
                assert answer.status_code == 404
                assert answer.json()["detail"] == "no such device model"
