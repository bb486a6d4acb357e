"""kill -9 of each service while a device streams: it goes on, and nothing is lost."""
import asyncio
import os
import signal
import time
from functools import partial

import pytest

from client import (closed, closed_session, frames, ingest, is_open, receive, rest, stream,
                    subscribe)
from edges import open_on
from stack import until

STACK = {"edges": 2, "publishers": 2}
SECONDS = 60  # of signal, sent in a few seconds


def values(stack, key, session):
    with rest(stack, key) as http:
        rows = http.get(f"/v1/sessions/{session}/insights").json()
    return [(row["type"], row["t"], row["value"], row["confidence"]) for row in rows]


@pytest.fixture(scope="module")
def undisturbed(stack, key, model):
    """What a session with this signal gives when nothing dies."""
    session = asyncio.run(stream(stack, key, model, SECONDS, "undisturbed",
                                 t0_ms=1_750_000_000_000))
    closed_session(stack, key, session)
    found = values(stack, key, session)
    assert len(found) > 30
    return found


async def paced(socket, messages, seconds):
    """Sends them evenly over so many seconds of real time."""
    began = time.monotonic()
    for n, message in enumerate(messages):
        await socket.send(message)
        ahead = n * seconds / len(messages) - (time.monotonic() - began)
        if ahead > 0:
            await asyncio.sleep(ahead)


@pytest.mark.parametrize("name", ["auth", "router", "publisher-0", "publisher-1"])
async def test_a_device_does_not_notice_the_death_of_a_service_behind(
        stack, key, model, undisturbed, name):
    stack.wait_ready()
    messages = list(frames(SECONDS, t0_ms=1_750_000_000_000))
    device = f"streams while {name} dies"
    async with subscribe(stack, key) as app:
        await receive(app)
        async with ingest(stack, key, model, device) as socket:
            session = (await receive(socket))["session_id"]
            sender = asyncio.create_task(paced(socket, messages, 4))
            for _ in range(2):
                await asyncio.sleep(1)
                before = stack.kill(name)
                await asyncio.to_thread(stack.wait_restarted, name, before)
            await sender
            assert is_open(socket)
        row = await asyncio.to_thread(closed_session, stack, key, session)
        assert row["frames"] == len(messages) and row["close_code"] == 1000
        assert values(stack, key, session) == undisturbed
        heard = []
        while len(heard) < len(undisturbed):
            message = await receive(app)
            if message["session_id"] == session:
                heard.append(message)
    assert len({message["id"] for message in heard}) == len(heard)  # once each
    assert [(m["type"], m["t"], m["value"], m["confidence"])
            for m in sorted(heard, key=lambda m: m["id"])] == undisturbed


async def test_a_device_reconnects_when_its_edge_dies(stack, key, model):
    """What the edge had got acknowledged is kept; the session is closed as lost."""
    stack.wait_ready()
    messages = list(frames(20))
    socket, hello = await open_on(stack, "edge-0", partial(ingest, stack, key, model, "edge"))
    for message in messages[:50]:
        await socket.send(message)
    first = hello["session_id"]
    with rest(stack, key) as http:
        until("they are stored",
              lambda: http.get(f"/v1/sessions/{first}").json()["frames"] == 50)
    before = stack.kill("edge-0")
    assert (await closed(socket))[0] == 1006
    async with ingest(stack, key, model, "edge") as socket:
        second = (await receive(socket))["session_id"]
        for message in messages[50:]:
            await socket.send(message)
    assert closed_session(stack, key, second)["frames"] == len(messages) - 50
    row = closed_session(stack, key, first, 30)
    assert row["frames"] == 50 and row["close_code"] in (1006, 4009)
    stack.wait_restarted("edge-0", before)


async def test_the_session_of_an_edge_that_died_is_closed_without_the_device(stack, key, model):
    stack.wait_ready()
    socket, hello = await open_on(stack, "edge-1", partial(ingest, stack, key, model, "orphan"))
    for message in frames(12):
        await socket.send(message)
    session = hello["session_id"]
    with rest(stack, key) as http:
        until("they are stored",
              lambda: http.get(f"/v1/sessions/{session}").json()["frames"] == 60)
    stack.wait_restarted("edge-1", stack.kill("edge-1"))
    row = closed_session(stack, key, session, 40)
    assert (row["close_code"], row["frames"]) == (1006, 60)
    with rest(stack, key) as http:
        until("the directory agrees", lambda: session not in {
            r["id"] for r in http.get("/v1/sessions?status=open").json()})
        assert len(http.get(f"/v1/sessions/{session}/insights").json()) >= 3


async def test_an_app_on_the_other_edge_hears_on_while_one_dies(stack, key, model):
    stack.wait_ready()
    app, _ = await open_on(stack, "edge-0", partial(subscribe, stack, key))
    device, hello = await open_on(stack, "edge-0", partial(ingest, stack, key, model, "other"))
    before = stack.kill("edge-1")
    for message in frames(12):
        await device.send(message)
    while (await receive(app))["session_id"] != hello["session_id"]:
        pass
    await device.close()
    await app.close()
    stack.wait_restarted("edge-1", before)


async def test_all_services_behind_die_at_once(stack, key, model, undisturbed):
    stack.wait_ready()
    messages = list(frames(SECONDS, t0_ms=1_750_000_000_000))
    async with ingest(stack, key, model, "all at once") as socket:
        session = (await receive(socket))["session_id"]
        sender = asyncio.create_task(paced(socket, messages, 4))
        await asyncio.sleep(1.5)
        names = ("auth", "router", "publisher-0", "publisher-1")
        before = {name: stack.kill(name) for name in names}
        for name in names:
            await asyncio.to_thread(stack.wait_restarted, name, before[name])
        await sender
        assert is_open(socket)
    row = await asyncio.to_thread(closed_session, stack, key, session, 40)
    assert row["frames"] == len(messages) and row["close_code"] == 1000
    assert values(stack, key, session) == undisturbed


async def test_raeh_up_itself_is_killed_and_started_again(stack, key, model):
    """Whatever was stored before is there after, and the open session is closed as lost."""
    stack.wait_ready()
    socket = await ingest(stack, key, model, "power cut")
    session = (await receive(socket))["session_id"]
    for message in frames(20):
        await socket.send(message)
    with rest(stack, key) as http:
        until("they are stored",
              lambda: http.get(f"/v1/sessions/{session}").json()["frames"] == 100)
    stack.check()
    os.kill(stack.process.pid, signal.SIGKILL)
    assert (await closed(socket))[0] == 1006
    stack.process.wait()
    until("everything is gone", lambda: not stack.processes())
    stack.restart()
    row = closed_session(stack, key, session, 60)
    assert (row["frames"], row["close_code"]) == (100, 1006)
    assert "session_id" in await receive(await ingest(stack, key, model, "power cut"))
