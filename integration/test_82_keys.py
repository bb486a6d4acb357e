"""/v1/keys: what a customer's backend does with keys, over REST."""
import asyncio
import time
from datetime import datetime, timedelta, timezone

import pytest

from client import closed, frame, ingest, is_open, make_model, receive, rest, subscribe
from stack import Key, until

STACK = {"edges": 2, "publishers": 1}
KEY = {"id", "label", "hint", "scopes", "device_id", "external_id", "metadata", "rate_limit",
       "disabled", "minted_by", "expires_at", "created_at", "last_used_at"}
ALL = "ingest,subscribe,read,write,keys"


@pytest.fixture(scope="module")
def backend(stack):
    """The key of the customer's backend."""
    return stack.key(scopes=ALL)


@pytest.fixture
def http(stack, backend):
    with rest(stack, backend) as client:
        yield client


def in_seconds(seconds):
    at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def mint(http, account="", **body):
    answer = http.post("/v1/keys", json={"label": "made"} | body)
    assert answer.status_code == 201, answer.text
    return Key(answer.json()["id"], answer.json()["key"], account), answer.json()


def test_a_key_is_made_whole_and_shown_once(http, stack, backend):
    end = in_seconds(3600)
    body = {"label": "Ёжик's phone", "scopes": ["ingest", "read"], "device_id": "w-1",
            "external_id": "user 7", "metadata": {"plan": "a", "n": [1, None]},
            "rate_limit": 100, "expires_at": end}
    made, whole = mint(http, **body)
    assert KEY | {"key"} <= set(whole)
    assert {name: whole[name] for name in body} == body
    assert whole["minted_by"] == backend.id and whole["disabled"] is False
    assert whole["hint"] == whole["key"][5:9] and whole["last_used_at"] is None
    seen = http.get(f"/v1/keys/{made.id}").json()
    assert seen == {name: value for name, value in whole.items() if name != "key"}
    listed = http.get("/v1/keys").json()
    assert listed[0] == seen and backend.id in [row["id"] for row in listed]
    assert all(KEY <= set(row) for row in listed)
    assert len(http.get("/v1/keys?limit=1").json()) == 1
    assert made.key not in stack.log()


def test_the_last_use_says_from_where(http, stack, backend):
    made, whole = mint(http)
    assert whole["last_used_address"] is None and whole["last_used_agent"] is None
    with rest(stack, made) as own:
        own.headers["User-Agent"] = f"watch/2 {made.key}"
        assert own.get("/v1/sessions").status_code == 200
    used = until("the last use is told", lambda: next(
        (row for row in [http.get(f"/v1/keys/{made.id}").json()] if row["last_used_at"]), None), 30)
    assert used["last_used_address"] == "127.0.0.1"
    assert used["last_used_agent"].startswith("watch/2 ") and made.key not in str(used)


def test_what_is_wrong_is_named(http):
    for body, field in (({}, "label: required"), ({"label": ""}, "label"),
                        ({"label": "x", "scopes": ["root"]}, "scopes[0]"),
                        ({"label": "x", "scopes": "read"}, "scopes"),
                        ({"label": "x", "scopes": []}, "scopes"),
                        ({"label": "x", "device_id": ""}, "device_id"),
                        ({"label": "x", "device_id": "d", "scopes": ["write"]}, "scopes[0]"),
                        ({"label": "x", "external_id": ""}, "external_id"),
                        ({"label": "x", "metadata": []}, "metadata"),
                        ({"label": "x", "metadata": {"a": "x" * 2048}}, "metadata"),
                        ({"label": "x", "rate_limit": 0}, "rate_limit"),
                        ({"label": "x", "expires_at": in_seconds(-1)}, "expires_at"),
                        ({"label": "x", "expires_at": "tomorrow"}, "expires_at")):
        answer = http.post("/v1/keys", json=body)
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json()["detail"].startswith(field), answer.text
    assert http.get("/v1/keys?limit=0").status_code == 400


def test_nobody_gives_more_than_he_has(stack, http):
    small, _ = mint(http, scopes=["read", "keys"], rate_limit=10, expires_at=in_seconds(600))
    with rest(stack, small) as http:
        for body, field in (({"scopes": ["write"]}, "scopes"), ({}, "scopes"),
                            ({"scopes": ["read"], "rate_limit": 10}, "expires_at"),
                            ({"scopes": ["read"], "expires_at": in_seconds(60)}, "rate_limit")):
            answer = http.post("/v1/keys", json={"label": "x"} | body)
            assert answer.status_code == 403, answer.text
            assert answer.json()["detail"].startswith(field), answer.text
        mint(http, scopes=["read"], rate_limit=10, expires_at=in_seconds(60))
    plain, _ = mint(rest_of(stack, small), scopes=["read"], rate_limit=1,
                    expires_at=in_seconds(60))
    with rest(stack, plain) as http:
        for answer in (http.get("/v1/keys"), http.post("/v1/keys", json={"label": "x"}),
                       http.delete(f"/v1/keys/{small.id}")):
            assert answer.status_code == 403 and "keys" in answer.json()["detail"]


def rest_of(stack, key):
    return rest(stack, key)


async def test_a_deleted_key_is_dead_with_its_sockets_and_the_receipt_says_so(stack, http,
                                                                            backend):
    model = make_model(stack, backend)
    made, _ = mint(http)
    sibling, _ = mint(http)
    async with ingest(stack, made, model, "d-1") as one, ingest(stack, made, model, "d-2") as two, \
            subscribe(stack, made) as ear, subscribe(stack, sibling) as other:
        for socket in (one, two, ear, other):
            await receive(socket)
        receipt = await asyncio.to_thread(http.delete, f"/v1/keys/{made.id}")
        assert receipt.status_code == 200
        assert {"revoked_at", "sockets_closed", "edges_acked", "edges_total",
                "elapsed_ms"} <= set(receipt.json())
        assert receipt.json()["sockets_closed"] == {"ingest": 2, "subscribe": 1}
        assert receipt.json()["edges_acked"] == receipt.json()["edges_total"] == 2
        for socket in (one, two, ear):
            assert (await closed(socket))[0] in (4001, 1006)
        assert is_open(other)
    assert http.delete(f"/v1/keys/{made.id}").json() == receipt.json()
    with rest(stack, made) as dead:
        assert dead.get("/v1/sessions").status_code == 401
    assert http.get(f"/v1/keys/{made.id}").status_code == 404
    assert made.id not in [row["id"] for row in http.get("/v1/keys").json()]


def test_a_key_may_end_itself_and_is_told(stack, http):
    made, _ = mint(http, scopes=["keys"])
    with rest(stack, made) as own:
        answer = own.delete(f"/v1/keys/{made.id}")
        assert answer.status_code == 200 and answer.json()["edges_acked"] == 2
        assert own.get("/v1/keys").status_code == 401


async def test_an_expired_key_closes_its_sockets(stack, http, backend):
    model = make_model(stack, backend)
    made, _ = mint(http, expires_at=in_seconds(2))
    lasting, _ = mint(http, expires_at=in_seconds(600))
    async with ingest(stack, made, model, "e-1") as one, subscribe(stack, made) as ear, \
            subscribe(stack, lasting) as other:
        for socket in (one, ear, other):
            await receive(socket)
        await one.send(frame(0, int(time.time() * 1000), [1] * 20))
        for socket in (one, ear):
            assert (await closed(socket))[0] in (4001, 1006)
        assert is_open(other)
    with rest(stack, made) as dead, rest(stack) as stranger:
        refused = dead.get("/v1/sessions")
        assert refused.status_code == 401
        unknown = stranger.get("/v1/sessions", headers={
            "Authorization": "Bearer raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"})
        assert refused.json() | {"request_id": 0} == unknown.json() | {"request_id": 0}
    async with ingest(stack, made, model, "e-1") as late:
        assert (await closed(late))[0] == 4001


async def test_frames_over_the_rate_of_the_key_get_4029(stack, http, backend):
    model = make_model(stack, backend)
    made, _ = mint(http, rate_limit=5)
    async with ingest(stack, made, model, "r-1") as socket:
        await receive(socket)
        t0 = int(time.time() * 1000)
        try:
            for n in range(40):
                await socket.send(frame(0, t0 + n, [1]))
        except Exception:  # it may be closed before the last is sent
            pass
        code, reason = await closed(socket)
        assert code == 4029 and "rate" in reason


def test_last_use_is_told_within_ten_seconds(stack, http):
    made, _ = mint(http)
    with rest(stack, made) as client:
        assert client.get("/v1/sessions").status_code == 200
    until("the last use is known",
          lambda: http.get(f"/v1/keys/{made.id}").json()["last_used_at"], 12)


def test_another_accounts_keys_are_unknown(stack, http):
    made, _ = mint(http)
    unknown = "019a0000-0000-7000-8000-000000000000"
    with rest(stack, stack.key(scopes=ALL)) as other:
        for call in (other.get, other.delete):
            answers = [call(f"/v1/keys/{id}") for id in (made.id, unknown, "garbage")]
            assert {answer.status_code for answer in answers} == {404}
            assert {answer.json()["detail"] for answer in answers} == {"no such key"}
        assert made.id not in [row["id"] for row in other.get("/v1/keys").json()]
    assert http.get(f"/v1/keys/{made.id}").status_code == 200
