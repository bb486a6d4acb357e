"""A revoked key: every socket of it closes, on every edge, before the revoke is answered."""
import asyncio
import os
import re
import signal
import time
from functools import partial

import pytest

from client import (close_of, closed, closed_session, frame, frames, ingest, is_open, receive,
                    rest, subscribe)
from edges import open_on

STACK = {"edges": 2, "publishers": 2}


def problem_free_receipt(receipt, edges=2):
    assert {"revoked_at", "sockets_closed", "edges_acked", "edges_total",
            "elapsed_ms"} <= set(receipt)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", receipt["revoked_at"])
    assert receipt["edges_acked"] == receipt["edges_total"] == edges
    assert 0 <= receipt["elapsed_ms"] < 25000  # no lease was waited for
    return receipt


async def revoke(stack, key):
    return await asyncio.to_thread(stack.admin, "key", "revoke", key.id)


async def test_every_socket_of_the_key_closes_with_4001_on_both_edges(stack, key, model):
    doomed = stack.key(key.account)
    devices, apps = [], []
    for n, edge in enumerate(["edge-0", "edge-1", "edge-0"]):
        socket, hello = await open_on(stack, edge,
                                      partial(ingest, stack, doomed, model, f"doomed-{n}"))
        devices.append((socket, hello["session_id"]))
    for edge in ("edge-0", "edge-1"):
        apps.append((await open_on(stack, edge, partial(subscribe, stack, doomed)))[0])
    # A sibling key of the account, on both edges too.
    sibling = [(await open_on(stack, edge, partial(ingest, stack, key, model, edge)))[0]
               for edge in ("edge-0", "edge-1")]

    receipt = problem_free_receipt(await revoke(stack, doomed))
    assert receipt["sockets_closed"] == {"ingest": 3, "subscribe": 2}
    for socket in [socket for socket, _ in devices] + apps:
        code, reason = await closed(socket)
        assert code == 4001 and reason
    for _, session in devices:
        assert closed_session(stack, key, session)["close_code"] == 4001
    for socket in sibling:
        await socket.send(frame(0, 1, [1] * 20))
        assert is_open(socket)
        await socket.close()


async def test_a_dead_key_is_refused_everywhere(stack, key, model):
    doomed = stack.key(key.account)
    with rest(stack, doomed) as http:
        assert http.get("/v1/sessions").status_code == 200
        await revoke(stack, doomed)
        for _ in range(8):  # both edges
            with rest(stack, doomed) as fresh:
                assert fresh.get("/v1/sessions").status_code == 401
        assert http.get("/v1/sessions").status_code == 401
    for _ in range(8):
        assert (await close_of(ingest(stack, doomed, model)))[0] == 4001
        assert (await close_of(subscribe(stack, doomed)))[0] == 4001


async def test_a_repeated_revoke_has_the_same_receipt(stack, key, model):
    doomed = stack.key(key.account)
    async with subscribe(stack, doomed) as app:
        await receive(app)
        receipts = await asyncio.gather(*(revoke(stack, doomed) for _ in range(3)))
        assert (await closed(app))[0] == 4001
    assert receipts[0]["sockets_closed"] == {"ingest": 0, "subscribe": 1}
    assert receipts == [receipts[0]] * 3
    assert await revoke(stack, doomed) == receipts[0]


async def test_nothing_received_after_the_answer_is_stored_and_nothing_is_heard(
        stack, key, model):
    """A device that streams and an app that listens, while the key dies."""
    doomed = stack.key(key.account)
    device, hello = await open_on(stack, "edge-0", partial(ingest, stack, doomed, model, "last"))
    app, _ = await open_on(stack, "edge-1", partial(subscribe, stack, doomed))
    answered = asyncio.Event()
    sent_before = 0
    heard_after = []

    async def send():
        nonlocal sent_before
        try:
            for message in frames(2000):
                await device.send(message)
                if not answered.is_set():
                    sent_before += 1
                await asyncio.sleep(0.002)
        except Exception:
            pass

    async def hear():
        while True:
            message = await app.recv()
            if answered.is_set():
                heard_after.append(message)

    sender, hearer = asyncio.create_task(send()), asyncio.create_task(hear())
    await asyncio.sleep(1)
    await revoke(stack, doomed)
    answered.set()
    await sender
    with pytest.raises(Exception):
        await hearer
    assert device.close_code == 4001 and app.close_code in (4001, 1006)
    row = closed_session(stack, key, hello["session_id"])
    assert 0 < row["frames"] <= sent_before and row["close_code"] == 4001
    before = row["frames"]
    await asyncio.sleep(1)
    assert closed_session(stack, key, hello["session_id"])["frames"] == before
    assert heard_after == []  # what was on its way came before the close frame


async def test_a_reconnect_that_races_the_revoke_loses(stack, key, model):
    """Clients that reconnect all the time: once the revoke is answered, none stays."""
    doomed = stack.key(key.account)
    done = asyncio.Event()
    open_now = set()

    async def client(n):
        while not done.is_set():
            try:
                async with ingest(stack, doomed, model, f"race-{n}") as socket:
                    await receive(socket)
                    open_now.add(socket)
                    await socket.send(frame(0, 1, [1] * 20))
                    await asyncio.wait_for(socket.wait_closed(), 30)
            except Exception:
                pass
            await asyncio.sleep(0)

    clients = [asyncio.create_task(client(n)) for n in range(20)]
    await asyncio.sleep(0.7)
    await revoke(stack, doomed)
    await asyncio.sleep(1)
    done.set()
    assert open_now
    await asyncio.wait_for(asyncio.gather(*clients), 30)
    for socket in open_now:
        assert socket.close_code in (4001, 4009), socket.close_code


async def test_five_hundred_sockets_close_quickly(stack, key, model):
    doomed = stack.key(key.account)
    sockets = await asyncio.gather(*(subscribe(stack, doomed) for _ in range(250)))
    sockets += await asyncio.gather(*(ingest(stack, doomed, model, f"many-{n}")
                                      for n in range(250)))
    for socket in sockets:
        await receive(socket)
    receipt = problem_free_receipt(await revoke(stack, doomed))
    assert receipt["sockets_closed"] == {"ingest": 250, "subscribe": 250}
    for socket in sockets:
        assert (await closed(socket))[0] == 4001


async def test_no_restart_brings_a_key_back(stack, key, model):
    doomed = stack.key(key.account)
    await revoke(stack, doomed)
    for name in ("auth", "edge-0", "edge-1"):
        stack.wait_restarted(name, stack.kill(name))
        stack.wait_ready()
        assert (await close_of(subscribe(stack, doomed)))[0] == 4001
    with rest(stack, doomed) as http:
        assert http.get("/v1/sessions").status_code == 401


async def test_a_revoke_does_not_wait_for_an_edge_that_was_killed(stack, key):
    doomed = stack.key(key.account)
    before = stack.kill("edge-1")
    began = time.monotonic()
    await revoke(stack, doomed)
    assert time.monotonic() - began < 25  # its lease would last 30 s
    stack.wait_restarted("edge-1", before)


async def test_a_revoke_goes_on_when_auth_dies_in_the_middle(stack, key, model):
    """An edge that is stopped holds the answer up; auth dies meanwhile and finishes it."""
    doomed = stack.key(key.account)
    app, _ = await open_on(stack, "edge-0", partial(subscribe, stack, doomed))
    stopped = stack.pid("edge-1")
    os.kill(stopped, signal.SIGSTOP)
    try:
        asked = asyncio.create_task(asyncio.to_thread(
            stack.raeh, "key", "revoke", doomed.id, "--data", stack.data, status=None))
        assert (await closed(app))[0] == 4001  # at once where it can be
        assert not asked.done()
        stack.wait_restarted("auth", stack.kill("auth"))
    finally:
        os.kill(stopped, signal.SIGCONT)
    await asked
    receipt = await revoke(stack, doomed)
    assert receipt["edges_acked"] == receipt["edges_total"]
    assert (await close_of(subscribe(stack, doomed)))[0] == 4001


def test_a_key_that_never_was_cannot_be_revoked(stack):
    for id in ("018f0000-0000-7000-8000-000000000000", "x"):
        done = stack.raeh("key", "revoke", id, "--data", stack.data, status=1)
        assert "no such key" in done.stderr


def test_a_revoked_key_is_gone_from_the_list(stack, key):
    doomed = stack.key(key.account)
    assert doomed.id in {row["id"] for row in listed(stack, key)}
    stack.admin("key", "revoke", doomed.id)
    rows = {row["id"]: row for row in listed(stack, key)}
    assert doomed.id not in rows
    assert key.id in rows and "key" not in rows[key.id]
    assert rows[key.id]["hint"] == key.key[5:9]


def listed(stack, key):
    return stack.admin("key", "list", "--account", key.account)
