"""/openapi.json and /asyncapi.json: well formed, and true to what is answered."""
import asyncio
import copy
import subprocess
import uuid

import jsonschema
import pytest

from client import (PPG, closed_session, frames, ingest, insights, make_model, receive,
                    rest, stream, subscribe)
from stack import ROOT

METHODS = ("get", "post", "put", "patch", "delete")
NOBODY = str(uuid.UUID(int=0x0192f0c0000070008000000000000001))


@pytest.fixture(scope="module")
def key(stack):
    return stack.key(scopes="ingest,subscribe,read,write,keys")


@pytest.fixture(scope="module")
def http(stack, key):
    with rest(stack, key) as client:
        yield client


@pytest.fixture(scope="module")
def document(stack):
    with rest(stack) as nobody:
        return nobody.get("/openapi.json").json()


@pytest.fixture(scope="module")
def session(stack, key, model):
    made = asyncio.run(stream(stack, key, model, 30, "documented", t0_ms=1_760_000_000_000))
    closed_session(stack, key, made)
    return made


@pytest.fixture(scope="module")
def strict(document):
    """The document, with no field allowed that it does not name."""
    strict = copy.deepcopy(document)
    for schema in strict["components"]["schemas"].values():
        schema["additionalProperties"] = False
    return strict


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def check(strict, operation, answer):
    """The answer is one of those that the operation has, to the last field."""
    responses = operation["responses"]
    response = responses.get(str(answer.status_code), responses["default"])
    if "$ref" in response:
        response = strict["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    if "content" not in response:
        assert answer.content == b""
        return
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in response["content"], (kind, answer.text)
    if not kind.endswith("json"):
        return
    resolver = jsonschema.RefResolver("", strict)
    jsonschema.Draft202012Validator(
        response["content"][kind]["schema"], resolver=resolver,
        format_checker=jsonschema.FormatChecker()).validate(answer.json())


def test_both_documents_are_valid(stack, tmp_path):
    files = []
    with rest(stack) as nobody:
        for name in ("openapi.json", "asyncapi.json"):
            answer = nobody.get("/" + name)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/json"
            again = nobody.get("/" + name, headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == 304
            files.append(tmp_path / name)
            files[-1].write_text(answer.text)
    done = subprocess.run(["node", ROOT / "integration/node/contracts.js", *files],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_operation_has_a_name_a_sentence_and_its_faults(document):
    seen = set()
    for method, path, operation in operations(document):
        assert operation["operationId"] not in seen, path
        seen.add(operation["operationId"])
        assert operation["summary"].endswith("."), path
        assert "default" in operation["responses"]
        if operation.get("security") != []:
            assert {"401", "403", "429", "503"} <= set(operation["responses"]), path
        for parameter in operation.get("parameters", []):
            assert "$ref" in parameter or parameter.get("schema"), (path, parameter)
        named = {parameter.get("name") for parameter in operation.get("parameters", [])}
        assert {part[1:-1] for part in path.split("/") if part.startswith("{")} <= named


def test_every_operation_refuses_as_it_says(stack, document, strict, http):
    """Without a key 401, an unknown id 404, a body that is no object 400."""
    with rest(stack) as nobody:
        for method, path, operation in operations(document):
            if operation.get("security") == []:
                continue
            place = path.replace("{id}", NOBODY).replace("{ch_id}", NOBODY)
            answer = nobody.request(method, place, json={} if "requestBody" in operation else None)
            assert answer.status_code == 401, (method, path, answer.text)
            check(strict, operation, answer)
            if "requestBody" in operation:
                answer = http.request(method, place, json=[])
                assert answer.status_code in (400, 401, 403), (method, path, answer.text)
                check(strict, operation, answer)
            elif "404" in operation["responses"]:
                answer = http.request(method, place)
                assert answer.status_code in (401, 403, 404), (method, path, answer.text)
                check(strict, operation, answer)


class Calls:
    """What makes each operation succeed, by its operationId."""

    def __init__(self, http, model, session):
        self.http, self.model, self.session = http, model, session
        self.channel = model["modality_channels"][0]

    def fresh(self):
        return {"name": f"model {uuid.uuid4()}", "modality_channels": [PPG, PPG]}

    def made(self):
        return self.http.post("/v1/device-models", json=self.fresh()).json()

    def minted(self):
        return self.http.post("/v1/keys", json={"label": "documented"}).json()

    def call(self, name):
        http, fresh = self.http, self.fresh
        channels = "/v1/device-models/{id}/modalities"
        ways = {
            "get_healthz": lambda: http.get("/healthz"),
            "get_readyz": lambda: http.get("/readyz"),
            "get_openapi_json": lambda: http.get("/openapi.json"),
            "get_asyncapi_json": lambda: http.get("/asyncapi.json"),
            "create_model": lambda: http.post("/v1/device-models", json=fresh()),
            "list_models": lambda: http.get("/v1/device-models?limit=1"),
            "get_model": lambda: http.get(f"/v1/device-models/{self.model['id']}"),
            "update_model": lambda: http.put(f"/v1/device-models/{self.made()['id']}",
                                             json={"description": "changed",
                                                   "spo2_calibration": [110, -25, 0]}),
            "delete_model": lambda: http.delete(f"/v1/device-models/{self.made()['id']}"),
            "list_channels": lambda: http.get(channels.format(id=self.model["id"])),
            "add_channel": lambda: http.post(channels.format(id=self.made()["id"]), json=PPG),
            "update_channel": lambda: self.with_channel("PUT", {"sample_rate_hz": 50}),
            "delete_channel": lambda: self.with_channel("DELETE", None),
            "list_sessions": lambda: http.get("/v1/sessions?status=closed"),
            "get_session": lambda: http.get(f"/v1/sessions/{self.session}"),
            "session_insights": lambda: http.get(f"/v1/sessions/{self.session}/insights"),
            "frame_runs": lambda: http.get(f"/v1/sessions/{self.session}/frames?format=csv"),
            "list_insights": lambda: http.get(f"/v1/insights?session_id={self.session}&limit=5"),
            "mint_key": lambda: http.post("/v1/keys", json={
                "label": "documented", "external_id": "u1", "metadata": {"a": 1},
                "rate_limit": 100, "expires_at": "2036-01-01T00:00:00.000Z"}),
            "list_keys": lambda: http.get("/v1/keys"),
            "get_key": lambda: http.get(f"/v1/keys/{self.minted()['id']}"),
            "revoke_key": lambda: http.delete(f"/v1/keys/{self.minted()['id']}"),
            "key_impact": lambda: http.get(f"/v1/keys/{self.minted()['id']}/impact"),
            "revoke_keys": self.revoke_of_a_user,
            "get_gaps": lambda: http.get(f"/v1/sessions/{self.session}/gaps"),
            "get_clock": lambda: http.get(f"/v1/sessions/{self.session}/clock"),
            "frame_runs": lambda: http.get(f"/v1/sessions/{self.session}/frames?format=csv"),
            "rotate_key": lambda: http.post(f"/v1/keys/{self.minted()['id']}/rotate", json={}),
            "mint_token": lambda: http.post("/v1/tokens", json={"ttl_s": 60}),
            "list_devices": lambda: http.get("/v1/devices"),
            "get_device": lambda: http.get("/v1/devices/documented"),
            "list_usage": lambda: http.get("/v1/usage"),
            "list_audit": lambda: http.get("/v1/audit"),
            "patch_key": lambda: http.patch(f"/v1/keys/{self.minted()['id']}",
                                            json={"label": "changed"}),
        }
        return ways[name]() if name in ways else None

    def revoke_of_a_user(self):
        user = str(uuid.uuid4())
        for _ in range(2):
            self.http.post("/v1/keys", json={"label": "documented", "external_id": user})
        return self.http.delete(f"/v1/keys?external_id={user}")

    def with_channel(self, method, body):
        model = self.made()
        channel = model["modality_channels"][1]["id"]
        path = f"/v1/device-models/{model['id']}/modalities/{channel}"
        return self.http.request(method, path, json=body)


def test_every_operation_answers_as_it_says(document, strict, http, model, session):
    calls = Calls(http, model, session)
    called = 0
    for _, path, operation in operations(document):
        answer = calls.call(operation["operationId"])
        if answer is None and "{" not in path and list(document["paths"][path]) == ["get"]:
            if operation.get("security") != [{"cookie": []}]:  # those are called below
                answer = http.get(path)  # a list that this test does not know by name
        if answer is None:
            continue
        assert answer.status_code < 300, (operation["operationId"], answer.text)
        check(strict, operation, answer)
        called += 1
    assert called >= 24
    for path in (f"/v1/sessions/{session}/insights", "/v1/insights"):
        check(strict, document["paths"][path.replace(session, "{id}")]["get"],
              http.get(path, params={"format": "csv"}))


def test_who_is_logged_in_is_answered_as_it_says(stack, document, strict):
    by_id = {operation["operationId"]: operation for _, _, operation in operations(document)}
    user = {"email": f"{uuid.uuid4()}@example.org", "password": "long enough, surely"}
    with rest(stack) as browser:
        answer = browser.post("/v1/signup", json=user)
        assert answer.status_code == 201, answer.text
        check(strict, by_id["sign_up"], answer)
        me = browser.get("/v1/me")
        check(strict, by_id["get_me"], me)
        assert me.status_code == 200, me.text
        csrf = {"X-CSRF-Token": me.json()["csrf"]}
        for name, method, path, body in [
                ("list_users", "GET", "/v1/users", None),
                ("create_invite", "POST", "/v1/invites", {"role": "member"}),
                ("list_invites", "GET", "/v1/invites", None)]:
            answer = browser.request(method, path, json=body, headers=csrf)
            assert answer.status_code in (200, 201), answer.text
            check(strict, by_id[name], answer)
        out = browser.post("/v1/logout", headers={"X-CSRF-Token": me.json()["csrf"]})
        assert out.status_code == 204, out.text
        check(strict, by_id["log_out"], out)
        back = browser.post("/v1/login", json=user)
        assert back.status_code == 200, back.text
        check(strict, by_id["log_in"], back)
        token = {"X-CSRF-Token": back.json()["csrf"]}
        users = browser.get("/v1/users")
        assert [row["email"] for row in users.json()] == [user["email"]]
        check(strict, by_id["list_users"], users)
        made = browser.post("/v1/invites", json={"role": "member"}, headers=token)
        assert made.status_code == 201, made.text
        check(strict, by_id["create_invite"], made)
        check(strict, by_id["list_invites"], browser.get("/v1/invites"))
        with rest(stack) as guest:
            accepted = guest.post("/v1/invites/accept", json={
                "token": made.json()["url_path"].rsplit("/", 1)[1],
                "email": f"{uuid.uuid4()}@example.org", "password": user["password"]})
            assert accepted.status_code == 201, accepted.text
            check(strict, by_id["accept_invite"], accepted)
        gone = browser.delete(f"/v1/users/{accepted.json()['user']['id']}", headers=token)
        assert gone.status_code == 204, gone.text
        check(strict, by_id["delete_user"], gone)
        again = browser.post("/v1/invites", json={"role": "owner"}, headers=token).json()
        back = browser.delete(f"/v1/invites/{again['id']}", headers=token)
        assert back.status_code == 204, back.text
        changed = browser.post("/v1/me/password", headers=token, json={
            "current": user["password"], "new": "quite another one"})
        assert changed.status_code == 204, changed.text
        check(strict, by_id["change_password"], changed)


async def test_the_sockets_say_what_the_document_has(stack, key, model):
    with rest(stack) as nobody:
        whole = nobody.get("/asyncapi.json").json()
    for schema in whole["components"]["schemas"].values():
        schema["additionalProperties"] = False
    resolver = jsonschema.RefResolver("", whole)

    def conforms(message, name):
        payload = whole["components"]["messages"][name]["payload"]
        jsonschema.Draft202012Validator(payload, resolver=resolver).validate(message)

    async with subscribe(stack, key, device_id="async") as app:
        conforms(await receive(app), "subscribed")
        async with ingest(stack, key, model, "async", ack=1) as device:
            conforms(await receive(device), "handshake")
            for message in frames(30, t0_ms=1_760_000_000_000):
                await device.send(message)
            conforms(await receive(device), "ack")
            for insight in await insights(app, 3):
                conforms(insight, "insight")
            session = insight["session_id"]
        async with ingest(stack, key, model, "async", resume=session) as device:
            conforms(await receive(device), "resumed")
