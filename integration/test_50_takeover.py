"""One device, one session: a newer connection wins, wherever the older one is."""
import asyncio
from functools import partial

from client import (closed, closed_session, frame, frames, ingest, is_open, make_model, receive,
                    rest, session_of, subscribe)
from edges import open_on
from stack import until

STACK = {"edges": 2, "publishers": 2}


async def test_the_newer_connection_wins_across_two_edges(stack, key, model):
    old, first = await open_on(stack, "edge-0", partial(ingest, stack, key, model, "a"))
    new, second = await open_on(stack, "edge-1", partial(ingest, stack, key, model, "a"))
    code, reason = await closed(old)
    assert code == 4009 and "superseded" in reason
    await new.send(frame(0, 1000, [1] * 20))
    assert is_open(new)
    row = closed_session(stack, key, first["session_id"])
    assert (row["close_code"], row["close_reason"]) == (code, reason)
    await new.close()
    assert closed_session(stack, key, second["session_id"])["close_code"] == 1000


async def test_the_older_session_is_closed_before_the_first_insight_of_the_newer(
        stack, key, model):
    """Both stream at full speed: what an app hears never goes back to the older one."""
    async with subscribe(stack, key) as app:
        await receive(app)
        for turn in range(3):
            device = f"turn-{turn}"
            old, first = await open_on(stack, "edge-0",
                                       partial(ingest, stack, key, model, device))
            for message in frames(30):
                await old.send(message)

            async def keep_sending(socket=old):
                try:
                    for message in frames(600, t0_ms=1_900_000_000_000):
                        await socket.send(message)
                        await asyncio.sleep(0.001)
                except Exception:
                    pass  # closed under it, as it should be

            sender = asyncio.create_task(keep_sending())
            new, second = await open_on(stack, "edge-1",
                                        partial(ingest, stack, key, model, device))
            for message in frames(30):
                await new.send(message)
            assert (await closed(old))[0] == 4009
            await sender
            heard = []
            while heard.count(second["session_id"]) < 8:
                heard.append((await receive(app))["session_id"])
            change = heard.index(second["session_id"])
            assert first["session_id"] not in heard[change:]
            row = session_of(stack, key, first["session_id"])
            assert (row["status"], row["close_code"]) == ("closed", 4009)
            await new.close()


async def test_of_many_connections_of_a_device_one_is_left(stack, key, model):
    """Twenty at once on both edges: nineteen hear 4009, and the directory agrees."""
    sockets = await asyncio.gather(*(ingest(stack, key, model, "crowd") for _ in range(20)))
    ends = {}

    async def watch(n, socket):
        ends[n] = await closed(socket, 60)

    watchers = [asyncio.create_task(watch(n, socket)) for n, socket in enumerate(sockets)]
    await asyncio.wait(watchers, timeout=8)
    assert len(ends) == 19 and {code for code, _ in ends.values()} == {4009}
    left, = set(range(20)) - set(ends)
    assert is_open(sockets[left])
    with rest(stack, key) as http:
        until("one session is open", lambda: len(open_of(http, "crowd")) == 1)
    await sockets[left].send(frame(0, 1, [1] * 20))
    await sockets[left].close()
    await asyncio.gather(*watchers)
    with rest(stack, key) as http:
        until("none is open", lambda: open_of(http, "crowd") == [])


def open_of(http, device):
    return [row for row in http.get("/v1/sessions?status=open&limit=200").json()
            if row["device_id"] == device]


async def test_a_device_of_another_model_or_account_is_another_device(stack, key, model):
    other_key = stack.key()
    other_model = make_model(stack, key)
    others_model = make_model(stack, other_key)
    sockets = [await ingest(stack, key, model, "same"),
               await ingest(stack, key, other_model, "same"),
               await ingest(stack, other_key, others_model, "same")]
    for socket in sockets:
        assert "session_id" in await receive(socket)
    await asyncio.sleep(0.5)
    for n, socket in enumerate(sockets):
        assert is_open(socket)
        await socket.send(frame(0, 1, [1] * 20))
        await socket.close()


async def test_a_session_has_one_end_wherever_it_is_read(stack, key, model):
    """Racing connections of one device, and one that ends by itself: list and detail agree."""
    sockets = await asyncio.gather(*[ingest(stack, key, model, "race") for _ in range(8)],
                                   return_exceptions=True)
    for socket in sockets:
        if not isinstance(socket, BaseException):
            await socket.close()

    def settled():
        with rest(stack, key) as http:
            rows = [row for row in http.get("/v1/sessions?limit=200").json()
                    if row["device_id"] == "race"]
            return rows and all(row["status"] == "closed" for row in rows) and rows

    rows = until("every session of the race closed", settled)
    with rest(stack, key) as http:
        differing = []
        for row in rows:
            detail = http.get(f"/v1/sessions/{row['id']}")
            if detail.status_code == 200 and detail.json()["ended_at"] != row["ended_at"]:
                differing.append((row, detail.json()))
    assert not differing
