"""Two accounts, each driven with the other's ids: they answer as ids that never were."""
import asyncio

import pytest

from client import (close_of, closed_session, frames, ingest, insights, is_open, make_model,
                    receive, rest, stream, subscribe)

STACK = {"edges": 2, "publishers": 2}
NEVER = "018f0000-0000-7000-8000-000000000000"


class Account:
    """One of everything."""

    def __init__(self, stack):
        self.key = stack.key(scopes="ingest,subscribe,read,write,keys")
        self.model = make_model(stack, self.key, name="same name")
        self.unused = make_model(stack, self.key, name="unused")
        self.session = asyncio.run(stream(stack, self.key, self.model, 30, "same device"))
        closed_session(stack, self.key, self.session)


@pytest.fixture(scope="module")
def two(stack):
    return Account(stack), Account(stack)


def answer_of(http, method, path):
    """Everything of an answer but what differs between two equal requests."""
    answer = http.request(method, path)
    body = answer.json() if answer.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    headers = {name: value for name, value in answer.headers.items()
               if name != "date" and not name.startswith("ratelimit-")}  # these count requests
    return answer.status_code, body, headers


@pytest.mark.parametrize("method, path, whose", [
    ("GET", "/v1/device-models/{}", "model"), ("DELETE", "/v1/device-models/{}", "model"),
    ("DELETE", "/v1/device-models/{}", "unused"),
    ("GET", "/v1/sessions/{}", "session"), ("GET", "/v1/sessions/{}/insights", "session"),
    ("GET", "/v1/sessions/{}/insights?type=hr&limit=5", "session"),
    ("GET", "/v1/insights?session_id={}", "session"),
])
@pytest.mark.parametrize("way", [0, 1])
def test_the_other_s_ids_answer_as_ids_that_never_were(stack, two, method, path, whose, way):
    mine, other = two[way], two[1 - way]
    id = getattr(other, whose)
    id = id["id"] if isinstance(id, dict) else id
    with rest(stack, mine.key) as http:
        assert answer_of(http, method, path.format(id)) == answer_of(http, method,
                                                                     path.format(NEVER))
    with rest(stack, other.key) as http:  # and nothing has happened to it
        assert http.get(path.format(id) if method == "GET"
                        else f"/v1/device-models/{id}").status_code == 200


@pytest.mark.parametrize("way", [0, 1])
def test_lists_hold_what_is_one_s_own(stack, two, way):
    mine, other = two[way], two[1 - way]
    with rest(stack, mine.key) as http:
        assert {row["id"] for row in http.get("/v1/device-models").json()} == {
            mine.model["id"], mine.unused["id"]}
        assert [row["id"] for row in http.get("/v1/sessions?limit=200").json()] == [mine.session]
        found = http.get("/v1/insights?limit=200").json()
    assert found and {insight["session_id"] for insight in found} == {mine.session}


@pytest.mark.parametrize("way", [0, 1])
async def test_a_device_cannot_stream_as_the_other_s_model(stack, two, way):
    mine, other = two[way], two[1 - way]
    theirs = await close_of(ingest(stack, mine.key, other.model))
    never = await close_of(ingest(stack, mine.key, {"id": NEVER}))
    assert theirs == never and theirs[0] == 4004


async def test_each_hears_its_own_devices_alone(stack, two):
    apps = [await subscribe(stack, account.key) for account in two for _ in range(2)]
    for app in apps:
        assert await receive(app) == {"status": "subscribed"}
    sessions = await asyncio.gather(*(
        stream(stack, account.key, account.model, 30, "same device") for account in two))
    for n, app in enumerate(apps):
        mine = two[n // 2]
        with rest(stack, mine.key) as http:
            own = {row["id"] for row in http.get("/v1/sessions?limit=200").json()}
        heard = []
        while heard.count(sessions[n // 2]) < 10:  # and what earlier tests left to be said
            heard += [insight["session_id"] for insight in await insights(app, 1)]
        assert set(heard) <= own and sessions[1 - n // 2] not in own
        await app.close()


async def test_the_same_device_of_both_is_two_devices(stack, two):
    sockets = [await ingest(stack, account.key, account.model, "twins") for account in two]
    for socket in sockets:
        await receive(socket)
    for _ in range(5):
        for message in frames(1):
            for socket in sockets:
                await socket.send(message)
        await asyncio.sleep(0.1)
    for socket in sockets:
        assert is_open(socket)
        await socket.close()


async def test_revoking_a_key_of_one_does_nothing_to_the_other(stack, two):
    doomed = stack.key(two[0].key.account)
    other = stack.key(two[1].key.account)
    async with subscribe(stack, other, device_id="lives on") as app:
        await receive(app)
        await asyncio.to_thread(stack.admin, "key", "revoke", doomed.id)
        session = await stream(stack, other, two[1].model, 12, "lives on")
        assert (await insights(app, 1))[0]["session_id"] == session


def test_lists_of_keys_hold_what_is_one_s_own(stack, two):
    for account in two:
        rows = stack.admin("key", "list", "--account", account.key.account)
        assert account.key.id in {row["id"] for row in rows}
        for other in two:
            if other is not account:
                assert other.key.id not in {row["id"] for row in rows}
