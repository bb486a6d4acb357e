"""Devices: what is there, and that what is deleted is gone, everywhere."""
import asyncio
import json
import os
import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from client import (closed, closed_session, frames, ingest, make_model, receive, rest, stream)
from stack import Stack, free_port, until

STACK = {"edges": 2, "publishers": 2}
T0_MS = 1_760_000_000_000
ODD = "ünit/7 %2F?#\"x\" 日本"


@pytest.fixture(scope="module")
def key(stack):
    return stack.key(scopes="ingest,subscribe,read,write,keys")


@pytest.fixture
def http(stack, key):
    with rest(stack, key) as client:
        yield client


def sessions_of(stack, key, model, device, n=1, seconds=12):
    made = [asyncio.run(stream(stack, key, model, seconds, device, t0_ms=T0_MS))
            for _ in range(n)]
    for session in made:
        closed_session(stack, key, session)
    return made


def url_of(device):
    return f"/v1/devices/{quote(device, safe='')}"


def test_a_device_has_its_last_session_and_when_it_was_seen(stack, key, http, model):
    assert http.get(url_of(ODD)).status_code == 404
    first, second = sessions_of(stack, key, model, ODD, 2)
    device = http.get(url_of(ODD)).json()
    session = http.get(f"/v1/sessions/{second}").json()
    assert device == {"device_id": ODD, "device_model_id": model["id"], "online": False,
                      "last_seen_at": session["ended_at"], "last_session_id": second,
                      "created_at": device["created_at"]}
    assert device["created_at"] <= session["started_at"]

    async def online():
        async with ingest(stack, key, model, ODD) as ws:
            opened = (await receive(ws))["session_id"]
            device = http.get(url_of(ODD)).json()
            assert device["online"] and device["last_session_id"] == opened
    asyncio.run(online())
    until("it is offline", lambda: not http.get(url_of(ODD)).json()["online"], 20)


def test_devices_are_listed_by_their_last_session(stack, key, http, model):
    for device in ("a", "b", "c", "a"):
        sessions_of(stack, key, model, device, seconds=1)
    listed = [device["device_id"] for device in http.get("/v1/devices").json()]
    assert [device for device in listed if device in "abc"] == ["a", "c", "b"]
    url, got = "/v1/devices?limit=2", []
    while url:
        page = http.get(url)
        assert len(page.json()) <= 2
        got += [device["device_id"] for device in page.json()]
        url = page.links.get("next", {}).get("url")
    assert got == listed
    assert http.get("/v1/devices?limit=0").status_code == 400
    assert http.get("/v1/devices?cursor=x").status_code == 400


def test_one_device_under_two_models_is_one(stack, key, http, model):
    other = make_model(stack, key)
    sessions_of(stack, key, model, "two")
    last, = sessions_of(stack, key, other, "two")
    device = http.get(url_of("two")).json()
    assert device["device_model_id"] == other["id"] and device["last_session_id"] == last
    assert sum(d["device_id"] == "two" for d in http.get("/v1/devices").json()) == 1
    removed = http.delete(url_of("two")).json()
    assert removed["sessions"] == 2
    assert http.delete(f"/v1/device-models/{other['id']}").status_code == 204


def test_a_key_of_one_device_sees_that_one(stack, key, http, model):
    sessions_of(stack, key, model, "mine", seconds=1)
    sessions_of(stack, key, model, "theirs", seconds=1)
    bound = http.post("/v1/keys", json={"label": "x", "device_id": "mine",
                                        "scopes": ["ingest", "subscribe", "read"]}).json()
    with rest(stack) as own:
        own.headers["Authorization"] = f"Bearer {bound['key']}"
        assert [d["device_id"] for d in own.get("/v1/devices").json()] == ["mine"]
        assert own.get(url_of("mine")).status_code == 200
        assert own.get(url_of("theirs")).status_code == 404
        assert own.delete(url_of("mine")).status_code == 403


def redacted(stack, name):
    """How many records of the journal are; that the chain holds."""
    checked = json.loads(stack.raeh("audit", "verify", "--data", stack.data, "--json").stdout)
    assert checked["whole"]
    return next(j["redacted"] for j in checked["journals"] if j["journal"] == name)


def test_what_is_deleted_is_gone_and_counted(stack, key, http, model):
    gone = sessions_of(stack, key, model, ODD + "gone", 3)
    stays, = sessions_of(stack, key, model, "stays")
    insights = sum(len(http.get(f"/v1/sessions/{s}/insights").json()) for s in gone)
    assert insights > 0
    before = redacted(stack, "router")
    with rest(stack, stack.key()) as other:
        assert other.delete(url_of(ODD + "gone")).status_code == 404
    answer = http.delete(url_of(ODD + "gone"))
    assert answer.status_code == 200, answer.text
    removed = answer.json()
    assert removed["sessions"] == 3 and removed["frames"] == 3 * 60
    assert removed["insights"] >= insights
    assert http.delete(url_of(ODD + "gone")).status_code == 404
    assert http.get(url_of(ODD + "gone")).status_code == 404
    assert http.get("/v1/sessions", params={"device_id": ODD + "gone"}).json() == []
    assert http.get("/v1/insights", params={"device_id": ODD + "gone"}).json() == []
    listed = {session["id"] for session in http.get("/v1/sessions?limit=200").json()}
    assert stays in listed and not listed & set(gone)
    for session in gone:
        for path in ("", "/insights", "/frames", "/gaps"):
            assert http.get(f"/v1/sessions/{session}{path}").status_code == 404
        assert http.get("/v1/insights", params={"session_id": session}).json() == []
    assert http.get(f"/v1/sessions/{stays}").json()["frames"] == 60
    # The router's journal names it no more where its sessions opened and it was deleted; it is whole.
    assert redacted(stack, "router") == before + 4
    # It may come again, as a new device.
    sessions_of(stack, key, model, ODD + "gone", seconds=1)
    assert http.get(url_of(ODD + "gone")).status_code == 200


async def test_that_a_session_was_resumed_is_redacted_too(stack, key, http, model):
    async with ingest(stack, key, model, "resumes") as ws:
        session = (await receive(ws))["session_id"]
    async with ingest(stack, key, model, "resumes", resume=session) as ws:
        assert (await receive(ws))["resumed"] is True
    before = await asyncio.to_thread(redacted, stack, "router")
    removed = await asyncio.to_thread(http.delete, url_of("resumes"))
    assert removed.status_code == 200, removed.text
    assert await asyncio.to_thread(redacted, stack, "router") == before + 3


async def test_an_open_socket_is_closed_and_what_it_sends_is_dropped(stack, key, http, model):
    async with ingest(stack, key, model, "open") as ws:
        session = (await receive(ws))["session_id"]
        for message in frames(3, t0_ms=T0_MS):
            await ws.send(message)
        removed = await asyncio.to_thread(lambda: http.delete(url_of("open")))
        assert removed.status_code == 200, removed.text
        assert removed.json()["sessions"] == 1
        assert await closed(ws) == (4004, "this device was deleted")
    assert http.get(f"/v1/sessions/{session}").status_code == 404
    assert http.get(url_of("open")).status_code == 404


def test_a_deletion_goes_on_after_the_router_died(stack, key, http, model):
    """With its publishers stopped it cannot end; a new router ends it."""
    gone = sessions_of(stack, key, model, "killed", 4, seconds=2)
    publishers = [stack.pid(f"publisher-{n}") for n in (0, 1)]
    for publisher in publishers:
        os.kill(publisher, signal.SIGSTOP)
    try:
        with rest(stack, key) as hasty:
            hasty.timeout = 1.5
            with pytest.raises(httpx.ReadTimeout):
                hasty.delete(url_of("killed"))
        router = stack.pid("router")
        stack.kill("router")
        stack.wait_restarted("router", router)
    finally:
        for publisher in publishers:
            os.kill(publisher, signal.SIGCONT)
    until("it is gone", lambda: http.get(url_of("killed")).status_code == 404, 40)
    until("its sessions are gone",
          lambda: all(http.get(f"/v1/sessions/{s}").status_code == 404 for s in gone), 20)


def files_with(stack, text):
    """Of the data, those that hold it somewhere. A table's first and last keys also stand in the
    MANIFEST, which begins anew when the process does."""
    found = []
    for path in Path(stack.data).rglob("*"):
        try:
            if path.is_file() and not path.name.startswith("MANIFEST") and \
                    text.encode() in path.read_bytes():
                found.append(str(path))
        except FileNotFoundError:
            pass  # merged meanwhile
    return found


def delete_until_gone(stack, key, device):
    def is_gone():
        try:
            return http.delete(url_of(device)).status_code == 404
        except httpx.HTTPError:
            return False
    with rest(stack, key) as http:
        until("it is deleted", is_gone, 60, 0.1)


def test_the_name_of_a_deleted_device_leaves_the_disk_whoever_dies(stack, key, http, model):
    name = secrets.token_hex(12)  # has no part twice: stands in a compressed table as it is
    gone = sessions_of(stack, key, model, name, 3)
    assert http.get(url_of(name)).status_code == 200
    assert files_with(stack, name)
    with ThreadPoolExecutor() as pool:
        deletion = pool.submit(delete_until_gone, stack, key, name)
        for process in ("router", "publisher-0", "publisher-1", "router"):
            stack.wait_restarted(process, stack.kill(process))
        deletion.result()
    until("no file holds its name", lambda: not files_with(stack, name), 60, 0.2)
    for session in gone:
        until("the session is gone",
              lambda: http.get(f"/v1/sessions/{session}").status_code == 404, 20)
    assert redacted(stack, "router") >= 4


def test_old_frames_and_insights_go_by_themselves():
    stack = Stack("--retain-frames-s", "3", "--retain-insights-s", "10", "--admin",
                  f"127.0.0.1:{(admin := free_port())}").start()
    try:
        key = stack.key()
        model = make_model(stack, key)
        session, = sessions_of(stack, key, model, "kept a while")
        with rest(stack, key) as http:
            assert http.get(f"/v1/sessions/{session}/insights").json()
            until("its frames are gone", lambda: http.get(
                f"/v1/sessions/{session}/frames").text.count("\n") == 1, 40, 0.2)
            until("its insights are gone", lambda: http.get(
                f"/v1/sessions/{session}/insights").json() == [], 40, 0.2)
            assert http.get("/v1/insights").json() == []
            assert http.get(f"/v1/sessions/{session}").json()["frames"] == 60
        metrics = httpx.get(f"http://127.0.0.1:{admin}/metrics", trust_env=False).text
        assert "frames_expired_total" in metrics
        stack.check()
    finally:
        stack.close()


def test_a_deleted_account_leaves_no_data_and_others_theirs(stack):
    email = f"{secrets.token_hex(12)}@example.com"
    account = stack.admin("account", "create", "--email", email)["account_id"]
    key, second = stack.key(account), stack.key(account)
    name = f"watch {secrets.token_hex(12)}"
    with rest(stack, key) as http:  # its answer is kept, for a repeat
        assert http.post("/v1/device-models", json={"name": name},
                         headers={"Idempotency-Key": "once"}).status_code == 201
    assert files_with(stack, email) and files_with(stack, name)
    other = stack.key()
    model = make_model(stack, key)
    sessions = sessions_of(stack, key, model, "x", 2, seconds=3)
    kept, = sessions_of(stack, other, make_model(stack, other), "x", seconds=3)
    removed = stack.admin("account", "delete", account, "--yes")
    assert removed["account_id"] == account and removed["keys"] == 2
    assert removed["sessions"] == 2 and removed["frames"] == 2 * 15
    for dead in (key, second):
        with rest(stack, dead) as http:
            assert http.get("/v1/sessions").status_code == 401
    with rest(stack, other) as http:
        assert http.get(f"/v1/sessions/{kept}").json()["frames"] == 15
        for session in sessions:
            assert http.get(f"/v1/sessions/{session}").status_code == 404
    until("no file holds its e-mail", lambda: not files_with(stack, email), 60, 0.2)
    until("nor what its model was called", lambda: not files_with(stack, name), 60, 0.2)
    # The chain holds without what was personal; auth and router come up with what is left.
    assert redacted(stack, "auth") >= 2 and redacted(stack, "router") >= 3
    for name in ("auth", "router"):
        stack.wait_restarted(name, stack.kill(name))
    stack.wait_ready()
    with rest(stack, other) as http:
        until("it reads again", lambda: http.get(f"/v1/sessions/{kept}").status_code == 200, 30)
