"""Limits of keys and of addresses: what a client meets that does too much, and who does not."""
import asyncio
import contextlib
import time

import pytest
import websockets

from client import closed, connect, frame, ingest, is_open, make_model, receive, rest, subscribe
from stack import Key, until

REQUESTS = 20  # a second; five times as many at once
STACK = {"edges": 2, "args": [
    "--behind-proxy", "--limit-requests", str(REQUESTS), "--limit-sockets", "4",
    "--limit-connections", "3", "--limit-bytes", "1048576", "--address-connections", "2"]}


def fresh(stack, **options):
    """Nobody else has used it, so nothing of its limits is used."""
    return stack.key(**options)


def remaining(answer):
    return int(answer.headers["RateLimit-Remaining"])


def test_every_keyed_answer_says_what_is_left(stack):
    key = fresh(stack)
    with rest(stack, key) as http:
        answers = [http.get("/v1/sessions"), http.get("/v1/keys"),  # 200, 403
                   http.get("/v1/sessions/nonsense"), http.get("/v1/sessions?limit=0"),
                   http.head("/v1/sessions")]
    assert [answer.status_code for answer in answers] == [200, 403, 404, 400, 200]
    for answer in answers:
        assert 1 <= int(answer.headers["RateLimit-Limit"]) <= 5 * REQUESTS
        assert 0 <= remaining(answer) < 5 * REQUESTS
        assert 0 <= int(answer.headers["RateLimit-Reset"]) <= 5
        assert "RateLimit-Remaining" in answer.headers["Access-Control-Expose-Headers"]
    with rest(stack) as nobody:
        assert "RateLimit-Limit" not in nobody.get("/v1/sessions").headers
        assert "RateLimit-Limit" not in nobody.get("/healthz").headers


def test_a_key_that_asks_too_much_is_told_429_and_when_to_come_again(stack):
    greedy, other = fresh(stack), fresh(stack)
    with rest(stack, greedy) as http, rest(stack, other) as calm:
        def refused():
            answer = http.get("/v1/sessions")
            return answer if answer.status_code == 429 else None
        answer = until("429", refused, 60, every=0)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == 429 and "requests" in answer.json()["detail"]
        assert int(answer.headers["Retry-After"]) >= 1 and remaining(answer) == 0
        assert calm.get("/v1/sessions").status_code == 200
        until("it may ask again", lambda: http.get("/v1/sessions").status_code == 200, 30, 0.2)


def test_edges_divide_the_limit_of_a_key(stack):
    """Under load each of the two edges is given a part of it."""
    key = fresh(stack)

    def part():
        least = 5 * REQUESTS
        with contextlib.ExitStack() as open_now:  # of so many connections each edge has some
            clients = [open_now.enter_context(rest(stack, key)) for _ in range(12)]
            for client in clients * 10:
                answer = client.get("/v1/sessions")
                least = min(least, int(answer.headers["RateLimit-Limit"]))
        return least < 5 * REQUESTS
    until("an edge has a share that is not the whole", part, 120, every=0)


async def flood(socket, samples, n):
    try:
        for i in range(n):
            await socket.send(frame(0, 1_750_000_000_000 + i * 1000, samples))
            await asyncio.sleep(0)
    except websockets.ConnectionClosed:
        pass


async def test_a_device_that_sends_too_many_frames_is_closed_with_4029(stack):
    backend = fresh(stack, scopes="ingest,read,write,keys")
    model = make_model(stack, backend)
    with rest(stack, backend) as http:
        made = http.post("/v1/keys", json={"label": "slow", "scopes": ["ingest"],
                                           "rate_limit": 30}).json()
    slow = Key(made["id"], made["key"], backend.account)
    async with ingest(stack, slow, model, "fast") as fast, \
            ingest(stack, backend, model, "calm") as calm:
        await receive(fast)
        await receive(calm)
        await flood(fast, [1] * 10, 5000)
        code, reason = await closed(fast, 30)
        assert code == 4029 and "frames" in reason
        await calm.send(frame(0, 1_750_000_000_000, [1] * 10))
        assert is_open(calm)


async def test_a_lower_rate_holds_for_a_socket_that_is_open(stack):
    backend = fresh(stack, scopes="ingest,read,write,keys")
    model = make_model(stack, backend)
    with rest(stack, backend) as http:
        made = http.post("/v1/keys", json={"label": "k", "scopes": ["ingest"],
                                           "rate_limit": 20000}).json()
        async with ingest(stack, Key(made["id"], made["key"], ""), model, "patched") as socket:
            await receive(socket)
            await socket.send(frame(0, 1_750_000_000_000, [1] * 10))
            answer = await asyncio.to_thread(http.patch, f"/v1/keys/{made['id']}",
                                             json={"rate_limit": 5})
            assert answer.status_code == 200, answer.text
            await flood(socket, [1] * 10, 500)
            code, reason = await closed(socket, 30)
            assert code == 4029 and "frames" in reason


async def test_a_device_that_sends_too_many_bytes_is_closed_with_4029(stack):
    key = fresh(stack)
    model = make_model(stack, key)
    async with ingest(stack, key, model, "fat") as socket:
        await receive(socket)
        await flood(socket, [1] * 60_000, 1000)
        code, reason = await closed(socket, 30)
        assert code == 4029 and "bytes" in reason


async def test_a_key_has_so_many_sockets_open_and_no_more(stack):
    key, other = fresh(stack), fresh(stack)
    async with contextlib.AsyncExitStack() as held:
        reason = ""
        for _ in range(20):  # two edges: each alone may have four until they have talked
            socket = await held.enter_async_context(subscribe(stack, key))
            try:
                await receive(socket)
            except websockets.ConnectionClosed as end:
                assert end.rcvd.code == 4029
                reason = end.rcvd.reason
                break
        assert "open at once" in reason
        async with subscribe(stack, other) as socket:
            assert (await receive(socket))["status"] == "subscribed"
    # closed ones make room
    async def again():
        async with subscribe(stack, key) as socket:
            with contextlib.suppress(websockets.ConnectionClosed):
                return await receive(socket)
    end = time.monotonic() + 30
    while not await again():
        assert time.monotonic() < end
        await asyncio.sleep(0.2)


async def test_a_key_that_connects_too_often_is_closed_with_4029(stack):
    key = fresh(stack)
    for _ in range(2000):
        async with subscribe(stack, key) as socket:
            try:
                await receive(socket)
            except websockets.ConnectionClosed as end:
                assert end.rcvd.code == 4029
                if "connections" in end.rcvd.reason:
                    return
    pytest.fail("never")


def limited(stack, scopes=("ingest", "subscribe", "read"), **limits):
    """A key with limits of its own, and the backend that made it."""
    backend = fresh(stack, scopes="ingest,subscribe,read,write,keys")
    with rest(stack, backend) as http:
        answer = http.post("/v1/keys", json={"label": "limited", "scopes": list(scopes),
                                             "limits": limits})
    assert answer.status_code == 201, answer.text
    return Key(answer.json()["id"], answer.json()["key"], backend.account), backend, answer.json()


UNSET = {"requests_per_s": None, "bytes_per_s": None, "connections_per_s": None,
         "open_sockets": None}


def test_a_key_keeps_limits_of_its_own_and_so_does_its_successor(stack):
    made, backend, whole = limited(stack, open_sockets=3, bytes_per_s=5000)
    assert whole["limits"] == UNSET | {"open_sockets": 3, "bytes_per_s": 5000}
    path = f"/v1/keys/{made.id}"
    with rest(stack, backend) as http:
        assert http.get(path).json()["limits"] == whole["limits"]
        successor = http.post(f"{path}/rotate", json={}).json()
        assert successor["limits"] == whole["limits"]
        changed = http.patch(path, json={"limits": {"open_sockets": None, "requests_per_s": 9}})
        assert changed.json()["limits"] == UNSET | {"bytes_per_s": 5000, "requests_per_s": 9}
        assert http.patch(path, json={"label": "x"}).json()["limits"] == changed.json()["limits"]
        assert http.patch(path, json={"limits": None}).json()["limits"] is None
        plain = http.post("/v1/keys", json={"label": "plain", "limits": {"open_sockets": None}})
        assert plain.json()["limits"] is None


def test_what_is_wrong_with_limits_is_named_and_nobody_gives_more_than_he_has(stack):
    small, backend, _ = limited(stack, scopes=["read", "keys"], requests_per_s=15)
    with rest(stack, backend) as http:
        for limits, why in (({"open_sockets": 0}, "limits.open_sockets: expected 1 to 1000000"),
                            ({"bytes_per_s": "many"}, "limits.bytes_per_s: expected an integer"),
                            ({"requests_per_s": -1}, "limits.requests_per_s: expected"),
                            ({"connections_per_s": 1.5}, "limits.connections_per_s: expected"),
                            ([], "limits: expected an object")):
            for answer in (http.post("/v1/keys", json={"label": "x", "limits": limits}),
                           http.patch(f"/v1/keys/{small.id}", json={"limits": limits})):
                assert answer.status_code == 400, (limits, answer.text)
                assert answer.json()["detail"].startswith(why), answer.text
    with rest(stack, small) as http:
        for limits in ({}, {"requests_per_s": 16}):
            answer = http.post("/v1/keys", json={"label": "x", "scopes": ["read"],
                                                 "limits": limits})
            assert answer.status_code == 403, answer.text
            assert answer.json()["detail"].startswith("limits.requests_per_s"), answer.text
        answer = http.patch(f"/v1/keys/{small.id}", json={"limits": None})
        assert answer.status_code == 403
        assert http.post("/v1/keys", json={"label": "x", "scopes": ["read"], "limits": {
            "requests_per_s": 15}}).status_code == 201


def test_what_is_left_is_of_the_keys_own_limit_and_of_its_tokens_too(stack):
    made, backend, _ = limited(stack, scopes=["read"], requests_per_s=3)
    with rest(stack, made) as http:
        assert http.get("/v1/sessions").headers["RateLimit-Limit"] == "15"
        token = Key(made.id, http.post("/v1/tokens", json={}).json()["token"], made.account)
        with rest(stack, token) as other, rest(stack, backend) as owner:
            assert other.get("/v1/sessions").headers["RateLimit-Limit"] == "15"
            owner.patch(f"/v1/keys/{made.id}", json={"limits": {"requests_per_s": 4}})
            for who in (http, other):
                assert who.get("/v1/sessions").headers["RateLimit-Limit"] == "20"


async def test_fewer_open_sockets_close_none_and_let_none_in(stack):
    made, backend, _ = limited(stack, open_sockets=3)
    with rest(stack, backend) as http:
        async with subscribe(stack, made) as one, subscribe(stack, made) as two:
            for socket in (one, two):
                await receive(socket)
            answer = await asyncio.to_thread(http.patch, f"/v1/keys/{made.id}",
                                             json={"limits": {"open_sockets": 1}})
            assert answer.status_code == 200, answer.text
            async with contextlib.AsyncExitStack() as held:
                for _ in range(4):  # an edge that has none of it open yet lets one in
                    third = await held.enter_async_context(subscribe(stack, made))
                    try:
                        await receive(third)
                    except websockets.ConnectionClosed as end:
                        assert end.rcvd.code == 4029 and "open at once" in end.rcvd.reason
                        break
                else:
                    pytest.fail("never")
            assert is_open(one) and is_open(two)


async def test_fewer_bytes_hold_for_a_socket_that_is_open(stack):
    made, backend, _ = limited(stack, bytes_per_s=100_000_000)
    model = make_model(stack, backend)
    with rest(stack, backend) as http:
        async with ingest(stack, made, model, "bytes") as socket:
            await receive(socket)
            answer = await asyncio.to_thread(http.patch, f"/v1/keys/{made.id}",
                                             json={"limits": {"bytes_per_s": 10}})
            assert answer.status_code == 200, answer.text
            await flood(socket, [1] * 60_000, 60)  # a mebibyte may come at once
            code, reason = await closed(socket, 30)
            assert code == 4029 and "bytes" in reason


async def upgrade(stack, key, address):
    """The status of the upgrade."""
    try:
        async with connect(stack, "/stream/subscribe", key,
                           headers={"X-Forwarded-For": f"198.51.100.1, {address}"}):
            return 101
    except websockets.InvalidStatusCode as refused:
        return refused.status_code
    except websockets.InvalidHandshake as refused:  # websockets 14 and newer
        return refused.response.status_code


async def test_an_address_that_connects_too_often_is_refused_and_loopback_is_not(stack):
    wrong = Key("", "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE", "")
    for _ in range(2000):
        if await upgrade(stack, wrong, "203.0.113.7") == 429:
            break
    else:
        pytest.fail("never")
    assert await upgrade(stack, wrong, "203.0.113.8") == 101
    for _ in range(60):
        assert await upgrade(stack, wrong, "127.0.0.1") == 101
