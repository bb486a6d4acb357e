"""What is missing of a session, and why: received = stored + duplicates + refused."""
import asyncio
import random
import time

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


# ---- resume= ----

class Device:
    """Firmware with an offline buffer: a numbered list of frames, sent on from what is durable."""

    def __init__(self, stack, key, model, name):
        self.stack, self.key, self.model, self.name = stack, key, model, name
        self.session, self.acked, self.resumed = None, 0, 0

    async def connect(self):
        query = {"resume": self.session} if self.session else {}
        self.socket = await ingest(self.stack, self.key, self.model, self.name, ack=1, **query)
        hello = await receive(self.socket)
        if self.session:
            assert hello["resumed"] is True and hello["session_id"] == self.session
            assert hello["acked"] >= self.acked, "what was durable is durable"
            self.acked = hello["acked"]
            self.resumed += 1
        else:
            assert set(hello) == {"session_id", "slots"}
        self.session = hello["session_id"]

    async def again(self):
        """Connects until it is let in."""
        end = asyncio.get_running_loop().time() + 60
        while True:
            try:
                return await self.connect()
            except (websockets.ConnectionClosed, OSError, asyncio.TimeoutError,
                    websockets.InvalidHandshake):
                assert asyncio.get_running_loop().time() < end
                await asyncio.sleep(0.1)

    async def listen(self):
        try:
            while True:
                self.acked = (await receive(self.socket, 60))["ack"]
        except websockets.ConnectionClosed:
            pass

    async def send(self, messages, stop=lambda n: False):
        """Sends from the first frame that is not durable until the end or stop(n) or a cut."""
        listening = asyncio.create_task(self.listen())
        try:
            for n in range(self.acked, len(messages)):
                if stop(n):
                    break
                await self.socket.send(messages[n])
            else:
                while self.acked < len(messages) and not listening.done():
                    await asyncio.sleep(0.02)
        except websockets.ConnectionClosed:
            pass
        return listening

    def cut(self):
        """As a lost network: no close frame."""
        self.socket.transport.abort()


def stored_frames(stack, key, session):
    return session_of(stack, key, session)["frames"]


async def test_a_session_goes_on_over_a_new_connection_with_nothing_lost_or_twice(stack, key,
                                                                                 model):
    messages = list(frames(60, t0_ms=T0))
    rng = random.Random(5)
    device = Device(stack, key, model, "resumes")
    await device.connect()
    while device.acked < len(messages):
        until_n = device.acked + rng.randrange(1, 80)
        listening = await device.send(messages, lambda n: n >= until_n)
        if device.acked < len(messages):
            device.cut()
        await asyncio.wait_for(listening, 20) if device.acked < len(messages) else None
        if device.acked < len(messages):
            await device.again()
    await device.socket.close()
    closed_session(stack, key, device.session)
    gaps = gaps_of(stack, key, device.session)
    assert device.resumed > 2
    assert gaps["stored"] == len(messages) and gaps["gaps"] == [], gaps
    with rest(stack, key) as http:
        insights = http.get(f"/v1/sessions/{device.session}/insights").json()
        sessions = http.get("/v1/sessions", params={"device_id": "resumes"}).json()
    assert len(sessions) == 1
    beats = [i["t"] for i in insights if i["type"] == "hr"]
    assert len(beats) == len(set(beats)) and len(beats) >= 20


async def test_a_session_outlives_the_edge_and_its_publisher(stack, key, model):
    messages = list(frames(120, t0_ms=T0))
    device = Device(stack, key, model, "outlives")
    await device.connect()
    for victims in (["edge-0"], ["publisher-0", "publisher-1"], ["edge-0"]):
        pids = {}

        def die(n, victims=victims, pids=pids, at=device.acked + 100):
            if n == at and not pids:
                pids.update({name: stack.kill(name) for name in victims})
            return n > at + 60
        listening = await device.send(messages, die)
        device.cut()
        await asyncio.wait_for(listening, 20)
        for name, pid in pids.items():
            stack.wait_restarted(name, pid)
        await device.again()
    listening = await device.send(messages)
    assert device.acked == len(messages)
    await device.socket.close()
    closed_session(stack, key, device.session)
    gaps = gaps_of(stack, key, device.session)
    assert gaps["stored"] == len(messages) and gaps["gaps"] == [], gaps


async def test_an_open_connection_gives_way_to_the_one_that_resumes(stack, key, model):
    async with ingest(stack, key, model, "gives-way") as old:
        session = (await receive(old))["session_id"]
        await old.send(nth(0))
        until("stored", lambda: stored_frames(stack, key, session) == 1, 20)
        async with ingest(stack, key, model, "gives-way", resume=session) as new:
            assert (await receive(new))["acked"] == 1
            assert (await closed(old))[0] == 4009
            await new.send(nth(1))
            until("stored", lambda: stored_frames(stack, key, session) == 2, 20)
            assert session_of(stack, key, session)["status"] == "open"
    row = closed_session(stack, key, session)
    assert row["frames"] == 2 and row["close_code"] == 1000


async def test_what_cannot_be_resumed_is_refused_with_4004(stack, key, model):
    async def refusal(device, resume, who=key, of=model):
        async with ingest(stack, who, of, device, resume=resume) as socket:
            code, reason = await closed(socket)
        assert code == 4004 and reason.startswith("resume: "), (code, reason)
        return reason

    gaps = await send(stack, key, model, "gone", [nth(0)])
    await refusal("gone", "x")
    await refusal("gone", "0192f0c0-0000-7000-8000-00000000abcd")
    assert "no such session" in await refusal("another", gaps["session_id"])
    other = stack.key()
    await refusal("gone", gaps["session_id"], other, make_model(stack, other))
    await send(stack, key, model, "gone", [nth(0)])
    assert "newer session" in await refusal("gone", gaps["session_id"])
    changing = make_model(stack, key)
    before = await send(stack, key, changing, "changes", [nth(0)])
    with rest(stack, key) as http:
        added = http.post(f"/v1/device-models/{changing['id']}/modalities", json=TWO[1])
    assert added.status_code == 201
    assert "was changed" in await refusal("changes", before["session_id"], of=changing)


# ---- clocks ----

def clock_of(stack, key, session):
    with rest(stack, key) as http:
        answer = http.get(f"/v1/sessions/{session}/clock")
    assert answer.status_code == 200, answer.text
    return answer.json()["slots"]


async def test_the_clocks_of_a_session_are_measured_and_survive_its_publisher(stack, key):
    model = make_model(stack, key, TWO)
    now = int(time.time() * 1000)
    async with ingest(stack, key, model, "clocks") as socket:
        session = (await receive(socket))["session_id"]
        for n in range(100):  # a device that is an hour behind; its crystal makes 101 for 100
            t0 = now - 3_600_000 + 198 * n
            await socket.send(frame(0, t0, [n] * 20))
            await socket.send(frame(1, t0 - 500, [0] * 30, count=10))
        until("stored", lambda: stored_frames(stack, key, session) == 200, 20)
        for name in ("publisher-0", "publisher-1"):
            stack.wait_restarted(name, stack.kill(name))
        for n in range(10):  # its clock is set back by an hour more
            await socket.send(frame(0, now - 7_200_000 + 198 * n, [n] * 20))
        until("stored", lambda: stored_frames(stack, key, session) == 210, 20)
    closed_session(stack, key, session)
    light, motion = clock_of(stack, key, session)
    assert (light["slot_id"], light["modality"], light["declared_hz"]) == (0, "ppg_green", 100)
    assert abs(light["measured_hz"] - 101.01) < 0.05
    assert abs(motion["measured_hz"] - 50.505) < 0.05
    assert light["steps_back"] == 1 and light["largest_step_ms"] > 3_500_000
    assert light["offset_ms"] > 7_000_000 and motion["steps_back"] == 0
    with rest(stack, stack.key()) as http:
        assert http.get(f"/v1/sessions/{session}/clock").status_code == 404
