"""Where a key may stand on a WebSocket, and what happens where it may not."""
import json
import subprocess

import httpx
import pytest
import websockets

from client import _HEADERS, ANSWER_S, close_of, connect, ingest, receive, subscribe
from stack import ROOT

STACK = {"edges": 2}
UNKNOWN_KEY = "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"
PATHS = ["/stream/ingest", "/stream/subscribe"]


def greeting(message):
    return "session_id" in message or message == {"status": "subscribed"}


def address(stack, path, model, device="places"):
    return f"{stack.ws_url}{path}?device_id={device}&device_model_id={model['id']}"


def open_with(stack, path, model, query="", protocols=None, headers=None):
    kwargs = {_HEADERS: headers} if headers else {}
    return websockets.connect(address(stack, path, model) + query, subprotocols=protocols,
                              open_timeout=ANSWER_S, ping_interval=None, **kwargs)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", ["query", "header", "lower", "subprotocol", "two", "three"])
async def test_a_key_is_taken_in_each_of_its_places(stack, key, model, path, place):
    header = {"header": f"Bearer {key.key}", "lower": f"bearer {key.key}",
              "two": f"Bearer {key.key}", "three": f"Bearer {key.key}"}.get(place)
    query = f"&api_key={key.key}" if place in ("query", "two", "three") else ""
    protocols = ["bearer", key.key] if place in ("subprotocol", "three") else None
    async with open_with(stack, path, model, query, protocols,
                         {"Authorization": header} if header else None) as socket:
        assert greeting(await receive(socket))
        assert socket.subprotocol == ("bearer" if protocols else None)


@pytest.mark.parametrize("path", PATHS)
async def test_other_subprotocols_are_ignored(stack, key, model, path):
    query = f"&api_key={key.key}"
    for protocols in (["mqtt"], ["graphql-ws", "bearer"], ["v1.raeh", "v2.raeh"]):
        async with open_with(stack, path, model, query, protocols) as socket:
            assert greeting(await receive(socket))
            assert socket.subprotocol is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query, protocols, header", [
    ("", None, None),
    ("&api_key=", None, None),
    ("&api_key=raeh_short", None, None),
    (f"&api_key={UNKNOWN_KEY}", None, None),
    (f"&api_key={UNKNOWN_KEY[:-1]}F", None, None),
    (f"&api_key={UNKNOWN_KEY}x", None, None),
    (f"&api_key={'k' * 3000}", None, None),
    ("&api_key=%00%ff", None, None),
    (f"&API_KEY={UNKNOWN_KEY}", None, None),
    ("", ["bearer", UNKNOWN_KEY], None),
    ("", ["bearer"], None),
    ("", ["mqtt", UNKNOWN_KEY], None),
    ("", None, f"Bearer {UNKNOWN_KEY}"),
    ("", None, f"Basic {UNKNOWN_KEY}"),
    ("", None, "Bearer"),
])
async def test_without_a_good_key_the_socket_opens_and_closes_with_4001(
        stack, model, path, query, protocols, header):
    headers = {"Authorization": header} if header else None
    code, reason = await close_of(open_with(stack, path, model, query, protocols, headers))
    assert code == 4001 and reason
    assert UNKNOWN_KEY not in reason


async def test_a_key_that_is_missing_malformed_or_mistyped_is_refused_alike(stack, model):
    answers = set()
    for bad in ("", "x", "raeh_short", UNKNOWN_KEY + "x", UNKNOWN_KEY[:-1] + "F"):
        headers = {"Authorization": f"Bearer {bad}"} if bad else None
        answers.add(await close_of(open_with(stack, PATHS[0], model, "", None, headers)))
        refused = httpx.get(f"{stack.url}/v1/sessions", headers=headers, trust_env=False)
        assert refused.headers["www-authenticate"] == "Bearer"
        answers.add((4001 if refused.status_code == 401 else 0, refused.json()["detail"]))
    assert len(answers) == 1 and answers.pop()[0] == 4001


async def test_the_subprotocol_is_answered_as_the_client_wrote_it(stack, key, model):
    async with open_with(stack, PATHS[1], model, "", ["Bearer", key.key]) as socket:
        assert greeting(await receive(socket)) and socket.subprotocol == "Bearer"


@pytest.mark.parametrize("path", PATHS)
async def test_two_different_keys_are_4001(stack, key, model, path):
    other = stack.key(key.account)
    query = f"&api_key={other.key}"
    for protocols, headers in ((["bearer", key.key], None),
                               (None, {"Authorization": f"Bearer {key.key}"})):
        code, reason = await close_of(open_with(stack, path, model, query, protocols, headers))
        assert code == 4001 and "two" in reason
    code, _ = await close_of(open_with(stack, path, model, query + f"&api_key={key.key}"))
    assert code == 4001


async def test_an_unknown_key_is_refused_like_a_revoked_one(stack, model):
    key = stack.key()
    stack.admin("key", "revoke", key.id)
    for path in PATHS:
        revoked = await close_of(open_with(stack, path, model, f"&api_key={key.key}"))
        unknown = await close_of(open_with(stack, path, model, f"&api_key={UNKNOWN_KEY}"))
        assert revoked == unknown and unknown[0] == 4001


async def test_the_key_is_looked_at_before_the_query(stack):
    code, _ = await close_of(connect(stack, "/stream/ingest", api_key=UNKNOWN_KEY))
    assert code == 4001


async def test_a_key_without_the_scope_is_4001(stack, model, key):
    reads = stack.key(key.account, scopes="read,write")
    for connection in (ingest(stack, reads, model), subscribe(stack, reads)):
        code, reason = await close_of(connection)
        assert code == 4001 and "scope" in reason
    sends = stack.key(key.account, scopes="ingest")
    assert (await close_of(subscribe(stack, sends)))[0] == 4001
    async with ingest(stack, sends, model) as socket:
        assert greeting(await receive(socket))


async def test_a_key_of_one_device_is_that_device_alone(stack, key, model):
    bound = stack.key(key.account, scopes="ingest,subscribe,read", device_id="mine")
    code, reason = await close_of(ingest(stack, bound, model, "yours"))
    assert code == 4001 and "device" in reason
    async with ingest(stack, bound, model, "mine") as socket:
        assert greeting(await receive(socket))


async def test_an_escaped_key_in_the_query_is_the_key(stack, key, model):
    escaped = "".join(f"%{ord(c):02x}" for c in key.key)
    async with open_with(stack, "/stream/subscribe", model, f"&api_key={escaped}") as socket:
        assert greeting(await receive(socket))


async def test_a_path_that_is_no_endpoint_is_404(stack, key):
    for path in ("/stream", "/stream/other", "/", "/v1/sessions", "/echo"):
        with pytest.raises(websockets.InvalidStatusCode if not hasattr(websockets, "InvalidStatus")
                           else (websockets.InvalidStatus, websockets.InvalidHandshake)) as fault:
            await connect(stack, path, key)
        status = getattr(fault.value, "status_code", None) or fault.value.response.status_code
        assert status == 404, path


def test_node_uses_each_place(stack, key, model):
    """The ws package of Node offers a subprotocol as a browser does."""
    done = subprocess.run(
        ["node", ROOT / "integration/node/key_places.js", address(stack, "", model), key.key],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert outcomes == {
        "/stream/ingest query": "session, no protocol",
        "/stream/ingest header": "session, no protocol",
        "/stream/ingest subprotocol": "session, protocol bearer",
        "/stream/ingest none": "4001",
        "/stream/ingest two": "4001",
        "/stream/subscribe query": "subscribed, no protocol",
        "/stream/subscribe header": "subscribed, no protocol",
        "/stream/subscribe subprotocol": "subscribed, protocol bearer",
        "/stream/subscribe none": "4001",
        "/stream/subscribe two": "4001",
    }


def test_node_reads_the_status_of_a_refused_upgrade(stack, key, model):
    polite = f"?reject=http&api_key={key.key}"
    ingest = f"{stack.ws_url}/stream/ingest{polite}&device_id=polite&device_model_id="
    done = subprocess.run(
        ["node", ROOT / "integration/node/reject.js", f"{ingest}{model['id']}",
         f"{ingest}018f0000-0000-7000-8000-000000000000",
         f"{stack.ws_url}/stream/subscribe{polite}", f"{stack.ws_url}/stream/ingest?reject=http"],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    opened, unknown, subscribed, nobody = json.loads(done.stdout)
    assert opened == ["session_id", "slots"] and subscribed == ["status"]
    assert unknown[:3] == [404, "application/problem+json", 404]
    assert unknown[3].startswith("device_model_id")
    assert nobody[:3] == [401, "application/problem+json", 401]
