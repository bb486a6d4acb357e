"""A disk without room, and a process without descriptors: refused, told, recovered."""
import asyncio
import os
import random
import resource
import struct
import subprocess
from pathlib import Path

import pytest

from client import closed_session, frame, frames, make_model, rest, session_of
from fleet import digest, stored, wait_ready
from raw import Peer, descriptors, ingest_upgrade, many, subscribe_upgrade
from stack import Stack, until

MIB = 2**20
DISK_MIB = 160
RAW = {"modality": "raw", "sample_rate_hz": 10_000}  # stored, not analysed


# ---- the disk ----

@pytest.fixture(scope="module")
def small_disk():
    """A stack whose directory is a small file system of its own."""
    stack = Stack(edges=1, publishers=1)
    stack.data.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "raeh-test",
                              stack.data], capture_output=True, text=True)
    if mounted.returncode != 0:
        stack.directory.cleanup()
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield stack.start()
        status = stack.stop()
        stack.check()
        assert status == 0
    finally:
        subprocess.run(["umount", "-l", stack.data], check=True)
        stack.directory.cleanup()


def free_mib(stack):
    disk = os.statvfs(stack.data)
    return disk.f_bavail * disk.f_frsize / MIB


def fill(stack, leave_mib):
    with open(stack.data / "ballast", "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, int((free_mib(stack) - leave_mib) * MIB))


def empty(stack):
    (stack.data / "ballast").unlink()


def big_frames(n, t0_ms=0):
    """Of 64 kB, each unlike the others."""
    rng = random.Random(n)
    return [struct.pack(">BqHB", 0, t0_ms + i * 3200, 32_000, 0) + rng.randbytes(64_000)
            for i in range(n)]


async def test_a_full_disk_is_refused_told_by_backpressure_and_recovered(small_disk):
    stack = small_disk
    key = stack.key()
    model = make_model(stack, key, [RAW])
    messages = big_frames(400)
    device = await Peer.ingest(stack, key, model, "writes much")
    quiet = await Peer.ingest(stack, key, model, "writes little")
    app = await Peer.subscribe(stack, key)
    for message in messages[:20]:
        await device.send(message)
    await asyncio.to_thread(until, "some are stored",
                            lambda: session_of(stack, key, device.session)["frames"] == 20)
    sent = 0

    async def send_all():
        nonlocal sent
        for message in messages[20:]:
            await device.send(message)
            sent += 1

    fill(stack, leave_mib=8)  # less than the reserve, a tenth
    sender = asyncio.create_task(send_all())
    await asyncio.sleep(3)
    held, at_rest = sent, session_of(stack, key, device.session)["frames"]
    await quiet.send(frame(0, 1000, [1] * 20))
    await asyncio.sleep(2)
    print(f"full: {at_rest} frames stored, {held} of {len(messages) - 20} sent, then no more")
    assert sent == held < len(messages) - 20, "the device was not told to wait"
    assert session_of(stack, key, device.session)["frames"] == at_rest
    assert device.code is None and quiet.code is None
    with rest(stack, key) as http:  # refused, and reading goes on
        answer = http.post("/v1/device-models", json={"name": "no room"})
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
        assert http.get("/v1/device-models").status_code == 200
    refused = stack.raeh("key", "create", "--account", key.account, "--label", "no room",
                         "--data", stack.data, status=1)
    assert refused.stderr
    # It dies meanwhile and comes back to a disk that is still full.
    stack.wait_restarted("publisher-0", stack.kill("publisher-0"))
    await asyncio.sleep(1)
    assert sent == held

    empty(stack)
    await asyncio.wait_for(sender, 60)
    for peer in (device, quiet):
        assert (await peer.close())[0] == 1000
    row = await asyncio.to_thread(closed_session, stack, key, device.session, 60)
    assert (row["frames"], row["close_code"]) == (len(messages), 1000)
    assert (await asyncio.to_thread(closed_session, stack, key, quiet.session))["frames"] == 1
    assert make_model(stack, key, [RAW])["id"] and stack.key(key.account)
    app.abort()
    stack.check()
    stack.stop()
    assert stored(stack)[device.session]["digest"] == digest(messages)
    stack.restart()


async def test_a_revoke_on_a_full_disk_is_refused_or_in_force(small_disk):
    stack = small_disk
    key = stack.key()
    doomed = stack.key(key.account)
    app = await Peer.subscribe(stack, doomed)
    fill(stack, leave_mib=2)
    done = await asyncio.to_thread(stack.raeh, "key", "revoke", doomed.id, "--data", stack.data,
                                   status=None)
    assert done.returncode in (0, 1) and (done.stdout or done.stderr)
    if done.returncode == 0:
        assert (await app.closed(10))[0] == 4001
    empty(stack)
    await asyncio.to_thread(until, "a revoke succeeds", lambda: stack.raeh(
        "key", "revoke", doomed.id, "--data", stack.data, status=None).returncode == 0, 20)
    assert (await app.closed(10))[0] == 4001


async def test_started_on_a_full_disk_it_waits_for_room_and_needs_no_hand(small_disk):
    """An edge may not serve before its registration is durable: it says 503 until then."""
    stack = small_disk
    key = stack.key()
    model = make_model(stack, key)
    device = await Peer.ingest(stack, key, model, "before")
    for message in frames(20):
        await device.send(message)
    await device.close()
    await asyncio.to_thread(closed_session, stack, key, device.session)
    stack.check()
    stack.stop()
    fill(stack, leave_mib=12)
    try:
        stack.killed = 0
        stack._run()
        await asyncio.sleep(3)
        assert len(stack.processes()) == 4, stack.log()
        with rest(stack, key) as http:
            answer = http.get("/readyz")
            assert answer.status_code == 503, answer.text
            answer = http.get("/v1/sessions")
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
    finally:
        empty(stack)
    await asyncio.to_thread(wait_ready, stack)
    assert session_of(stack, key, device.session)["frames"] == 100
    peer = await Peer.ingest(stack, key, model, "after")
    await peer.close()


# ---- descriptors ----

LIMIT = 256


@pytest.fixture(scope="module")
def stack():
    stack = Stack(edges=1, publishers=1).start()
    # What raeh up starts from now on may open no more than this.
    resource.prlimit(stack.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    stack.wait_restarted("edge-0", stack.kill("edge-0"))
    wait_ready(stack)
    yield stack
    stack.close()


async def turned_away(stack, request):
    """What a connection meets: b"101", b"503", or b"" when it is just closed."""
    reader, writer = await asyncio.open_connection(stack.host, stack.port)
    try:
        writer.write(request)
        head = await asyncio.wait_for(reader.read(200), 15)
        return head[9:12]
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_more_sockets_than_descriptors_are_turned_away_and_nobody_else_notices(
        stack, key, model):
    device = await Peer.ingest(stack, key, model, "was here first")
    app = await Peer.subscribe(stack, key)
    messages = list(frames(120))
    for message in messages[:100]:
        await device.send(message)

    async def idle(n):
        try:
            return await Peer.connect(stack, subscribe_upgrade(key))
        except (AssertionError, asyncio.IncompleteReadError, ConnectionError):
            return None

    peers = [peer for peer in await many(LIMIT + 50, idle) if peer]
    used = descriptors(stack.pid("edge-0"))
    print(f"{len(peers)} sockets, {used} of {LIMIT} descriptors in use")
    assert 100 < len(peers) < LIMIT and used < LIMIT
    assert await turned_away(stack, subscribe_upgrade(key)) in (b"503", b"")
    # Every service behind dies, and the edge finds it again: the bus needs descriptors too.
    for name in ("auth", "router", "publisher-0"):
        before = stack.kill(name)
        await asyncio.to_thread(stack.wait_restarted, name, before)
    for message in messages[100:]:
        await device.send(message)
    heard = 0
    while heard < 30:
        heard += (await app.receive())["session_id"] == device.session
    assert (await device.close())[0] == 1000
    for peer in peers:
        peer.abort()
    await asyncio.to_thread(wait_ready, stack)
    row = await asyncio.to_thread(closed_session, stack, key, device.session, 40)
    assert (row["frames"], row["close_code"]) == (len(messages), 1000)
    await asyncio.to_thread(
        until, "the descriptors are given back",
        lambda: descriptors(stack.pid("edge-0")) < used - len(peers) / 2)
    assert await turned_away(stack, subscribe_upgrade(key)) == b"101"


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_no_descriptor_at_all_is_survived(stack, key, model):
    """The limit falls below what is open: nothing more is accepted until it rises."""
    device = await Peer.ingest(stack, key, model, "goes on")
    pid = stack.pid("edge-0")
    with rest(stack, key) as http:
        path = f"/v1/sessions/{device.session}"
        assert http.get(path).status_code == 200  # and stays connected
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid), LIMIT))
        try:
            waiting = [asyncio.create_task(turned_away(stack, subscribe_upgrade(key)))
                       for _ in range(5)]
            for message in frames(10):
                await device.send(message)
            until("frames go on", lambda: http.get(path).json()["frames"] == 50)
            before = cpu_s(pid)
            await asyncio.sleep(1)
            assert cpu_s(pid) - before < 0.5, "it spins"
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        outcomes = await asyncio.gather(*waiting)
    assert set(outcomes) <= {b"101", b"503", b""}
    assert (await device.close())[0] == 1000
    row = await asyncio.to_thread(closed_session, stack, key, device.session)
    assert row["frames"] == 50
