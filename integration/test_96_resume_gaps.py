"""What is missing of a session, and why: received = stored + duplicates + refused."""
import asyncio

import websockets

from client import (closed, closed_session, frame, frames, ingest, make_model, pulse, receive,
                    rest, session_of)
from stack import until

STACK = {"edges": 1, "publishers": 2}
T0 = 1_700_000_000_000
TWO = [{"modality": "ppg_green", "sample_rate_hz": 100},
       {"modality": "acc_3axis", "sample_rate_hz": 50}]


def gaps_of(stack, key, session):
    with rest(stack, key) as http:
        answer = http.get(f"/v1/sessions/{session}/gaps")
    assert answer.status_code == 200, answer.text
    gaps = answer.json()
    assert gaps["session_id"] == session
    assert gaps["received"] == (gaps["stored"] + gaps["duplicates"] + gaps["rejected"] +
                                gaps["rate_limited"])
    assert gaps["stored"] == session_of(stack, key, session)["frames"]
    return gaps


def nth(n, slot=0):
    """The nth frame of 200 ms."""
    return frame(slot, T0 + 200 * n, pulse(n * 0.2, 0.2))


async def send(stack, key, model, device, messages):
    """A session of these messages; its gaps, once it is closed."""
    async with ingest(stack, key, model, device) as socket:
        session = (await receive(socket))["session_id"]
        for message in messages:
            await socket.send(message)
        sent = len(messages)
        try:
            await socket.close()
        except websockets.ConnectionClosed:
            pass
    closed_session(stack, key, session)
    gaps = gaps_of(stack, key, session)
    assert gaps["received"] == sent
    return gaps


def of(gaps, cause):
    return [(g["slot_id"], (g["from_t"] - T0) // 200, (g["to_t"] - T0) // 200)
            for g in gaps["gaps"] if g["cause"] == cause]


async def test_a_clean_session_has_no_gaps_and_anothers_is_not_found(stack, key, model):
    gaps = await send(stack, key, model, "clean", list(frames(20)))
    assert gaps["gaps"] == [] and gaps["stored"] == 100 and gaps["late"] == 0
    with rest(stack, stack.key()) as http:
        assert http.get(f"/v1/sessions/{gaps['session_id']}/gaps").status_code == 404


async def test_what_was_never_sent_is_told_by_slot_and_a_duplicate_is_counted(stack, key):
    model = make_model(stack, key, TWO)
    messages = []
    for n in range(50):
        messages += [nth(n)] if n not in (10, 11, 30) else []
        messages += [frame(1, T0 + 200 * n, [0] * 30, count=10)] if not 20 <= n < 25 else []
    messages.append(nth(49))
    gaps = await send(stack, key, model, "holes", messages)
    assert of(gaps, "never-sent") == [(0, 10, 12), (0, 30, 31), (1, 20, 25)]
    assert gaps["duplicates"] == 1 and len(gaps["gaps"]) == 3
    assert gaps["gaps"][0]["missing_ms"] == 400 and gaps["gaps"][0]["modality"] == "ppg_green"
    silent = await send(stack, key, model, "silent", [nth(n) for n in range(50)])
    assert of(silent, "never-sent") == [(1, 0, 50)]


async def test_a_frame_behind_an_emitted_window_is_stored_and_late(stack, key, model):
    messages = [nth(n) for n in range(200) if n not in (50, 51)] + [nth(50)]
    gaps = await send(stack, key, model, "late", messages)
    assert gaps["stored"] == 199 and gaps["late"] == 1
    assert of(gaps, "late") == [(0, 50, 51)] and of(gaps, "never-sent") == [(0, 51, 52)]
    assert [g["frames"] for g in gaps["gaps"]] == [1, None]


async def test_the_frame_that_was_refused_is_in_the_ledger(stack, key, model):
    async with ingest(stack, key, model, "refused") as socket:
        session = (await receive(socket))["session_id"]
        for n in range(5):
            await socket.send(nth(n))
        await socket.send(nth(5)[:-1])
        assert (await closed(socket))[0] == 1007
    closed_session(stack, key, session)
    gaps = gaps_of(stack, key, session)
    assert (gaps["received"], gaps["stored"], gaps["rejected"]) == (6, 5, 1)
    assert of(gaps, "rejected") == [(0, 5, 6)]


async def test_what_an_edge_held_when_it_died_is_told_to_be_lost(stack, key, model):
    sent, acked = 0, 0
    async with ingest(stack, key, model, "lost", ack=1) as socket:
        session = (await receive(socket))["session_id"]

        async def listen():
            nonlocal acked
            try:
                while True:
                    acked = (await receive(socket))["ack"]
            except websockets.ConnectionClosed:
                pass

        listening = asyncio.create_task(listen())
        pid = None
        for n in range(3000):
            if n == 1000:
                pid = stack.kill("edge-0")
            try:
                await socket.send(nth(n))
            except websockets.ConnectionClosed:
                break
            sent += 1
        await asyncio.wait_for(listening, 30)
    stack.wait_restarted("edge-0", pid)
    stack.wait_ready()
    row = closed_session(stack, key, session, 60)
    assert row["close_code"] == 1006
    gaps = gaps_of(stack, key, session)
    assert acked <= gaps["stored"] <= sent
    assert [g["cause"] for g in gaps["gaps"]] == ["edge-lost"]
    lost = gaps["gaps"][0]
    # Every frame that was sent is stored, or lies in what is said to be lost.
    assert lost["from_t"] == T0 + 200 * gaps["stored"]
    assert lost["to_t"] is None and lost["frames"] is None


async def test_the_ledger_survives_its_publisher(stack, key, model):
    async with ingest(stack, key, model, "survives") as socket:
        session = (await receive(socket))["session_id"]
        for n in list(range(20)) + list(range(25, 40)):
            await socket.send(nth(n))
        until("the frames are stored",
              lambda: gaps_of(stack, key, session)["stored"] == 35, 20)
        for name in ("publisher-0", "publisher-1"):
            stack.wait_restarted(name, stack.kill(name))
        for n in range(45, 60):
            await socket.send(nth(n))
    closed_session(stack, key, session)
    gaps = gaps_of(stack, key, session)
    assert of(gaps, "never-sent") == [(0, 20, 25), (0, 40, 45)] and gaps["received"] == 50
