"""Peers that are slow, greedy, rude or gone: everybody else keeps their latency, what is held
for them is bounded and counted, and memory comes back. RAEH_LONG=1: more of everything."""
import asyncio
import os
import random
import signal
import struct
import time

import pytest

from client import closed_session, frame, make_model, pulse
from fleet import digest, stored
from probe import Probe, kept, metrics, say
from raw import (PING, TEXT, Peer, descriptors, ingest_upgrade, many, resident_kb,
                 subscribe_upgrade, upgrade, ws)
from stack import Stack, environment, free_port, until

LONG = os.environ.get("RAEH_LONG") == "1"
TEST_S = 600 if LONG else 180
PAUSE_S = 4
SLOW_S = 4000  # of signal: more insights than an app's queue takes
RAW = {"modality": "raw", "sample_rate_hz": 10_000}  # stored, not analysed
MIB = 1024  # kB, as /proc counts


@pytest.fixture(scope="module")
def stack():
    admin = free_port()
    # What is freed goes back at once, so that memory can be looked at.
    options = environment()["ASAN_OPTIONS"] + ":quarantine_size_mb=1:malloc_context_size=2"
    stack = Stack("--admin", f"127.0.0.1:{admin}", "--pause-timeout-s", str(PAUSE_S), "--echo",
                  edges=1, publishers=1, env={"ASAN_OPTIONS": options}).start()
    stack.admin_port = admin
    yield stack
    stack.close()


def gauge(stack, name):
    return sum(metrics(stack.admin_port)["raeh_" + name].values())


async def until_gauge(stack, name, at_most, seconds=30):
    await asyncio.to_thread(until, f"{name} <= {at_most}",
                            lambda: gauge(stack, name) <= at_most, seconds)


async def while_running(probe, work):
    """The probe's latencies while the work is done, and what it gave."""
    task = asyncio.ensure_future(work)
    found = await probe.watch(task.done)
    return found, await task


def signal_of(seconds, t0_ms=1_750_000_000_000):
    """Frames of 2 s; the wave repeats after 20 s."""
    wave = [pulse(s, 2) for s in range(0, 20, 2)]
    return [frame(0, t0_ms + n * 2000, wave[n % 10]) for n in range(seconds // 2)]


async def test_undisturbed(stack):
    probe = await Probe.start(stack, make_model)
    kept("undisturbed", await probe.watch())
    await probe.stop()


# ---- apps ----

async def test_an_app_that_never_reads_is_closed_with_1013_and_nobody_waits(stack, key, model):
    probe = await Probe.start(stack, make_model)
    slow = [await Peer.subscribe(stack, key, receive_buffer=4096) for _ in range(3)]
    good = await Peer.subscribe(stack, key)
    for peer in slow:  # stop reading: the transport too
        peer.writer.transport.pause_reading()
    before = gauge(stack, "edge_subscribers_too_slow_total")
    peaks = []

    async def overflow():
        device = await Peer.ingest(stack, key, model, "talks much")
        heard = asyncio.create_task(count_insights(good, device.session))
        for message in signal_of(SLOW_S):
            await device.send(message)
            await asyncio.sleep(0.002)  # so that an app that does read keeps up
        assert (await device.close())[0] == 1000
        row = await asyncio.to_thread(closed_session, stack, key, device.session, 60)
        assert row["frames"] == SLOW_S // 2
        peaks.append(await asyncio.to_thread(gauge, stack, "edge_net_queued_bytes"))
        heard.cancel()
        return device.session

    found, session = await while_running(probe, overflow())
    kept("three apps that never read", found)
    await asyncio.to_thread(until, "they are too slow", lambda: gauge(
        stack, "edge_subscribers_too_slow_total") == before + 3, 20)
    await until_gauge(stack, "edge_net_queued_bytes", 256 * 1024)
    for peer in slow[:2]:  # who reads in time is told
        peer.writer.transport.resume_reading()
        code, reason = await peer.closed()
        assert code == 1013 and "slow" in reason, (code, reason)
    assert good.code is None, good.reason
    good.abort()
    await probe.stop()
    print(f"{peaks} bytes queued at the end")
    # Who never reads is reset, and its memory is given back.
    await until_gauge(stack, "edge_net_websockets", 0, 20)
    await until_gauge(stack, "edge_net_queued_bytes", 0)
    slow[2].abort()


async def count_insights(peer, session):
    while await peer.receive(600) is not None:
        pass


async def test_a_client_that_reads_nothing_of_its_answers(stack, key):
    """Pipelined requests, echoes, pings: what is answered and not read is bounded."""
    probe = await Probe.start(stack, make_model)
    request = (f"GET /v1/device-models HTTP/1.1\r\nHost: x\r\n"
               f"Authorization: Bearer {key.key}\r\n\r\n").encode()

    async def flood(payload, first=b""):
        """Sends until the server stops reading, for some seconds; bytes sent."""
        reader, writer = await asyncio.open_connection(stack.host, stack.port, limit=1024)
        sent = 0
        try:
            writer.write(first)
            await asyncio.sleep(0.3)
            writer.transport.pause_reading()
            end = time.monotonic() + 5
            while time.monotonic() < end and sent < 200_000_000:
                writer.write(payload)
                await asyncio.wait_for(writer.drain(), 2)
                sent += len(payload)
        except (asyncio.TimeoutError, ConnectionError):
            pass
        writer.transport.abort()
        return sent

    echo = upgrade("/echo", api_key=key.key)
    before = resident_kb(stack.pid("edge-0"))
    found, sent = await while_running(probe, asyncio.gather(
        flood(request * 500), flood(ws(bytes(60_000), TEXT), echo),
        flood(ws(b"x" * 125, PING) * 500, subscribe_upgrade(key))))
    after = resident_kb(stack.pid("edge-0"))
    print(f"requests, echoes, pings: {sent} bytes sent; RSS {before} -> {after} kB")
    kept("clients that read nothing", found)
    await until_gauge(stack, "edge_net_queued_bytes", 0)
    assert after - before < 150 * MIB
    await probe.stop()


# ---- devices ----

async def test_a_device_that_floods_meets_the_rate_of_its_key(stack, key, model):
    probe = await Probe.start(stack, make_model)
    doomed = await asyncio.to_thread(stack.key, key.account)
    batch = b"".join(ws(frame(0, n, [n % 100])) for n in range(2000))

    async def flood(n):
        device = await Peer.ingest(stack, doomed, model, f"floods {n}")
        try:
            for _ in range(200):
                device.writer.write(batch)
                await device.writer.drain()
        except ConnectionError:
            pass
        return await device.closed(40)

    found, ends = await while_running(probe, asyncio.gather(*(flood(n) for n in range(4))))
    print(f"ends: {[code for code, _ in ends]}")
    kept("four devices that flood", found)
    assert {code for code, _ in ends} <= {4029, 1006} and 4029 in {code for code, _ in ends}
    await until_gauge(stack, "edge_uplink_held_bytes", 0)
    await probe.stop()


async def test_messages_in_65536_fragments(stack, key, model):
    probe = await Probe.start(stack, make_model)
    parts = (b"\x02\x80" + bytes(4) + (b"\x00\x81" + bytes(5)) * 65_535
             + b"\x80\x81" + bytes(5))

    async def fragments(n):
        device = await Peer.ingest(stack, key, model, f"in parts {n}")
        try:
            await asyncio.sleep(0)
            device.writer.write(parts)
            await device.writer.drain()
        except ConnectionError:
            pass
        return await device.closed(40)

    before = resident_kb(stack.pid("edge-0"))
    found, ends = await while_running(
        probe, asyncio.gather(*(fragments(n) for n in range(40 if LONG else 12))))
    kept("messages in 65,536 fragments", found)
    assert {code for code, _ in ends} == {1009}, ends
    await until_gauge(stack, "edge_net_gathered_bytes", 0)
    assert resident_kb(stack.pid("edge-0")) - before < 64 * MIB
    await probe.stop()


async def test_unfinished_messages_of_many_sockets_share_a_bound(stack, key, model):
    """Each holds nearly a whole message, for ever: the common bound closes some with 1013 or
    1009; when they go, all is given back."""
    probe = await Probe.start(stack, make_model)
    n = 300 if LONG else 60
    start = b"\x02\xff" + struct.pack(">Q", 2**20 - 1) + bytes(4) + bytes(2**20 - 100)

    async def hold(i):
        device = await Peer.ingest(stack, key, model, f"holds {i}")
        device.writer.write(start)
        await asyncio.wait_for(device.writer.drain(), 60)
        return device

    found, devices = await while_running(probe, many(n, hold, 8))
    held = gauge(stack, "edge_net_gathered_bytes")
    print(f"{n} sockets hold {held / 2**20:.0f} MiB of unfinished messages")
    assert held <= 256 * 2**20
    for device in devices:
        device.abort()
    kept("unfinished messages", found)
    await until_gauge(stack, "edge_net_gathered_bytes", 0)
    await probe.stop()


# ---- handshakes ----

async def test_slow_handshakes_and_half_open_peers(stack, key, model):
    """A byte a second, nothing at all, half a request: dropped after ten seconds."""
    probe = await Probe.start(stack, make_model)
    n = 2000 if LONG else 200
    request = ingest_upgrade(key, model, "slow")
    gone_after = []

    async def slow(i):
        reader, writer = await asyncio.open_connection(stack.host, stack.port)
        began = time.monotonic()
        part = (b"", request[:1], request[:-2], b"\x16\x03\x01", request[:40])[i % 5]
        writer.write(part)
        reading = asyncio.create_task(reader.read())
        try:
            while not reading.done() and time.monotonic() - began < 20:
                if i % 5 == 4:
                    writer.write(b"X")
                await asyncio.wait([reading], timeout=0.5)
        except ConnectionError:
            pass
        gone_after.append(time.monotonic() - began)
        writer.close()
        reading.cancel()

    used = descriptors(stack.pid("edge-0"))
    found, _ = await while_running(probe, asyncio.gather(*(slow(i) for i in range(n))))
    kept(f"{n} slow handshakes", found)
    print(f"the slowest was dropped after {max(gone_after):.1f} s")
    assert max(gone_after) < 14
    assert descriptors(stack.pid("edge-0")) <= used + 5
    await probe.stop()


@pytest.mark.skipif(not LONG, reason="takes 40 s: RAEH_LONG=1")
async def test_peers_that_vanish_are_noticed_within_40_s(stack, key, model):
    """They hold the connection and say nothing, not even a pong."""
    device = await Peer.ingest(stack, key, model, "vanishes")
    app = await Peer.subscribe(stack, key)
    began = time.monotonic()
    keep = asyncio.create_task(send_slowly(device))  # neither idle nor alive
    assert gauge(stack, "edge_sockets_subscribe") == 1
    await asyncio.to_thread(until, "the app is gone", lambda: gauge(
        stack, "edge_sockets_subscribe") == 0, 45)
    print(f"noticed after {time.monotonic() - began:.1f} s")
    assert app.code is None  # it never read
    keep.cancel()
    app.abort()
    device.abort()


async def send_slowly(device):
    n = 0
    while True:
        await device.send(frame(0, 1000 * n, [n] * 20))
        n += 1
        await asyncio.sleep(1)


# ---- a publisher that stops ----

def big_frames(n):
    rng = random.Random(n)
    return [struct.pack(">BqHB", 0, i * 3200, 32_000, 0) + rng.randbytes(64_000)
            for i in range(n)]


async def test_a_publisher_that_is_stopped_is_felt_as_backpressure_and_loses_nothing(
        stack, key):
    model = await asyncio.to_thread(make_model, stack, key, [RAW])
    devices = [await Peer.ingest(stack, key, model, f"waits {n}") for n in range(3)]
    messages = big_frames(200)
    pid = stack.pid("publisher-0")
    before = resident_kb(stack.pid("edge-0"))
    sent = [0, 0, 0]

    async def send(n):
        for message in messages:
            await devices[n].send(message)
            sent[n] += 1

    stops = gauge(stack, "edge_backpressure_total")
    os.kill(pid, signal.SIGSTOP)
    try:
        senders = [asyncio.create_task(send(n)) for n in range(3)]
        await asyncio.sleep(PAUSE_S - 1.5)
        while_stopped = list(sent)
        during = resident_kb(stack.pid("edge-0"))
    finally:
        os.kill(pid, signal.SIGCONT)
    await asyncio.gather(*senders)
    print(f"stopped: {while_stopped} of {len(messages)} sent; edge RSS {before} -> {during} kB")
    assert all(n < len(messages) for n in while_stopped)
    assert during - before < 60 * MIB
    assert gauge(stack, "edge_backpressure_total") > stops
    for device in devices:
        assert (await device.close())[0] == 1000
        row = await asyncio.to_thread(closed_session, stack, key, device.session, 40)
        assert (row["frames"], row["close_code"]) == (len(messages), 1000)
    await until_gauge(stack, "edge_uplink_held_bytes", 0)


async def test_a_publisher_that_stays_stopped_ends_in_1013_and_nothing_read_is_lost(stack, key):
    model = await asyncio.to_thread(make_model, stack, key, [RAW])
    device = await Peer.ingest(stack, key, model, "gives up")
    messages = big_frames(150)
    pid = stack.pid("publisher-0")
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        async def send():
            for message in messages:
                await device.send(message)

        sender = asyncio.create_task(send())
        code, reason = await device.closed(PAUSE_S + 30)
        took = time.monotonic() - began
        sender.cancel()
    finally:
        os.kill(pid, signal.SIGCONT)
    print(f"1013 after {took:.1f} s: {reason}")
    assert code == 1013 and reason and PAUSE_S - 0.5 < took
    row = await asyncio.to_thread(closed_session, stack, key, device.session, 40)
    assert row["close_code"] == 1013 and row["frames"] >= 2 * 2**20 // len(messages[0])
    await until_gauge(stack, "edge_uplink_held_bytes", 0)
    session = device.session
    stack.check()
    stack.stop()
    found = stored(stack)[session]
    assert found["gap"] == 0 and found["digest"] == digest(messages[:found["frames"]])
    stack.restart()


# ---- many idle sockets ----

async def test_thousands_of_idle_sockets_cost_little_and_nobody_waits(stack, key, model):
    probe = await Probe.start(stack, make_model)
    n = 10_000 if LONG else 1500
    pid = stack.pid("edge-0")
    rounds = []
    for turn in range(2):
        before = resident_kb(pid)

        async def idle(i):
            if i % 2:
                return await Peer.subscribe(stack, key)
            return await Peer.ingest(stack, key, model, f"idle {i}")

        began = time.monotonic()
        opening, peers = await while_running(probe, many(n, idle))
        took = time.monotonic() - began
        full = resident_kb(pid)
        found = await probe.watch()
        for peer in peers:
            peer.abort()
        await until_gauge(stack, "edge_net_websockets", 2, 60)
        await asyncio.sleep(0.5)
        rounds.append((before, full, resident_kb(pid)))
        say(f"while {n} connect in {took:.1f} s", opening)
        kept(f"with {n} idle sockets", found)
    for before, full, after in rounds:
        print(f"RSS {before} -> {full} -> {after} kB: {1024 * (full - before) / n:.0f} bytes each")
    assert rounds[1][1] <= rounds[0][1] * 1.15 + 8 * MIB, "memory does not come back"
    await probe.stop()
