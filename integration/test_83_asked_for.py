"""What a client gets only when it asks: filters of a subscriber, acknowledgements of a device."""
import asyncio
import time

import pytest

from client import closed, frame, frames, ingest, receive, rest, session_of, stream, subscribe

STACK = {"edges": 2, "publishers": 2}
T0_MS = 1_760_000_000_000


async def heard(socket, seconds=1.0):
    """Every message until it is quiet."""
    got = []
    try:
        while True:
            got.append(await receive(socket, seconds))
    except asyncio.TimeoutError:
        return got


async def test_a_subscriber_hears_what_it_asked_for(stack, key, model):
    async with subscribe(stack, key) as all, subscribe(stack, key, device_id="f-1") as one, \
            subscribe(stack, key, type="hrv_rmssd") as extra, \
            subscribe(stack, key, type="hr", device_id="f-2") as both:
        ears = [all, one, extra, both]
        for ear in ears:
            assert await receive(ear) == {"status": "subscribed"}
        for device in ("f-1", "f-2"):
            await stream(stack, key, model, 70, device, t0_ms=T0_MS)
        all, one, extra, both = await asyncio.gather(*(heard(ear, 4) for ear in ears))
    assert {insight["type"] for insight in all} == {"hr", "rr"}
    assert {insight["device_id"] for insight in all} == {"f-1", "f-2"}
    assert one == [insight for insight in all if insight["device_id"] == "f-1"]
    assert {insight["type"] for insight in extra} == {"hrv_rmssd"}
    assert both == [insight for insight in all
                    if insight["device_id"] == "f-2" and insight["type"] == "hr"]
    session = both[0]["session_id"]
    with rest(stack, key) as http:
        stored = http.get(f"/v1/sessions/{session}/insights?type=hr").json()
    assert both == stored


@pytest.mark.parametrize("query, field", [
    ({"type": "pulse"}, "type"), ({"session_id": "x"}, "session_id"),
    ({"device_id": ""}, "device_id")])
async def test_a_filter_that_cannot_be_is_named(stack, key, query, field):
    async with subscribe(stack, key, **query) as socket:
        code, reason = await closed(socket)
    assert code == 4004 and reason.startswith(field)


async def test_a_device_that_asks_hears_what_is_durable(stack, key, model):
    sent = list(frames(20, t0_ms=T0_MS))
    async with ingest(stack, key, model, "a-1", ack="1") as socket:
        session = (await receive(socket))["session_id"]
        for message in sent:
            await socket.send(message)
        acks = []
        while not acks or acks[-1] < len(sent):
            message = await receive(socket)
            assert set(message) == {"ack"}
            acks.append(message["ack"])
        # What was acknowledged outlives the process that took it.
        pid = stack.kill("publisher-0")
        other = stack.kill("publisher-1")
        stack.wait_restarted("publisher-0", pid)
        stack.wait_restarted("publisher-1", other)
    assert acks == sorted(set(acks))
    end = time.monotonic() + 20
    while True:
        try:
            assert session_of(stack, key, session)["frames"] == len(sent)
            return
        except AssertionError:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)


async def test_a_device_that_does_not_ask_hears_nothing(stack, key, model):
    for value in ({}, {"ack": "0"}, {"ack": "yes"}):
        async with ingest(stack, key, model, "n-1", **value) as socket:
            await receive(socket)
            await socket.send(frame(0, T0_MS, [1] * 20))
            with pytest.raises(asyncio.TimeoutError):
                await receive(socket, 0.5)
