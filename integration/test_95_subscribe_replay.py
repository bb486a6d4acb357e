"""after= and since=: what an app has missed, then what comes; and the same as an event stream."""
import asyncio
import json
import random
import re
import time
import uuid

import httpx
import pytest
import websockets

from client import (close_of, closed, closed_session, connect, frames, ingest, insights,
                    make_model, receive, rest, stream, subscribe)
from stack import until

STACK = {"edges": 2, "publishers": 1}
WAIT_S = 40


async def fresh(stack):
    """A key of an account of its own, with a model: what it hears is ours alone."""
    key = stack.key()
    return key, make_model(stack, key)


def insights_of(stack, key, session):
    with rest(stack, key) as http:
        return http.get(f"/v1/sessions/{session}/insights").json()


async def history(stack, key, model, device, seconds=60):
    """A closed session's insights, oldest first."""
    session = await stream(stack, key, model, seconds, device)
    closed_session(stack, key, session)
    return insights_of(stack, key, session)


async def hear(socket, ids, seconds=WAIT_S):
    """Reads until every id was heard; what came, in order."""
    got, left = [], set(ids)
    end = time.monotonic() + seconds
    while left:
        message = await receive(socket, max(0.1, end - time.monotonic()))
        if "id" in message:
            got.append(message)
            left.discard(message["id"])
    return got


async def test_after_an_insight_comes_exactly_the_rest_and_then_what_is_new(stack):
    key, model = await fresh(stack)
    past = await history(stack, key, model, "past")
    async with subscribe(stack, key, after=past[9]["id"]) as app:
        assert await receive(app) == {"status": "subscribed"}
        new = await history(stack, key, model, "new", 14)
        got = await hear(app, [new[-1]["id"]])
    assert [i["id"] for i in got] == [i["id"] for i in past[10:] + new]
    assert got[0] == past[10]


async def test_since_a_time_is_inclusive_and_filters_hold_for_both_parts(stack):
    key, model = await fresh(stack)
    past = await history(stack, key, model, "one", 45)
    other = await history(stack, key, model, "two", 45)
    since = past[5]["ts"]
    async with subscribe(stack, key, since=since) as app:
        got = await hear(app, [other[-1]["id"]])
    assert {i["id"] for i in got} == {i["id"] for i in past + other if i["ts"] >= since}
    assert len(got) == len({i["id"] for i in got})
    async with subscribe(stack, key, since=since, device_id="two", type="rr") as app:
        last = [i for i in other if i["type"] == "rr"][-1]
        got = await hear(app, [last["id"]])
        new = await history(stack, key, model, "two", 45)
        await history(stack, key, model, "one", 14)
        got += await hear(app, [[i for i in new if i["type"] == "rr"][-1]["id"]])
    assert [i["id"] for i in got] == [i["id"] for i in other + new if i["type"] == "rr"]


async def test_an_app_that_is_cut_off_at_random_misses_nothing_and_hears_nothing_twice(stack):
    key, model = await fresh(stack)
    rng, got, done = random.Random(7), [], asyncio.Event()

    async def device(name):
        async with ingest(stack, key, model, name) as socket:
            session = (await receive(socket))["session_id"]
            for n, message in enumerate(frames(90)):
                await socket.send(message)
                if n % 10 == 0:
                    await asyncio.sleep(0.02)
        return session

    async def app():
        query = {"since": 0}
        while True:
            async with subscribe(stack, key, **query) as socket:
                for _ in range(rng.randrange(1, 40)):
                    try:
                        message = await receive(socket, 0.5)
                    except asyncio.TimeoutError:
                        if done.is_set():
                            return
                        continue
                    if "id" in message:
                        got.append(message["id"])
                        query = {"after": message["id"]}

    listening = asyncio.create_task(app())
    sessions = await asyncio.gather(*(device(f"cut-{n}") for n in range(4)))
    for session in sessions:
        closed_session(stack, key, session)
    everything = [i["id"] for s in sessions for i in insights_of(stack, key, s)]
    deadline = time.monotonic() + WAIT_S
    while len(got) < len(everything) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    done.set()
    await asyncio.wait_for(listening, WAIT_S)
    assert len(got) == len(set(got)), "twice"
    assert set(got) == set(everything)


async def test_history_survives_a_publisher_that_dies_while_it_is_told(stack):
    key, model = await fresh(stack)
    past = await history(stack, key, model, "dies", 120)
    async with subscribe(stack, key, since=0) as app:
        pid = stack.kill("publisher-0")
        got = await hear(app, [past[-1]["id"]])
        stack.wait_restarted("publisher-0", pid)
    stack.wait_ready()
    assert [i["id"] for i in got] == [i["id"] for i in past]


async def test_what_cannot_be_is_refused_and_anothers_insight_tells_nothing_of_theirs(stack):
    key, model = await fresh(stack)
    for query in ({"after": "x"}, {"since": "yesterday"}, {"since": -1}):
        code, reason = await close_of(subscribe(stack, key, **query))
        assert code == 4004 and reason.startswith(list(query)[0] + ":"), (code, reason)
    theirs = await history(stack, key, model, "theirs", 14)
    other, other_model = await fresh(stack)
    async with subscribe(stack, other, after=theirs[0]["id"]) as app:
        assert await receive(app) == {"status": "subscribed"}
        mine = await history(stack, other, other_model, "mine", 14)
        got = await hear(app, [mine[-1]["id"]])
    assert [i["id"] for i in got] == [i["id"] for i in mine]


# ---- the same feed as Server-Sent Events ----

class Events:
    """GET /stream/subscribe as an EventSource makes it; iterates over (id, event, data)."""

    def __init__(self, stack, key=None, last=None, accept="text/event-stream", **query):
        headers = {"Accept": accept} | ({"Last-Event-ID": last} if last else {})
        self.client = httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=WAIT_S)
        params = query | ({"api_key": key.key} if key else {})
        self.request = self.client.build_request("GET", "/stream/subscribe", params=params,
                                                 headers=headers)

    async def __aenter__(self):
        self.answer = await self.client.send(self.request, stream=True)
        self.events = self.read()
        return self

    async def __aexit__(self, *_):
        await self.answer.aclose()
        await self.client.aclose()

    async def read(self):
        event = {}
        async for line in self.answer.aiter_lines():
            line = line.rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif event:
                if "data" in event:
                    yield event.get("id"), event.get("event"), json.loads(event["data"])
                event = {}

    async def next(self):
        return await asyncio.wait_for(self.events.__anext__(), WAIT_S)


async def test_an_event_stream_tells_the_feed_and_goes_on_behind_the_last_id(stack):
    key, model = await fresh(stack)
    async with Events(stack, key) as app:
        assert app.answer.status_code == 200
        assert app.answer.headers["content-type"] == "text/event-stream"
        assert await app.next() == (None, None, {"status": "subscribed"})
        past = await history(stack, key, model, "events", 30)
        heard = [await app.next() for _ in past]
    assert [(i, e, d) for i, e, d in heard] == [(i["id"], None, i) for i in past]
    async with Events(stack, key, last=past[4]["id"], since=0, type="hr") as app:
        await app.next()
        rest_of = [i for i in past[5:] if i["type"] == "hr"]
        assert [(await app.next())[2] for _ in rest_of] == rest_of


async def test_an_event_stream_is_refused_with_a_status_and_a_problem(stack):
    key, model = await fresh(stack)
    reader = stack.key(key.account, scopes="read")
    for expected, args, query in ((401, (), {}), (403, (reader,), {}),
                                  (400, (key,), {"type": "pulse"}),
                                  (400, (key,), {"after": "x"})):
        async with Events(stack, *args, **query) as app:
            assert app.answer.status_code == expected
            assert app.answer.headers["content-type"] == "application/problem+json"
            assert json.loads(await app.answer.aread())["status"] == expected
    async with Events(stack, key, accept="application/json") as app:
        assert app.answer.status_code == 406


async def test_a_revoke_ends_the_event_stream_and_counts_it(stack):
    key, model = await fresh(stack)
    doomed = stack.key(key.account, scopes="subscribe")
    async with Events(stack, doomed) as app:
        await app.next()
        receipt = stack.admin("key", "revoke", doomed.id)
        with pytest.raises((httpx.HTTPError, StopAsyncIteration)):
            await app.next()
    assert receipt["sockets_closed"]["subscribe"] == 1
    async with Events(stack, doomed) as app:
        assert app.answer.status_code == 401


async def test_an_event_stream_ends_when_its_key_may_subscribe_no_more(stack):
    key, _ = await fresh(stack)
    boss = stack.key(key.account, scopes="keys,ingest,subscribe,read,write")
    held = stack.key(key.account)
    async with Events(stack, held) as app, Events(stack, key) as other:
        await app.next()
        await other.next()
        with rest(stack, boss) as http:
            changed = http.patch(f"/v1/keys/{held.id}", json={"scopes": ["ingest", "read"]})
        assert changed.status_code == 200, changed.text
        with pytest.raises((httpx.HTTPError, StopAsyncIteration)):
            await app.next()
    async with Events(stack, held) as app:
        assert app.answer.status_code == 403


# ---- refusals of what is no request ----

UPGRADE = ("GET {} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: {}\r\n\r\n")


@pytest.mark.parametrize("status, request_text", [
    (404, UPGRADE.format("/stream/nowhere", 13)),
    (426, UPGRADE.format("/stream/ingest", 8)),
    (400, "GET / HTTP/1.1\r\nno colon\r\n\r\n"),
    (431, "GET / HTTP/1.1\r\nHost: " + "a" * 40_000 + "\r\n\r\n"),
    (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
])
async def test_what_is_no_request_is_answered_with_a_problem(stack, status, request_text):
    reader, writer = await asyncio.open_connection(stack.host, stack.port)
    writer.write(request_text.encode())
    answer = await asyncio.wait_for(reader.read(), WAIT_S)
    writer.close()
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == status and problem["detail"] and problem["request_id"]
    assert status != 426 or b"Sec-WebSocket-Version: 13" in head


async def test_an_upgrade_may_ask_to_be_refused_with_a_status(stack):
    key, model = await fresh(stack)
    unknown, reader = stack.key(), stack.key(key.account, scopes="read")
    stack.admin("key", "revoke", unknown.id)
    bound = stack.key(key.account, device_id="polite")
    bare = make_model(stack, key, channels=())
    foreign = make_model(stack, stack.key())

    async def status(path, who=None, **query):
        return await first_of(stack, path, who, **query)

    for path in ("/stream/subscribe", "/stream/ingest"):
        assert await status(path) == 401
        assert await status(path, unknown) == 401
        assert await status(path, reader) == 403
    assert await status("/stream/ingest", key) == 404
    for query in ({"device_id": "", "device_model_id": model["id"]},
                  {"device_id": "a\nb", "device_model_id": model["id"]},
                  {"device_id": "d" * 129, "device_model_id": model["id"]},
                  {"device_id": "d", "device_model_id": "nonsense"},
                  {"device_id": "d", "device_model_id": str(uuid.uuid4())},
                  {"device_id": "d", "device_model_id": foreign["id"]},
                  {"device_id": "d", "device_model_id": bare["id"]},
                  {"device_id": "d", "device_model_id": model["id"], "resume": "nonsense"},
                  {"device_id": "d", "device_model_id": model["id"],
                   "resume": str(uuid.uuid4())}):
        assert await status("/stream/ingest", key, **query) == 404, query
    assert await status("/stream/ingest", bound, device_id="other",
                        device_model_id=model["id"]) == 403
    for query in ({"type": "mood"}, {"session_id": "nonsense"}, {"after": "x"}, {"since": "x"}):
        assert await status("/stream/subscribe", key, **query) == 404, query
    assert await status("/stream/subscribe", key) == {"status": "subscribed"}
    hello = await status("/stream/ingest", key, device_id="polite", device_model_id=model["id"])
    assert "session_id" in hello


async def first_of(stack, path, who=None, **query):
    """The status of the upgrade, or the first message."""
    try:
        async with connect(stack, path, who, reject="http", **query) as socket:
            return await receive(socket)
    except websockets.InvalidHandshake as refused:
        response = getattr(refused, "response", None)
        return response.status_code if response else refused.status_code


async def test_a_socket_that_asked_for_statuses_is_one_as_any_other(stack):
    key, model = await fresh(stack)
    query = {"reject": "http", "ack": "1"}
    async with subscribe(stack, key, reject="http", since="0") as ear, \
            ingest(stack, key, model, "polite-2", **query) as socket:
        assert (await receive(ear))["status"] == "subscribed"
        session = (await receive(socket))["session_id"]
        for one in frames(12):
            await socket.send(one)
        while (await receive(socket))["ack"] < 60:
            pass
        assert (await insights(ear, 1))[0]["session_id"] == session
        async with ingest(stack, key, model, "polite-2", **query) as newer:
            await receive(newer)
            assert (await closed(socket))[0] == 4009
            await asyncio.to_thread(stack.admin, "key", "revoke", key.id)
            for one in (newer, ear):
                assert (await closed(one))[0] in (4001, 1006)


async def test_a_refused_upgrade_says_why_and_leaves_nothing_behind(stack):
    key, model = await fresh(stack)
    path = f"/stream/ingest?reject=http&api_key={key.key}&device_id=gone&device_model_id="
    reader, writer = await asyncio.open_connection(stack.host, stack.port)
    for id, status in ((uuid.uuid4(), 404), ("nonsense", 404), (uuid.uuid4(), 404)):
        writer.write(UPGRADE.format(f"{path}{id}", 13).encode())  # on one connection
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
        assert head.startswith(b"HTTP/1.1 %d " % status)
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])
        problem = json.loads(await asyncio.wait_for(reader.readexactly(length), WAIT_S))
        assert problem["status"] == status and problem["detail"].startswith("device_model_id")
    writer.close()
    for _ in range(3):  # clients that do not wait for the answer
        reader, writer = await asyncio.open_connection(stack.host, stack.port)
        writer.write(UPGRADE.format(f"{path}{model['id']}", 13).encode())
        await writer.drain()
        writer.close()
    end = time.monotonic() + WAIT_S
    while not isinstance(await first_of(stack, "/stream/ingest", key, device_id="gone",
                                        device_model_id=model["id"]), dict):
        assert time.monotonic() < end  # one of those above may come late, and take over
    with rest(stack, key) as http:
        until("no session stays open", lambda: not http.get("/v1/sessions?status=open").json(), 30)
