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
DASHBOARD = ("/v1/signup", "/v1/login", "/v1/invites/accept")  # they ask for no login
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
            headers = {"Accept": next(iter(content_of(operation)), "*/*")}
            answer = nobody.request(method, place, headers=headers,
                                    json={} if "requestBody" in operation else None)
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


def content_of(operation):
    """The types of what it answers with."""
    return operation["responses"][min(operation["responses"])].get("content", {})


def test_every_path_names_its_methods_and_may_be_asked_from_any_page(document, http):
    for path, item in document["paths"].items():
        has = {method.upper() for method in item} | {"OPTIONS"}
        if "get" in item and path != "/stream/subscribe":
            has.add("HEAD")
        if path == "/v1/invites/accept":
            has.add("DELETE")  # of an invitation of that name
        place = path.replace("{id}", NOBODY).replace("{ch_id}", NOBODY)
        preflight = http.options(place, headers={"Origin": "https://app.example",
                                                 "Access-Control-Request-Method": "GET"})
        assert (preflight.status_code, preflight.content) == (204, b""), path
        assert preflight.headers["access-control-allow-origin"] == "*", path
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - has:
            answer = http.request(method, place)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == has, (method, path)
            assert answer.headers["access-control-allow-origin"] == "*", (method, path)
            assert method == "HEAD" or answer.json()["status"] == 405


WRONG = {"string": (7, []), "integer": ("x", 1.5), "number": ("x", True), "boolean": ("x", 0),
         "array": ("x", {}), "object": ("x", [])}


def type_of(schema):
    if "$ref" in schema or "anyOf" in schema:
        return "object"
    return schema["type"] if isinstance(schema["type"], str) else schema["type"][0]


def test_every_field_of_every_body_is_refused_by_its_name(document, http):
    tried = 0
    for method, path, operation in operations(document):
        if "requestBody" not in operation:
            continue
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        schema = document["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
        right = {name: 1 if type_of(schema["properties"][name]) == "number" else "x"
                 for name in schema["required"]}
        for name, wanted in schema["properties"].items():
            for wrong in WRONG[type_of(wanted)]:
                place = path.replace("{id}", NOBODY).replace("{ch_id}", NOBODY)
                answer = http.request(method, place, json=right | {name: wrong})
                detail = answer.json()["detail"]
                assert answer.status_code == 400, (method, path, name, wrong, answer.text)
                assert detail.startswith(f"{name}: expected ") and ", got " in detail, detail
                tried += 1
    assert tried > 80


def test_every_parameter_is_refused_by_its_name(document, http):
    tried = 0
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter.get("in") != "query" or path == "/stream/subscribe":
                continue
            schema, wrong = parameter["schema"], []
            if {"enum", "format"} & set(schema) or schema["type"] in ("integer", "boolean"):
                wrong += ["x", ""]
            if "{id}" not in path:  # where there is no such session, that is said first
                wrong += [str(schema[bound] + step) for bound, step in
                          (("minimum", -1), ("maximum", 1)) if bound in schema]
            for value in wrong:
                place = path.replace("{id}", NOBODY)
                answer = http.request(method, place, params={parameter["name"]: value})
                assert answer.status_code == 400, (method, path, parameter["name"], value)
                assert answer.json()["detail"].startswith(parameter["name"] + ": expected "), (
                    path, answer.text)
                tried += 1
    assert tried > 60


class Calls:
    """What makes each operation succeed, by its operationId."""

    def __init__(self, stack, key, http, model, session):
        self.stack, self.key, self.http = stack, key, http
        self.model, self.session = model, session
        self.channel = model["modality_channels"][0]

    def fresh(self):
        return {"name": f"model {uuid.uuid4()}", "modality_channels": [PPG, PPG]}

    def made(self):
        return self.http.post("/v1/device-models", json=self.fresh()).json()

    def streamed(self):
        """A device that has been here, and is gone."""
        device = f"device {uuid.uuid4()}"
        done = asyncio.run(stream(self.stack, self.key, self.model, 0.2, device))
        closed_session(self.stack, self.key, done)
        return device

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
            "list_insights": lambda: http.get(f"/v1/insights?session_id={self.session}&limit=5"),
            "mint_key": lambda: http.post("/v1/keys", json={
                "label": "documented", "external_id": "u1", "metadata": {"a": 1},
                "rate_limit": 100, "limits": {"open_sockets": 5, "requests_per_s": None},
                "expires_at": "2036-01-01T00:00:00.000Z"}),
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
            "delete_device": lambda: http.delete(f"/v1/devices/{self.streamed()}"),
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


def answered(strict, operation, answer):
    """It succeeded, with the status that the document has first."""
    assert str(answer.status_code) == min(operation["responses"]), (
        operation["operationId"], answer.status_code, answer.text)
    check(strict, operation, answer)
    return answer


def is_of_the_dashboard(path, operation):
    return operation.get("security") == [{"cookie": []}] or path in DASHBOARD


def test_every_operation_answers_as_it_says(stack, key, document, strict, http, model, session):
    calls = Calls(stack, key, http, model, session)
    for method, path, operation in operations(document):
        if is_of_the_dashboard(path, operation) or path == "/stream/subscribe":
            continue  # called below
        answer = calls.call(operation["operationId"])
        if answer is None and method == "get" and "{" not in path:
            answer = http.get(path)  # a list that this test does not know by name
        assert answer is not None, f"no call of {operation['operationId']}: write one above"
        answered(strict, operation, answer)


@pytest.mark.parametrize("kind, formats", [
    ("/v1/insights", {"json": "application/json", "csv": "text/csv"}),
    ("/v1/sessions/{id}/insights", {"json": "application/json", "csv": "text/csv"}),
    ("/v1/sessions/{id}/frames", {"csv": "text/csv", "edf": "application/octet-stream",
                                  "bdf": "application/octet-stream"})])
def test_every_format_has_its_type(document, strict, http, session, kind, formats):
    operation = document["paths"][kind]["get"]
    schema, = [parameter["schema"] for parameter in operation["parameters"]
               if parameter.get("name") == "format"]
    assert set(schema["enum"]) == set(formats)
    assert set(content_of(operation)) == set(formats.values())
    for name, content_type in formats.items():
        answer = http.get(kind.replace("{id}", session), params={"format": name})
        answered(strict, operation, answer)
        assert answer.headers["content-type"].split(";")[0] == content_type


def test_the_event_stream_is_answered_as_it_says(document, strict, http):
    operation = document["paths"]["/stream/subscribe"]["get"]
    with http.stream("GET", "/stream/subscribe", headers={"Accept": "text/event-stream"}) as app:
        assert app.status_code == 200
        assert list(content_of(operation)) == [app.headers["content-type"]]
        assert next(app.iter_lines()).strip() == 'data: {"status":"subscribed"}'
    answer = http.get("/stream/subscribe")
    assert answer.status_code == 406
    check(strict, operation, answer)


class Browser:
    """What makes each operation of the dashboard succeed, in this order."""

    def __init__(self, stack):
        self.stack, self.http = stack, rest(stack)
        self.user = {"email": f"{uuid.uuid4()}@example.org", "password": "long enough, surely"}

    def ask(self, method, path, body=None):
        """As the page does: the cookie, and the token of who is logged in."""
        me = self.http.get("/v1/me")
        headers = {"X-CSRF-Token": me.json()["csrf"]} if me.status_code == 200 else {}
        return self.http.request(method, path, json=body, headers=headers)

    def invite(self):
        return self.ask("POST", "/v1/invites", {"role": "member", "email": None})

    def accept_invite(self):
        token = self.invite().json()["url_path"].rsplit("/", 1)[1]
        with rest(self.stack) as guest:
            answer = guest.post("/v1/invites/accept", json={
                "token": token, "email": f"{uuid.uuid4()}@example.org",
                "password": self.user["password"]})
        self.guest = answer.json()["user"]["id"]
        return answer

    def change_password(self):
        answer = self.ask("POST", "/v1/me/password",
                          {"current": self.user["password"], "new": "quite another one"})
        self.user["password"] = "quite another one"
        return answer

    def calls(self):
        ask = self.ask
        return {
            "sign_up_state": lambda: ask("GET", "/v1/signup"),
            "sign_up": lambda: ask("POST", "/v1/signup", self.user),
            "get_me": lambda: ask("GET", "/v1/me"),
            "list_users": lambda: ask("GET", "/v1/users"),
            "create_invite": self.invite,
            "list_invites": lambda: ask("GET", "/v1/invites"),
            "delete_invite": lambda: ask("DELETE", f"/v1/invites/{self.invite().json()['id']}"),
            "accept_invite": self.accept_invite,
            "delete_user": lambda: ask("DELETE", f"/v1/users/{self.guest}"),
            "change_password": self.change_password,
            "log_out": lambda: ask("POST", "/v1/logout"),
            "log_in": lambda: ask("POST", "/v1/login", self.user),
            "delete_account": lambda: ask("DELETE", "/v1/account",
                                          {"password": self.user["password"]}),
        }


def test_every_operation_of_the_dashboard_answers_as_it_says(stack, document, strict):
    ours = {operation["operationId"]: operation for _, path, operation in operations(document)
            if is_of_the_dashboard(path, operation)}
    browser = Browser(stack)
    calls = browser.calls()
    assert set(calls) == set(ours), "an operation of the dashboard without a call, or the reverse"
    with browser.http:
        for name, call in calls.items():
            answered(strict, ours[name], call())


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
