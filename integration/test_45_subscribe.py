"""/stream/subscribe: the greeting, the insights, who hears what."""
import asyncio
import json
import random
import socket
import time
from uuid import UUID

import pytest

from client import (closed_session, frame, frames, ingest, insights, make_model, pulse,
                    receive, rest, stream, subscribe)
STACK = {"edges": 2, "publishers": 2}
FIELDS = {"type", "value", "unit", "ts", "session_id", "device_id", "confidence", "sqi_class",
          "id", "t"}
UNITS = {"hr": "bpm", "rr": "brpm", "spo2": "%"}


async def test_the_first_message_says_subscribed(stack, key):
    async with subscribe(stack, key) as app:
        raw = await asyncio.wait_for(app.recv(), 10)
        assert isinstance(raw, str) and json.loads(raw) == {"status": "subscribed"}
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(app.recv(), 0.5)


async def test_every_insight_has_all_its_fields(stack, key, model):
    t0 = 1_700_000_000_000
    async with subscribe(stack, key, device_id="fields") as app:
        assert await receive(app) == {"status": "subscribed"}
        began = time.time() * 1000
        session = await stream(stack, key, model, 60, "fields", t0_ms=t0)
        got = await insights(app, 25 + 2)
    for insight in got:
        assert FIELDS <= set(insight)
        assert insight["session_id"] == session and insight["device_id"] == "fields"
        assert insight["unit"] == UNITS[insight["type"]]
        assert 0 <= insight["confidence"] <= 1
        assert insight["sqi_class"] == sqi_class(insight["confidence"])
        assert began - 1000 < insight["ts"] < time.time() * 1000 + 1000
        assert t0 < insight["t"] <= t0 + 60_000
        UUID(insight["id"])
    assert len({insight["id"] for insight in got}) == len(got)
    for kind, first, every in (("hr", 10_000, 2000), ("rr", 40_000, 5000)):
        times = [insight["t"] for insight in got if insight["type"] == kind]
        assert times[0] <= t0 + first
        assert all(b - a == every for a, b in zip(times, times[1:])), (kind, times)
    assert not [insight for insight in got if insight["type"] == "spo2"]  # green light alone


def sqi_class(confidence):
    return "excellent" if confidence >= 0.8 else "acceptable" if confidence >= 0.5 else "unfit"


async def test_what_the_socket_said_is_what_the_history_says(stack, key, model):
    async with subscribe(stack, key, device_id="history") as app:
        await receive(app)
        session = await stream(stack, key, model, 45, "history")
        closed_session(stack, key, session)
        with rest(stack, key) as http:
            stored = http.get(f"/v1/sessions/{session}/insights").json()
        heard = await insights(app, len(stored))
    assert sorted(heard, key=lambda i: i["id"]) == stored


async def test_red_and_infrared_light_give_spo2(stack, key):
    model = make_model(stack, key, [{"modality": "ppg_red", "sample_rate_hz": 100},
                                    {"modality": "ppg_ir", "sample_rate_hz": 100}])
    t0 = int(time.time() * 1000)
    async with subscribe(stack, key) as app:
        await receive(app)
        async with ingest(stack, key, model, "oxygen") as socket:
            await receive(socket)
            for n in range(150):
                wave = pulse(n * 0.2, 0.2)
                for slot, scale in ((0, 0.01), (1, 0.02)):  # R = 0.5
                    samples = [20000 - int(scale * x) for x in wave]
                    await socket.send(frame(slot, t0 + 200 * n, samples))
            got = await insights(app, 3, type="spo2")
    for insight in got:
        assert insight["unit"] == "%" and 85 <= insight["value"] <= 100
        assert insight["sqi_class"] in ("acceptable", "unfit")  # not calibrated


async def test_noise_and_a_watch_that_is_off_are_not_trusted(stack, key, model):
    noise = random.Random(1)
    async with subscribe(stack, key) as app:
        await receive(app)
        for device, sample in (("flat", lambda: 100), ("noise", lambda: noise.randrange(-999, 999))):
            async with ingest(stack, key, model, device) as socket:
                await receive(socket)
                for n in range(150):
                    await socket.send(frame(0, 1000 + 200 * n, [sample() for _ in range(20)]))
        async with ingest(stack, key, model, "done") as socket:
            await receive(socket)
            for message in frames(12):
                await socket.send(message)
        heard = set()
        while "done" not in heard or "noise" not in heard:
            insight = await receive(app)
            heard.add(insight["device_id"])
            if insight["device_id"] in ("flat", "noise"):  # an earlier test may still be heard
                assert insight["sqi_class"] == "unfit", insight


async def test_an_app_hears_the_devices_of_both_edges(stack, key, model):
    """Sockets spread over the edges: whoever subscribes anywhere hears all."""
    apps = [await subscribe(stack, key) for _ in range(8)]
    for app in apps:
        assert await receive(app) == {"status": "subscribed"}
    sessions = await asyncio.gather(*(stream(stack, key, model, 12, f"both-{n}")
                                      for n in range(8)))
    for app in apps:
        heard = set()
        while not heard >= set(sessions):  # what earlier tests left to be said comes too
            heard.add((await receive(app))["session_id"])
        await app.close()


async def test_what_an_app_says_is_ignored(stack, key, model):
    async with subscribe(stack, key, device_id="talker") as app:
        await receive(app)
        for message in ("hello", b"\x00" * 100, "{", json.dumps({"type": "hr"}), "x" * 100_000):
            await app.send(message)
        session = await stream(stack, key, model, 12, "talker")
        assert (await insights(app, 1))[0]["session_id"] == session


async def test_a_key_of_one_device_hears_that_device_alone(stack, key, model):
    bound = stack.key(key.account, scopes="subscribe", device_id="heard")
    async with subscribe(stack, bound) as app:
        await receive(app)
        await stream(stack, key, model, 30, "not heard")
        session = await stream(stack, key, model, 12, "heard")
        got = await insights(app, 1)
    assert {insight["session_id"] for insight in got} == {session}
