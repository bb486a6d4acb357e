"""An edge that is cut off, paused or killed; auth that dies at the worst moment."""
import asyncio
import http.client
import json
import os
import signal
import subprocess
import time

import pytest

from client import close_of, closed_session, frame, frames, rest, session_of, subscribe
from edges import connection_to
from fleet import digest, stored, wait_ready
from raw import Peer
from stack import ROOT, Stack, until

LEASE_MS = 2000
LEASE_S = LEASE_MS / 1000


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library,
                    ROOT / "integration/preload/faults.c"], check=True)
    stack = Stack("--lease-ms", str(LEASE_MS), edges=2, publishers=1)
    stack.env |= {"LD_PRELOAD": str(library), "FAULTS_DIR": str(stack.data / "run"),
                  "ASAN_OPTIONS": stack.env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
    yield stack.start()
    stack.close()


@pytest.fixture(scope="module")
def faults(stack):
    """The directory that the fault injector looks into: one in which every service may write."""
    return stack.data / "run"


async def stored_frames(stack, key, session, n, through=None):
    """through: a connection to an edge that is not stopped; others may reach one that is."""
    def found():
        if through is None:
            return session_of(stack, key, session)
        through.request("GET", f"/v1/sessions/{session}", headers=key.headers)
        return json.loads(through.getresponse().read())

    await asyncio.to_thread(
        until, f"{n} frames are stored", lambda: found()["frames"] >= n, 20)


async def test_a_stopped_edge_delays_a_revoke_by_its_lease_and_then_moves_nothing(
        stack, key, model):
    doomed = stack.key(key.account)
    device = await Peer.ingest(stack, doomed, model, "stopped", edge="edge-0")
    app = await Peer.subscribe(stack, doomed, edge="edge-0")
    other = await Peer.ingest(stack, key, model, "other", edge="edge-1")  # is heard
    through = http.client.HTTPConnection(stack.host, stack.port)
    through.sock = connection_to(stack, "edge-1")
    sent = list(frames(100))
    for message in sent[:50]:
        await device.send(message)
    await stored_frames(stack, key, device.session, 50)

    pid = stack.pid("edge-0")
    stopped_ms = time.time() * 1000
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        asked = asyncio.create_task(asyncio.to_thread(
            stack.admin, "key", "revoke", doomed.id))
        for message in sent[50:]:  # into the kernel's buffers of the stopped edge
            await device.send(message)
        receipt = await asked
        took = time.monotonic() - began
        for message in sent[:200]:
            await other.send(message)
        await stored_frames(stack, key, other.session, 200, through)
    finally:
        os.kill(pid, signal.SIGCONT)
        through.close()
    print(f"lease {LEASE_S} s: the revoke was answered after {took:.2f} s")
    assert receipt["edges_total"] == 2 and receipt["edges_acked"] == 1

    heard = []
    while (message := await app.receive(10)) is not None:
        if message["ts"] >= stopped_ms:  # the others were handed over before
            heard.append(message)
    assert heard == [], "insights were handed to a dead key"
    assert app.code in (4001, 1006)
    assert (await device.closed(10))[0] in (4001, 1006)
    row = await asyncio.to_thread(closed_session, stack, key, device.session)
    assert row["frames"] == 50, "frames of a dead key were stored"
    await asyncio.sleep(1)
    assert session_of(stack, key, device.session)["frames"] == 50
    await other.close()


async def test_an_edge_stopped_beyond_its_lease_goes_on_with_what_it_has(stack, key, model):
    """Nothing was revoked: its sockets live; what it has read is stored."""
    device = await Peer.ingest(stack, key, model, "patient", edge="edge-0")
    app = await Peer.subscribe(stack, key, edge="edge-0")
    sent = list(frames(30))
    pid = stack.pid("edge-0")
    os.kill(pid, signal.SIGSTOP)
    try:
        for message in sent:
            await device.send(message)
        await asyncio.sleep(LEASE_S + 1)
    finally:
        os.kill(pid, signal.SIGCONT)
    while (await app.receive(20))["session_id"] != device.session:
        pass  # said of an earlier test's device
    code, reason = await device.close()
    row = await asyncio.to_thread(closed_session, stack, key, device.session)
    # The router may have looked while auth did not count on the edge: then it is told so.
    assert (code, row["close_code"]) in ((1000, 1000), (1013, 1006)), (reason, row)
    assert code == 1013 or row["frames"] == len(sent)
    app.abort()


async def test_auth_away_beyond_the_lease_pauses_and_then_everything_goes_on(stack, key, model):
    device = await Peer.ingest(stack, key, model, "without auth", edge="edge-0")
    sent = list(frames(40))
    for message in sent[:50]:
        await device.send(message)
    await stored_frames(stack, key, device.session, 50)
    pid = stack.pid("auth")
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(LEASE_S + 0.5)
        for message in sent[50:]:
            await device.send(message)
        await asyncio.sleep(1)
        assert (await asyncio.to_thread(session_of_paused, stack, key))[0] == 503
    finally:
        os.kill(pid, signal.SIGCONT)
    await stored_frames(stack, key, device.session, len(sent))
    assert session_of(stack, key, device.session)["frames"] == len(sent)
    assert (await device.close())[0] == 1000


def session_of_paused(stack, key):
    with rest(stack, key) as http:
        answer = http.get("/v1/sessions")
        return answer.status_code, answer.headers.get("retry-after")


@pytest.mark.parametrize("syncs", [1, 2])
async def test_auth_dies_between_a_revokes_commit_and_its_broadcast(
        stack, key, model, faults, syncs):
    """It dies right after a sync, before it says a word: the revoke is durable, and after the
    restart it is in force and answered without anybody asking again."""
    doomed = stack.key(key.account)
    device = await Peer.ingest(stack, doomed, model, f"after sync {syncs}", edge="edge-0")
    app = await Peer.subscribe(stack, doomed, edge="edge-1")
    stack.killed += 1
    before = stack.pid("auth")
    (faults / "die.raeh-auth").touch()
    asked = asyncio.create_task(asyncio.to_thread(
        stack.raeh, "key", "revoke", doomed.id, "--data", stack.data, status=None))
    await asyncio.to_thread(stack.wait_restarted, "auth", before)
    if syncs == 2:  # once more: its receipt's, or another registration's
        stack.killed += 1
        before = stack.pid("auth")
        (faults / "die.raeh-auth").touch()
        await asyncio.to_thread(stack.wait_restarted, "auth", before)
    assert (await device.closed(15))[0] == 4001
    assert (await app.closed(15))[0] == 4001
    await asked
    receipt = await asyncio.to_thread(stack.admin, "key", "revoke", doomed.id)
    assert receipt["edges_total"] == 2
    await asyncio.to_thread(wait_ready, stack)
    assert (await close_of(subscribe(stack, doomed)))[0] == 4001


@pytest.mark.parametrize("name", ["publisher-0", "router"])
async def test_a_service_dies_right_after_a_sync_again_and_again(stack, key, model, faults, name):
    """Durable, and nobody was told: what was asked again must find it done, once."""
    messages = list(frames(36, t0_ms=1_750_000_000_000))
    device = await Peer.ingest(stack, key, model, f"{name} after syncs")
    for n, message in enumerate(messages):
        if n % 60 == 0:
            before = stack.pid(name)
            (faults / f"die.raeh-{name.split('-')[0]}").touch()
            if name == "router":  # it writes when a session opens
                other = asyncio.create_task(Peer.ingest(stack, key, model, f"opens {n}"))
            stack.killed += 1
        await device.send(message)
        if n % 60 == 59:
            await asyncio.to_thread(stack.wait_restarted, name, before)
            if name == "router":
                await (await other).close()
    assert (await device.close())[0] == 1000
    row = await asyncio.to_thread(closed_session, stack, key, device.session, 40)
    assert (row["frames"], row["close_code"]) == (len(messages), 1000)
    with rest(stack, key) as http:
        found = http.get(f"/v1/sessions/{device.session}/insights").json()
        until("all are closed", lambda: http.get("/v1/sessions?status=open").json() == [], 20)
    assert len(found) == len({(i["type"], i["t"]) for i in found}) > 10


async def test_a_killed_edge_loses_at_most_what_was_not_acknowledged(stack, key, model):
    """What is stored is the beginning of what was sent, frame by frame."""
    sent = {}
    for turn in range(3):
        peers = [await Peer.ingest(stack, key, model, f"falls-{turn}-{n}", edge="edge-0")
                 for n in range(3)]
        messages = list(frames(200, t0_ms=1_750_000_000_000 + turn))
        for peer in peers:
            sent[peer.session] = messages
            for message in messages[:400]:
                await peer.send(message)
        before = stack.kill("edge-0")
        for peer in peers:
            assert (await peer.closed())[0] == 1006
        await asyncio.to_thread(stack.wait_restarted, "edge-0", before)
        await asyncio.to_thread(wait_ready, stack)
    for session in sent:
        row = await asyncio.to_thread(closed_session, stack, key, session, 30)
        assert row["close_code"] == 1006
    stack.check()
    stack.stop()
    rows = stored(stack)
    counts = []
    for session, messages in sent.items():
        row = rows.get(session, {"frames": 0, "gap": 0, "digest": digest([])})
        assert row["gap"] == 0 and row["digest"] == digest(messages[:row["frames"]])
        counts.append(row["frames"])
    print(f"of 400 frames each were stored {counts}")
    stack.restart()


async def test_the_wall_clock_is_set_back_and_forth(stack, key, model, faults):
    """Leases, sessions and what is published do not care; only stamps do."""
    device = await Peer.ingest(stack, key, model, "under a moving clock")
    app = await Peer.subscribe(stack, key)
    messages = list(frames(60, t0_ms=1_750_000_000_000))
    sessions = []
    for n, off_s in enumerate((-3600, 0, 86400, -86400, 5, 0)):
        (faults / "wall").write_text(str(off_s * 1000))
        for message in messages[n * 50:(n + 1) * 50]:
            await device.send(message)
        await stored_frames(stack, key, device.session, 50 * (n + 1))
        peer = await Peer.ingest(stack, key, model, f"begins {off_s}")
        await peer.send(frame(0, 1000, [1] * 20))
        await peer.close()
        sessions.append(peer.session)
        doomed = await asyncio.to_thread(stack.key, key.account)
        receipt = await asyncio.to_thread(stack.admin, "key", "revoke", doomed.id)
        assert receipt["edges_acked"] == 2  # it waited for no lease
        assert receipt["elapsed_ms"] >= 0
        assert is_paused(stack, key) is False
    heard = []
    assert (await device.close())[0] == 1000
    row = await asyncio.to_thread(closed_session, stack, key, device.session)
    assert row["frames"] == len(messages)
    with rest(stack, key) as http:
        found = http.get(f"/v1/sessions/{device.session}/insights").json()
    while len(heard) < len(found):
        message = await app.receive(10)
        heard += [message] if message["session_id"] == device.session else []
    assert {m["id"] for m in heard} == {m["id"] for m in found} and len(found) > 20
    for session in sessions:
        closed_session(stack, key, session)
    app.abort()


async def test_an_orphan_is_closed_though_the_clock_was_set_back(stack, key, model, faults):
    """The edge dies in an hour that has yet to come."""
    (faults / "wall").write_text("3600000")
    peer = await Peer.ingest(stack, key, model, "from tomorrow", edge="edge-1")
    await peer.send(frame(0, 1000, [1] * 20))
    await stored_frames(stack, key, peer.session, 1)
    (faults / "wall").write_text("0")
    await asyncio.to_thread(stack.wait_restarted, "edge-1", stack.kill("edge-1"))
    row = await asyncio.to_thread(closed_session, stack, key, peer.session, 30)
    assert row["close_code"] == 1006


def is_paused(stack, key):
    with rest(stack, key) as http:
        return http.get("/v1/sessions").status_code != 200
