"""Two accounts do what they like at the same time: nothing of one is ever seen by the other.

A property test: operations by chance over REST and sockets, every answer looked through for what
the other account has made. The seed is printed; RAEH_SEED=<n> does the same again. What the
contract's document has and this test does not know by name is tried too: with an id of the other
account, and with one that was never made; the answers must be the same.
"""
import asyncio
import contextlib
import json
import os
import random
import re
import uuid

import httpx
import pytest

from client import closed, frames, ingest, make_model, receive, rest, subscribe
from stack import Key, free_port, until

ADMIN = free_port()
STACK = {"edges": 2, "publishers": 2, "args": ["--admin", f"127.0.0.1:{ADMIN}"]}
STEPS = int(os.environ.get("RAEH_STEPS", 150))
T0_MS = 1_760_000_000_000
PPG = {"modality": "ppg_green", "sample_rate_hz": 100}


class Account:
    """One tenant, and everything by which what is its own can be known."""

    def __init__(self, stack, rng, word):
        self.stack, self.rng = stack, rng
        self.word = f"{word}-{rng.getrandbits(64):016x}"  # in all of its names
        self.key = stack.key(scopes="ingest,subscribe,read,write,keys")
        self.http = rest(stack, self.key)
        self.models, self.sessions, self.devices, self.insights = [], [], [], []
        self.keys = [self.key.id]
        self.cursors = []
        self.heard = []
        self.marks = {self.word, self.key.id, self.key.account, self.key.key}

    def note(self, thing):
        """Every id in an object is a mark."""
        self.marks |= set(re.findall(r'"(?:id|session_id|device_model_id)":"([0-9a-f-]{36})"',
                                     json.dumps(thing, separators=(",", ":"))))
        return thing

    def own(self, answer, asked="nothing"):
        """The answer, after it was looked through for what is not its own, but for our words."""
        said = (answer.text + str(answer.headers)).replace(asked, "")
        for mark in self.other.marks - self.marks:
            assert mark not in said, f"{mark} of the other account: {answer.request.url} {said}"
        return answer

    def ask(self, method, path, **kwargs):
        return self.own(self.http.request(method, path, **kwargs))

    def name(self):
        return f"{self.word} {self.rng.getrandbits(32):08x}"


def same_but_for_its_id(answer):
    body = answer.text
    if answer.headers.get("content-type") == "application/problem+json":
        body = {name: value for name, value in answer.json().items() if name != "request_id"}
    varying = {"date", "ratelimit-remaining", "ratelimit-reset"}
    headers = {name: value for name, value in answer.headers.items()
               if name not in varying and not (name == "content-length" and answer.is_error)}
    return answer.status_code, body, headers


def as_unknown(account, method, path, theirs, never, **kwargs):
    """An id of the other account answers as one that was never made."""
    real = account.ask(method, path.replace("THEIRS", theirs), **kwargs)
    unknown = account.ask(method, path.replace("THEIRS", never), **kwargs)
    assert same_but_for_its_id(real) == same_but_for_its_id(unknown), (method, path)
    assert theirs not in real.text
    return real


# ---- what accounts do ----

async def makes_a_model(account):
    body = {"name": account.name(), "description": account.word, "modality_channels": [PPG, PPG]}
    headers = {"Idempotency-Key": "the same of both"} if account.rng.random() < 0.3 else {}
    answer = account.ask("POST", "/v1/device-models", json=body, headers=headers)
    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 201:
        account.models.append(account.note(answer.json()))


async def changes_a_model(account):
    model = account.rng.choice(account.models)
    answer = account.ask("PUT", f"/v1/device-models/{model['id']}", json={"name": account.name()})
    assert answer.status_code == 200
    account.note(answer.json())


async def takes_the_other_s_name(account):
    """A name is taken within an account only."""
    name = account.rng.choice(account.other.models)["name"]
    answer = account.http.post("/v1/device-models", json={"name": name})
    assert answer.status_code in (201, 409), answer.text  # 409: taken by itself before
    if answer.status_code == 201:
        made = answer.json()
        assert account.http.delete(f"/v1/device-models/{made['id']}").status_code == 204


async def streams(account):
    device = account.name()
    model = account.rng.choice(account.models)
    async with ingest(account.stack, account.key, model, device) as socket:
        session = account.note(await receive(socket))["session_id"]
        for message in frames(12, t0_ms=T0_MS):
            await socket.send(message)
    account.marks.add(session)
    account.sessions.append(session)
    account.devices.append(device)


async def mints_a_key(account):
    answer = account.ask("POST", "/v1/keys", json={"label": account.name(),
                                                   "external_id": account.word})
    assert answer.status_code == 201
    made = account.note(answer.json())
    account.marks.add(made["key"])
    account.keys.append(made["id"])


async def lists(account):
    path = account.rng.choice(["/v1/sessions?limit=1", "/v1/sessions", "/v1/insights",
                               "/v1/insights?limit=3", "/v1/device-models?limit=1",
                               "/v1/device-models", "/v1/keys"])
    answer = account.ask("GET", path)
    assert answer.status_code == 200
    following = answer.links.get("next")
    if following:
        account.cursors.append(following["url"])
        assert account.ask("GET", following["url"]).status_code == 200
    if path.startswith("/v1/insights"):
        account.insights += [row["id"] for row in account.note(answer.json())]


async def follows_the_other_s_link(account):
    if account.other.cursors:
        answer = account.ask("GET", account.rng.choice(account.other.cursors))
        assert answer.status_code in (200, 400)


async def asks_for_the_other_s(account):
    other, never = account.other, str(uuid.uuid4())
    kind, ids = account.rng.choice([("device-models", [m["id"] for m in other.models]),
                                    ("sessions", other.sessions), ("keys", other.keys)])
    if not ids:
        return
    theirs = account.rng.choice(ids)
    tail = {"device-models": ["", "/modalities"], "sessions": ["", "/insights"], "keys": [""]}
    path = f"/v1/{kind}/THEIRS{account.rng.choice(tail[kind])}"
    assert as_unknown(account, "GET", path, theirs, never).status_code == 404


async def changes_the_other_s(account):
    other, never = account.other, str(uuid.uuid4())
    model, channel = account.rng.choice(other.models)["id"], {"modality": "ppg_ir",
                                                              "sample_rate_hz": 10}
    key = account.rng.choice(other.keys)
    method, path, theirs, body = account.rng.choice([
        ("PUT", "/v1/device-models/THEIRS", model, {"name": account.name()}),
        ("POST", "/v1/device-models/THEIRS/modalities", model, channel),
        ("DELETE", "/v1/device-models/THEIRS", model, None),
        ("DELETE", "/v1/keys/THEIRS", key, None)])
    assert as_unknown(account, method, path, theirs, never, json=body).status_code == 404


async def filters_by_the_other_s(account):
    other = account.other
    if not other.sessions:
        return
    path, theirs, never = account.rng.choice([
        ("/v1/insights?session_id=THEIRS", account.rng.choice(other.sessions), str(uuid.uuid4())),
        ("/v1/insights?device_id=THEIRS", account.rng.choice(other.devices), "nobody's"),
        ("/v1/sessions?device_id=THEIRS", account.rng.choice(other.devices), "nobody's")])
    assert as_unknown(account, "GET", path, theirs, never).json() == []


async def streams_as_the_other_s(account):
    """Another account's device model is one that was never made."""
    reasons = set()
    for model in (account.rng.choice(account.other.models)["id"], str(uuid.uuid4())):
        async with ingest(account.stack, account.key, {"id": model}, "x") as socket:
            reasons.add(await closed(socket))
    assert len(reasons) == 1 and reasons.pop()[0] == 4004


async def resumes_the_other_s(account):
    """resume= another account's session is that of none."""
    reasons = set()
    for session in (account.rng.choice(account.other.sessions), str(uuid.uuid4())):
        async with ingest(account.stack, account.key, account.models[0], "x",
                          resume=session) as socket:
            reasons.add(await closed(socket))
    assert len(reasons) == 1 and reasons.pop()[0] == 4004


async def hears_from_the_other_s_place(account):
    """after= another account's insight, session_id= another's session: nothing of it comes."""
    other = account.other
    if not other.insights:
        return
    wanted = account.rng.choice([{"after": account.rng.choice(other.insights)}, {"since": "0"},
                                 {"session_id": account.rng.choice(other.sessions)}])
    async with subscribe(account.stack, account.key, **wanted) as socket:
        with contextlib.suppress(asyncio.TimeoutError, Exception):
            for _ in range(20):
                account.heard.append(await receive(socket, 0.2))


OPERATIONS = [makes_a_model, changes_a_model, takes_the_other_s_name, streams, mints_a_key, lists,
              lists, follows_the_other_s_link, asks_for_the_other_s, asks_for_the_other_s,
              changes_the_other_s, filters_by_the_other_s, streams_as_the_other_s,
              resumes_the_other_s, hears_from_the_other_s_place]


async def listen(account):
    """What the account hears live, until its socket is closed."""
    async with subscribe(account.stack, account.key) as account.socket:
        async for message in account.socket:
            account.heard.append(json.loads(message))


def look_through_heard(account):
    heard = json.dumps(account.heard, ensure_ascii=False)
    for mark in account.other.marks - account.marks:
        assert mark not in heard, f"{mark} was heard"
    assert all(message["device_id"].startswith(account.word)
               for message in account.heard if "device_id" in message)


@pytest.fixture(scope="module")
def accounts(stack):
    seed = int(os.environ.get("RAEH_SEED", random.SystemRandom().getrandbits(32)))
    print(f"RAEH_SEED={seed}")
    rng = random.Random(seed)
    a, b = Account(stack, rng, "alpha"), Account(stack, rng, "beta")
    a.other, b.other = b, a
    for account in (a, b):
        model = make_model(stack, account.key, (PPG, PPG), account.name())
        account.models.append(account.note(model))
    yield a, b
    a.http.close()
    b.http.close()


async def test_nothing_of_one_account_is_ever_seen_by_the_other(accounts):
    a, b = accounts
    listeners = [asyncio.create_task(listen(account)) for account in accounts]
    for account in accounts:
        await streams(account)
    for _ in range(STEPS):
        account = a.rng.choice(accounts)
        await a.rng.choice(OPERATIONS)(account)
    for account in accounts:
        await streams(account)
        for _ in range(200):  # its live insights are on their way
            if any(account.devices[-1] == message.get("device_id") for message in account.heard):
                break
            await asyncio.sleep(0.1)
    for account, task in zip(accounts, listeners):
        assert not task.done(), task
        await account.socket.close()
        await task
    for account in accounts:
        assert len(account.heard) > 3
        look_through_heard(account)
        assert account.ask("GET", "/v1/device-models").status_code == 200  # its key still lives


# ---- everything that the document has ----
#
# What is named here must be all that there is: a new route, parameter or field fails until somebody
# has said what kind of id it takes, or that it takes none.

PATHS = {"device-models": "model", "sessions": "session", "keys": "key", "devices": "device",
         "users": "user", "invites": "invite"}
QUERIES = {"session_id": "session", "device_id": "device", "key_id": "key",
           "external_id": "external", "after": "insight", "cursor": "place", "limit": None,
           "status": None, "from": None, "to": None, "type": None, "format": None, "slot": None,
           "newest": None, "cascade": None, "respond_async": None, "hint": None, "label": None,
           "action": None, "without": None}
FIELDS = {"session_id": "session", "device_id": "device", "token": "invitation", "id": "path",
          "ch_id": "path", "modality_channels": "channels", "external_id": None, "name": None,
          "description": None, "firmware_version": None, "spo2_calibration": None,
          "modality": None, "sample_rate_hz": None, "bit_depth": None, "num_channels": None,
          "label": None, "scopes": None, "metadata": None, "rate_limit": None, "expires_at": None,
          "limits": None, "ttl_s": None, "disabled": None, "cleared": None, "overlap_s": None,
          "email": None, "password": None, "address": None, "current": None, "new": None,
          "role": None}
BODIES = {"UpdateModel": {"description": "x"}, "AddChannel": PPG, "UpdateChannel": PPG,
          "PatchKey": {"label": "x"}, "RotateKey": {}}
SOCKETS = {"/stream/ingest", "/stream/subscribe", "/echo"}


@pytest.fixture(scope="module")
def operations(stack):
    """(method, path, operation) of the document, without the sockets."""
    with rest(stack) as nobody:
        document = nobody.get("/openapi.json").json()
    return [(method.upper(), path, operation) for path, item in document["paths"].items()
            for method, operation in item.items() if path not in SOCKETS]


def schema_of(operation):
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]


def parameters(operation, place):
    return [one["name"] for one in operation.get("parameters", []) if one.get("in") == place]


def by_login_alone(operation):
    return operation.get("security") == [{"cookie": []}]


class Person:
    """Who is logged in to the dashboard, with an account, a user and an invitation."""

    def __init__(self, stack, word):
        self.http = rest(stack)
        self.email = f"{word}-{uuid.uuid4().hex}@example.org"
        body = {"email": self.email, "password": "correct horse battery"}
        me = self.http.post("/v1/signup", json=body).json()
        self.http.headers["X-CSRF-Token"] = me["csrf"]
        invite = self.http.post("/v1/invites", json={"role": "member"}).json()
        self.ids = {"user": me["user"]["id"], "invite": invite["id"]}
        self.marks = {self.email, me["account"]["id"], *self.ids.values()}

    def ask(self, method, path, **kwargs):
        answer = self.http.request(method, path, **kwargs)
        for mark in self.other.marks:
            assert mark not in answer.text.replace(path, ""), f"{mark}: {answer.url}"
        return answer


@pytest.fixture(scope="module")
def persons(stack):
    a, b = Person(stack, "anna"), Person(stack, "bert")
    a.other, b.other = b, a
    yield a, b
    a.http.close()
    b.http.close()


def ids_of(account):
    return {"model": account.models[0]["id"], "session": account.sessions[0],
            "key": account.keys[-1], "device": account.devices[0], "external": account.word,
            "channel": account.models[0]["modality_channels"][0]["id"],
            "insight": account.insights[0]}


def never_of(kind):
    return "never was" if kind in ("device", "external") else str(uuid.uuid4())


def everything_of(account, person):
    """What the operations on another's ids must leave as it is."""
    lists = ["/v1/device-models", "/v1/sessions", "/v1/keys", "/v1/devices"]
    unread = ("last_used_at", "last_used_address", "last_used_agent", "last_seen_at", "online",
              "status", "ended_at")  # a session may still be closing
    rows = [row for path in lists for row in account.http.get(path).json()]
    rows += person.http.get("/v1/users").json() + person.http.get("/v1/invites").json()
    return [{name: value for name, value in row.items() if name not in unread} for row in rows]


def test_every_operation_answers_for_another_s_id_as_for_none(operations, accounts, persons):
    a, b = accounts
    a.insights += [row["id"] for row in a.http.get("/v1/insights").json()]
    theirs = ids_of(a) | persons[0].ids
    before = everything_of(a, persons[0])
    tried = set()
    for method, path, operation in operations:
        if "{id}" not in path:
            continue
        kind = PATHS.get(path.split("/")[2])
        assert kind, f"{path}: what is its id the id of?"
        asker = persons[1] if by_login_alone(operation) else b
        body = None
        if "requestBody" in operation:
            assert schema_of(operation) in BODIES, f"{method} {path}: which body is well formed?"
            body = BODIES[schema_of(operation)]
        ways = [(path.replace("{id}", "THEIRS").replace("{ch_id}", theirs["channel"]), kind)]
        if "{ch_id}" in path:
            ways.append((path.replace("{id}", b.models[0]["id"]).replace("{ch_id}", "THEIRS"),
                         "channel"))
        if method == "DELETE" and kind == "key":
            ways.append((ways[0][0] + "?cascade=true", kind))
        for place, what in ways:
            answer = as_unknown(asker, method, place, theirs[what], never_of(what), json=body)
            assert answer.status_code == 404, (method, place, answer.text)
        tried.add((method, path))
    assert len(tried) >= 20
    assert everything_of(a, persons[0]) == before


def test_no_parameter_opens_another_account(operations, accounts):
    a, b = accounts
    theirs = ids_of(a)
    for method, path, operation in operations:
        names = parameters(operation, "query")
        assert set(names) <= set(QUERIES), f"{method} {path}: {set(names) - set(QUERIES)}: ids?"
        path = path.replace("{id}", b.sessions[0] if "/sessions/" in path else b.keys[-1])
        for name in names:
            kind = QUERIES[name]
            if kind == "place":  # where a list goes on: anything goes, but what comes is its own
                for value in (theirs["session"], theirs["insight"], theirs["key"], "a1r1"):
                    answer = b.own(b.http.get(f"{path}?{name}={value}"), value)
                    assert answer.status_code in (200, 400), answer.text
            elif kind == "insight":
                answer = b.own(b.http.get(f"{path}?{name}={theirs[kind]}"), theirs[kind])
                assert answer.status_code in (200, 400), answer.text
            elif kind:
                as_unknown(b, method, f"{path}?{name}=THEIRS", theirs[kind], never_of(kind))


def test_no_field_of_a_body_opens_another_account(stack, operations, accounts):
    a, b = accounts
    theirs, never = ids_of(a), str(uuid.uuid4())
    with rest(stack) as nobody:
        schemas = nobody.get("/openapi.json").json()["components"]["schemas"]
    for method, path, operation in operations:
        fields = set(schemas.get(schema_of(operation), {}).get("properties", {}))
        assert fields <= set(FIELDS), f"{method} {path}: {fields - set(FIELDS)}: ids?"
    model = f"/v1/device-models/{b.models[0]['id']}"
    answers = [b.ask("PUT", model, json={"modality_channels": [PPG | {"id": channel}]})
               for channel in (theirs["channel"], never)]
    assert same_but_for_its_id(answers[0]) == same_but_for_its_id(answers[1])
    assert answers[0].is_error
    for field, kind in (("session_id", "session"), ("device_id", "device")):
        for value in (theirs[kind], never_of(kind)):
            made = b.ask("POST", "/v1/tokens", json={field: value})
            assert made.status_code == 201
            with rest(stack, Key(None, made.json()["token"], "")) as own:
                assert own.get(f"/v1/sessions/{theirs['session']}").status_code == 404
                assert b.own(own.get("/v1/insights")).status_code in (200, 403)
    refused = [b.ask("POST", "/v1/invites/accept",
                     json={"token": token, "email": "x@example.org", "password": "y" * 12})
               for token in ("raehi_" + "A" * 32, never)]
    assert same_but_for_its_id(refused[0]) == same_but_for_its_id(refused[1])


def test_a_key_of_one_device_sees_nothing_of_the_others(stack, operations, accounts):
    """In its own account too: every row of another device is one that never was."""
    a, _ = accounts
    made = a.http.post("/v1/keys", json={"label": "bound", "device_id": a.devices[0]}).json()
    token = {"session_id": a.sessions[0], "scopes": ["read", "subscribe"]}
    token = a.http.post("/v1/tokens", json=token).json()["token"]
    theirs = {"device": a.devices[-1], "session": a.sessions[-1]}
    assert theirs["device"] != a.devices[0] and theirs["session"] != a.sessions[0]
    bound = Asker(stack, made["key"], theirs)
    narrow = Asker(stack, token, theirs)
    for method, path, operation in operations:
        needs = [scope for way in operation.get("security", []) for scope in way.get("bearer", [])]
        kind = PATHS.get(path.split("/")[2]) if path.startswith("/v1/") else None
        if not needs:
            continue
        if needs != ["read"]:
            body = {} if "requestBody" in operation else None
            at = path.replace("{id}", str(uuid.uuid4())).replace("{ch_id}", str(uuid.uuid4()))
            assert bound.ask(method, at, json=body).status_code in (400, 403), (method, path)
            assert narrow.ask(method, at, json=body).status_code in (400, 403), (method, path)
        elif kind in theirs and "{id}" in path:
            at = path.replace("{id}", "THEIRS")
            answer = as_unknown(bound, method, at, theirs[kind], never_of(kind))
            assert answer.status_code == 404, (path, answer.text)
            answer = narrow.ask(method, at.replace("THEIRS", theirs[kind]))
            assert answer.status_code == (404 if kind == "session" else 403), (path, answer.text)
            own = at.replace("THEIRS", {"device": a.devices[0], "session": a.sessions[0]}[kind])
            assert bound.ask(method, own).status_code == 200, own
        elif "{id}" not in path:
            assert bound.ask(method, path).status_code == 200, path
            assert narrow.ask(method, path).status_code == 403, path
            for name in set(parameters(operation, "query")) & {"session_id", "device_id"}:
                answer = as_unknown(bound, method, f"{path}?{name}=THEIRS",
                                    theirs[name.removesuffix("_id")], never_of(name[:-3]))
                assert answer.json() == []


class Asker:
    """A key or token, and what must be in no answer to it."""

    def __init__(self, stack, key, others):
        self.http = rest(stack, Key(None, key, ""))
        self.others = others

    def ask(self, method, path, **kwargs):
        answer = self.http.request(method, path, **kwargs)
        for mark in self.others.values():
            assert mark not in answer.text, f"{mark}: {answer.url} {answer.text}"
        return answer


def test_the_metrics_and_the_log_name_no_account(stack, accounts):
    text = until("the admin address answers", lambda: httpx.get(
        f"http://127.0.0.1:{ADMIN}/metrics", trust_env=False, timeout=20).text)
    assert "raeh_" in text
    for account in accounts:
        for mark in account.marks:
            assert mark not in text, mark
        assert account.key.key not in stack.log() and account.word not in stack.log()
