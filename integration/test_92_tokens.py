"""/v1/tokens: short-lived credentials for browsers, made with a key."""
import asyncio
import time

import pytest

from client import closed, frame, ingest, is_open, make_model, receive, rest, subscribe
from stack import Key, until
from test_82_keys import ALL, mint

STACK = {"edges": 2, "publishers": 1}


@pytest.fixture(scope="module")
def backend(stack):
    return stack.key(scopes=ALL)


@pytest.fixture
def http(stack, backend):
    with rest(stack, backend) as client:
        yield client


def token(stack, key, status=201, **body):
    with rest(stack, key) as own:
        answer = own.post("/v1/tokens", json=body)
    assert answer.status_code == status, answer.text
    return Key(None, answer.json()["token"], key.account) if status == 201 else answer.json()


def count(stack, key, path):
    with rest(stack, key) as own:
        return own.get(path).status_code


async def test_a_token_is_taken_wherever_a_key_is(stack, http, backend):
    model = make_model(stack, backend)
    parent, _ = mint(http)
    made = token(stack, parent)
    assert made.key.startswith("raeht_") and "=" not in made.key
    async with ingest(stack, made, model, "t-1") as device, subscribe(stack, made) as ear:
        await receive(device)
        await receive(ear)
        await device.send(frame(0, int(time.time() * 1000), [1] * 20))
        await (await device.ping())
        assert is_open(device) and is_open(ear)
    for _ in range(4):  # every edge
        assert count(stack, made, "/v1/sessions") == 200
    assert count(stack, made, "/v1/keys") == 403
    with rest(stack, made) as own:
        assert own.post("/v1/tokens", json={}).status_code == 403
        assert own.post("/v1/keys", json={"label": "x"}).status_code == 403
        assert own.get("/v1/sessions", params={"api_key": made.key}).status_code == 200
    assert made.key not in stack.log()


async def test_it_dies_with_its_key(stack, http, backend):
    parent, _ = mint(http)
    made = token(stack, parent, scopes=["subscribe", "read"])
    async with subscribe(stack, made) as one, subscribe(stack, made) as two:
        await receive(one)
        await receive(two)
        receipt = await asyncio.to_thread(http.delete, f"/v1/keys/{parent.id}")
        assert receipt.json()["sockets_closed"]["subscribe"] == 2
        for socket in (one, two):
            assert (await closed(socket))[0] in (4001, 1006)
    assert count(stack, made, "/v1/sessions") == 401
    async with subscribe(stack, made) as late:
        assert (await closed(late))[0] == 4001


async def test_its_rights_are_never_more_than_those_of_its_key(stack, http, backend):
    parent, _ = mint(http)
    made = token(stack, parent)
    reader = token(stack, parent, scopes=["read"])
    async with subscribe(stack, made) as ear:
        await receive(ear)
        assert count(stack, made, "/v1/sessions") == 200
        async with subscribe(stack, reader) as other:
            assert (await closed(other))[0] == 4001
        answer = await asyncio.to_thread(http.patch, f"/v1/keys/{parent.id}",
                                         json={"scopes": ["read"]})
        assert answer.status_code == 200
        assert (await closed(ear))[0] in (4001, 1006)
    async with subscribe(stack, made) as late:
        assert (await closed(late))[0] == 4001
    until("the rest of it still stands", lambda: count(stack, made, "/v1/sessions") == 200, 20)
    assert count(stack, reader, "/v1/sessions") == 200
    http.patch(f"/v1/keys/{parent.id}", json={"disabled": True})
    assert count(stack, made, "/v1/sessions") == count(stack, reader, "/v1/sessions") == 401


async def test_its_end_closes_its_sockets(stack, http):
    parent, _ = mint(http, scopes=["subscribe"])
    with rest(stack, parent) as own:
        answer = own.post("/v1/tokens", json={"ttl_s": 10}).json()
    made = Key(None, answer["token"], "")
    async with subscribe(stack, made) as ear, subscribe(stack, parent) as other:
        await receive(ear)
        await receive(other)
        assert (await closed(ear, 30))[0] in (4001, 1006)
        assert is_open(other)
    assert count(stack, made, "/v1/sessions") == 401


async def test_a_token_of_one_device_or_one_session_sees_that_alone(stack, http, backend):
    model = make_model(stack, backend)
    parent, _ = mint(http)
    async with ingest(stack, parent, model, "mine") as one, \
            ingest(stack, parent, model, "yours") as two:
        mine, yours = [(await receive(socket))["session_id"] for socket in (one, two)]
        of_device = token(stack, parent, device_id="mine")
        async with ingest(stack, of_device, model, "yours") as wrong:
            assert (await closed(wrong))[0] == 4001
        of_session = token(stack, parent, session_id=mine)
        assert count(stack, of_session, f"/v1/sessions/{mine}") == 200
        assert count(stack, of_session, f"/v1/sessions/{mine}/insights") == 200
        assert count(stack, of_session, f"/v1/sessions/{yours}") == 404
        assert count(stack, of_session, "/v1/sessions") == 403
        async with ingest(stack, of_session, model, "mine") as wrong:
            assert (await closed(wrong))[0] == 4001
        assert count(stack, of_device, f"/v1/sessions/{yours}") == 404
        async with subscribe(stack, of_session) as ear:
            assert (await receive(ear)) == {"status": "subscribed"}


def test_what_cannot_be_is_named(stack, http):
    parent, _ = mint(http, scopes=["read", "subscribe"])
    for body, status, field in (({"ttl_s": 9}, 400, "ttl_s"), ({"ttl_s": 86401}, 400, "ttl_s"),
                                ({"scopes": ["keys"]}, 400, "scopes"),
                                ({"scopes": []}, 400, "scopes"),
                                ({"scopes": ["write"]}, 403, "scopes"),
                                ({"device_id": ""}, 400, "device_id"),
                                ({"session_id": "x"}, 400, "session_id"),
                                ({"session_id": "019a0000-0000-7000-8000-000000000000",
                                  "scopes": ["ingest"]}, 400, "scopes")):
        assert token(stack, parent, status, **body)["detail"].startswith(field), body
    bound, _ = mint(http, device_id="a")
    assert token(stack, bound, 403, device_id="b")["detail"].startswith("device_id")
    only, _ = mint(http, scopes=["keys"])
    assert token(stack, only, 403)["detail"].startswith("scopes")
    for text in ("raeht_x", "raeht_a.b", token(stack, parent).key + "A"):
        assert count(stack, Key(None, text, ""), "/v1/sessions") == 401
