"""/stream/ingest: the handshake, the slots, the frames, and what is stored of them."""
import asyncio
import json
import random
import struct
import time
from uuid import UUID

import pytest

from client import (PPG, closed_session, frame, frames, ingest, make_model, pulse, receive,
                    session_of, subscribe)
from stack import until

STACK = {"edges": 2, "publishers": 2}


async def test_the_first_message_names_the_session_and_its_slots(stack, key):
    channels = [{"modality": "ppg_green", "sample_rate_hz": 100},
                {"modality": "acc_3axis", "sample_rate_hz": 52.5, "bit_depth": 12},
                {"modality": "ppg_green", "sample_rate_hz": 25, "bit_depth": 24,
                 "num_channels": 2}]
    model = make_model(stack, key, channels)
    async with ingest(stack, key, model) as socket:
        raw = await asyncio.wait_for(socket.recv(), 10)
        assert isinstance(raw, str)
        hello = json.loads(raw)
        assert UUID(hello["session_id"]).version == 7
        assert [slot["slot_id"] for slot in hello["slots"]] == [0, 1, 2]
        for slot, channel in zip(hello["slots"], model["modality_channels"]):
            assert slot == {"slot_id": slot["slot_id"], "modality_channel_id": channel["id"],
                            **{name: channel[name] for name in (
                                "modality", "sample_rate_hz", "bit_depth", "num_channels")}}
        # Nothing more is said during normal streaming.
        t0 = int(time.time() * 1000)
        for n in range(10):
            await socket.send(frame(0, t0 + 200 * n, [n] * 20))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(socket.recv(), 1)


async def test_frames_of_every_depth_and_width_are_stored(stack, key):
    channels = [{"modality": "ppg_ir", "sample_rate_hz": 10, "bit_depth": depth,
                 "num_channels": width}
                for depth, width in ((1, 1), (8, 3), (9, 1), (16, 16), (17, 2), (24, 1), (32, 4))]
    model = make_model(stack, key, channels)
    total = 0
    async with ingest(stack, key, model) as socket:
        session = (await receive(socket))["session_id"]
        for slot, channel in enumerate(channels):
            for count in (1, 7, 300):
                size = count * -(-channel["bit_depth"] // 8) * channel["num_channels"]
                message = struct.pack(">BqHB", slot, 1000 * count, count, 0) + bytes(size)
                total += len(message)
                await socket.send(message)
    row = closed_session(stack, key, session)
    assert (row["frames"], row["bytes"]) == (21, total)


async def test_the_largest_frame_of_the_default_limit_is_taken(stack, key, model):
    async with ingest(stack, key, model) as socket:
        session = (await receive(socket))["session_id"]
        await socket.send(frame(0, 0, [1] * 65535))
    assert closed_session(stack, key, session)["frames"] == 1


async def test_a_fragmented_frame_is_one_frame(stack, key, model):
    message = frame(0, 1000, range(100))
    async with ingest(stack, key, model) as socket:
        session = (await receive(socket))["session_id"]
        await socket.send([message[:1], message[1:11], message[11:13], message[13:]])
        await socket.send([bytes([byte]) for byte in frame(0, 2000, range(100))])
    row = closed_session(stack, key, session)
    assert (row["frames"], row["bytes"]) == (2, 2 * len(message))


async def test_frames_sent_before_the_handshake_are_taken(stack, key, model):
    """Eager firmware streams as soon as the upgrade is answered."""
    sent = list(frames(20))
    async with ingest(stack, key, model) as socket:
        for message in sent:
            await socket.send(message)
        session = (await receive(socket))["session_id"]
    row = closed_session(stack, key, session)
    assert row["frames"] == len(sent) and row["close_code"] == 1000


async def test_an_identical_frame_is_stored_once_and_every_other_is_kept(stack, key, model):
    first, second = frame(0, 1000, [1] * 20), frame(0, 1200, [2] * 20)
    same_time = frame(0, 1000, [3] * 20)  # overlaps, so it is not identical
    flagged = frame(0, 1000, [1] * 20, flags=0xFF)  # unknown bits are ignored
    async with ingest(stack, key, model) as socket:
        session = (await receive(socket))["session_id"]
        for message in (first, second, first, same_time, first, second, flagged):
            await socket.send(message)
    row = closed_session(stack, key, session)
    assert row["frames"] == 4 and row["bytes"] == 4 * len(first)
    assert row["close_code"] == 1000


@pytest.mark.parametrize("t0_ms", [0, -1, 2**63 - 1, -(2**63), 1, 2**53 + 1])
async def test_a_frame_of_any_time_is_kept(stack, key, model, t0_ms):
    async with ingest(stack, key, model) as socket:
        session = (await receive(socket))["session_id"]
        await socket.send(frame(0, t0_ms, [1] * 20))
        await socket.send(frame(0, 1000, [1] * 20))
    assert closed_session(stack, key, session)["frames"] == 2


async def test_late_frames_are_kept_and_the_order_does_not_matter(stack, key, model):
    """Frames shuffled between two windows' ends give the insights of those in order."""
    t0 = 1_700_000_000_000
    in_order = list(frames(40, t0))
    shuffled = list(in_order)
    dice = random.Random(7)
    ends = sorted({n for n in range(200 + 1) if n % 10 == 0 or n % 25 == 0})  # of hr and rr
    for start, end in zip(ends, ends[1:]):
        part = shuffled[start:end - 1]  # the last one lets the window pass
        dice.shuffle(part)
        shuffled[start:end - 1] = part
    assert shuffled != in_order
    found = []
    for device, order in (("ordered", in_order), ("shuffled", shuffled)):
        async with ingest(stack, key, model, device) as socket:
            session = (await receive(socket))["session_id"]
            for message in order:
                await socket.send(message)
        row = closed_session(stack, key, session)
        assert row["frames"] == 200
        found.append(all_insights(stack, key, session))
    assert found[0] and found[0] == found[1]


def all_insights(stack, key, session):
    from client import rest
    with rest(stack, key) as http:
        return [(i["type"], i["t"], i["value"])
                for i in http.get(f"/v1/sessions/{session}/insights").json()]


@pytest.mark.parametrize("device", ["x", "x" * 128, "Ω" * 64, "a b/c?d&e=f#g%", "'; --", "日本"])
async def test_a_device_may_have_any_name_of_its_customers(stack, key, model, device):
    async with ingest(stack, key, model, device) as socket:
        session = (await receive(socket))["session_id"]
    assert session_of(stack, key, session)["device_id"] == device


async def test_a_model_is_found_by_its_id_in_capitals_too(stack, key, model):
    async with ingest(stack, key, {"id": model["id"].upper()}) as socket:
        assert "session_id" in await receive(socket)


async def test_the_insights_due_at_the_end_of_a_session_are_published(stack, key, model):
    async with subscribe(stack, key) as app:
        assert await receive(app) == {"status": "subscribed"}
        async with ingest(stack, key, model, "ends") as socket:
            session = (await receive(socket))["session_id"]
            for message in frames(12):
                await socket.send(message)
        got = []
        while not got or got[-1]["session_id"] != session:
            got.append(await receive(app))
    assert got[-1]["type"] == "hr"


async def test_a_device_that_dies_leaves_a_closed_session(stack, key, model):
    socket = await ingest(stack, key, model, "dies")
    session = (await receive(socket))["session_id"]
    await socket.send(frame(0, 1000, [1] * 20))
    until("it is stored", lambda: session_of(stack, key, session)["frames"] == 1)
    socket.transport.abort()
    await socket.wait_closed()
    row = closed_session(stack, key, session)
    assert row["close_code"] == 1006 and row["frames"] == 1


async def test_hundreds_of_devices_stream_at_once(stack, key):
    model = make_model(stack, key, [PPG])
    t0 = int(time.time() * 1000)

    async def device(n):
        async with ingest(stack, key, model, f"fleet-{n}") as socket:
            session = (await receive(socket))["session_id"]
            for k in range(5):
                await socket.send(frame(0, t0 + 200 * k, [n % 100] * 20))
                await asyncio.sleep(0)
        return session

    gate = asyncio.Semaphore(100)

    async def gated(n):
        async with gate:
            return await device(n)

    sessions = await asyncio.gather(*(gated(n) for n in range(300)))
    assert len(set(sessions)) == 300
    for session in random.Random(1).sample(sessions, 20):
        assert closed_session(stack, key, session)["frames"] == 5
