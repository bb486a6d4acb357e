"""Every refusal of the REST layer: status, sentence, headers, problem document."""
import asyncio
import json
import os
import signal
import socket
import time
from uuid import UUID, uuid4

import pytest

from client import PPG, make_model, rest, stream

STACK = {"edges": 1, "publishers": 2}

UNKNOWN_KEY = "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"  # the contract's test vector
NOBODY = "018f0000-0000-7000-8000-000000000000"

ROWS = [
    ("POST", "/v1/device-models"), ("GET", "/v1/device-models"),
    ("GET", f"/v1/device-models/{NOBODY}"), ("DELETE", f"/v1/device-models/{NOBODY}"),
    ("GET", "/v1/sessions"), ("GET", f"/v1/sessions/{NOBODY}"),
    ("GET", f"/v1/sessions/{NOBODY}/insights"), ("GET", "/v1/insights"),
]


@pytest.fixture
def http(stack, key):
    with rest(stack, key) as client:
        yield client


def problem(answer, status, *words):
    """Checks a problem document (RFC 9457) and answers it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.headers["access-control-allow-origin"] == "*"
    document = answer.json()
    assert set(document) == {"type", "title", "status", "detail", "request_id"}
    assert document["status"] == status and document["title"] and document["type"]
    UUID(document["request_id"])
    for word in words:
        assert word in document["detail"], document
    return document


# ---- 400: which field, and why ----

GOOD = {"modality": "ppg_green", "sample_rate_hz": 100}
AT = "modality_channels[1]"
BODIES = [
    ({}, ["name"]),
    ({"name": None}, ["name"]),
    ({"name": ""}, ["name", "1 to 128"]),
    ({"name": "x" * 129}, ["name", "1 to 128", "129"]),
    ({"name": 7}, ["name", "string"]),
    ({"name": ["x"]}, ["name", "string"]),
    ({"name": "a\u0000b"}, ["name"]),
    ({"name": "x", "description": "d" * 1025}, ["description", "1024"]),
    ({"name": "x", "firmware_version": "d" * 129}, ["firmware_version", "128"]),
    ({"name": "x", "description": False}, ["description", "string"]),
    ({"name": "x", "modality_channels": {}}, ["modality_channels"]),
    ({"name": "x", "modality_channels": "none"}, ["modality_channels"]),
    ({"name": "x", "modality_channels": [GOOD, 1]}, [AT]),
    ({"name": "x", "modality_channels": [GOOD] * 65}, ["modality_channels", "64"]),
    ({"name": "x", "modality_channels": [GOOD, {}]}, [AT]),
    ({"name": "x", "modality_channels": [GOOD, {"modality": "ppg_red"}]},
     [AT + ".sample_rate_hz"]),
    ({"name": "x", "modality_channels": [GOOD, {"sample_rate_hz": 1}]}, [AT + ".modality"]),
] + [
    ({"name": "x", "modality_channels": [GOOD, GOOD | {field: value}]}, [f"{AT}.{field}"])
    for field, values in {
        "modality": ["", "PPG", "ppg-red", "x" * 33, "é", 1, ["ppg_red"], {}],
        "sample_rate_hz": [0, -1, 0.09, 10000.1, 1e300, "100", True, []],
        "bit_depth": [0, 33, -1, 1.5, 2**32, 2**62, "16", [16]],
        "num_channels": [0, 17, -1, 2.5, 2**32 + 1, "1"],
    }.items() for value in values
]


@pytest.mark.parametrize("body, words", BODIES, ids=lambda value: json.dumps(value)[:70])
def test_a_body_that_is_not_a_device_model_is_refused_by_its_field(http, body, words):
    problem(http.post("/v1/device-models", json=body), 400, *words)


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"7", b"\"x\"", b"{\"name\":\"x\"} {}", b"{\"name\":\"x\"",
    b"{\"name\":\"x\",\"name\":\"y\"}", b"{\"name\":99999999999999999999}", b"\xff\xfe{}", b"{\"name\":\"\xff\"}", b"{'name':'x'}",
    b"{\"name\":\"\\ud800\"}", b"{\"name\":\"x\",\"modality_channels\":[NaN]}",
    b"[" * 100_000, b"{\"a\":" * 20_000,
], ids=lambda body: repr(body[:30]))
def test_a_body_that_is_no_json_object_is_refused(http, body):
    headers = {"Content-Type": "application/json"}
    problem(http.post("/v1/device-models", content=body, headers=headers), 400)


@pytest.mark.parametrize("path, words", [
    ("/v1/sessions?limit=0", ["limit", "1 to 200", "0"]),
    ("/v1/sessions?limit=201", ["limit", "1 to 200", "201"]),
    ("/v1/sessions?limit=-1", ["limit"]),
    ("/v1/sessions?limit=ten", ["limit"]),
    ("/v1/sessions?limit=", ["limit"]),
    ("/v1/sessions?limit=1.5", ["limit"]),
    ("/v1/sessions?limit=99999999999999999999", ["limit"]),
    ("/v1/sessions?status=opened", ["status", "open", "closed", "opened"]),
    ("/v1/sessions?status=OPEN", ["status"]),
    ("/v1/insights?limit=0", ["limit", "1 to 200"]),
    ("/v1/insights?limit=201", ["limit", "1 to 200"]),
    ("/v1/insights?type=pulse", ["type", "hr", "rr", "spo2", "pulse"]),
    ("/v1/insights?from=yesterday", ["from"]),
    ("/v1/insights?to=2026-13-01T00:00:00Z", ["to"]),
    ("/v1/device-models?limit=0", ["limit"]),
    ("/v1/device-models?limit=x", ["limit"]),
])
def test_a_query_that_is_not_understood_is_refused_by_its_parameter(http, path, words):
    problem(http.get(path), 400, *words)


def test_a_parameter_of_tomorrow_is_ignored(http):
    assert http.get("/v1/sessions?colour=blue").status_code == 200


def test_a_bad_limit_of_a_sessions_insights_is_refused(stack, key, model, http):
    session = asyncio.run(stream(stack, key, model, 1))
    problem(http.get(f"/v1/sessions/{session}/insights?limit=0"), 400, "limit")
    problem(http.get(f"/v1/sessions/{session}/insights?type=x"), 400, "type")


# ---- 400 and 401: the key ----

@pytest.mark.parametrize("method, path", ROWS)
@pytest.mark.parametrize("headers", [
    {}, {"Authorization": ""}, {"Authorization": "Basic dTpw"}, {"Authorization": "Bearer"},
    {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {UNKNOWN_KEY}"},
    {"Authorization": "Bearer " + "r" * 5000},
    {"Authorization": f"Bearer {UNKNOWN_KEY[:-1]}F"},  # mistyped: the checksum is wrong
], ids=["none", "empty", "basic", "bare", "short", "unknown", "long", "mistyped"])
def test_every_row_asks_for_a_key(stack, method, path, headers):
    with rest(stack) as http:
        answer = http.request(method, path, headers=headers)
        problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_revoked_key_is_refused_like_one_that_never_was(stack):
    revoked = stack.key()
    stack.admin("key", "revoke", revoked.id)
    with rest(stack) as http:
        answers = [http.get("/v1/sessions", headers={"Authorization": f"Bearer {key}"})
                   for key in (revoked.key, UNKNOWN_KEY)]
    assert same_but_for_the_id(*answers)


def same_but_for_the_id(a, b):
    left, right = a.json(), b.json()
    assert left.pop("request_id") != right.pop("request_id")
    assert (a.status_code, left) == (b.status_code, right)
    return True


def test_two_different_keys_are_one_too_many(stack, key):
    other = stack.key(key.account)
    with rest(stack, key) as http:
        problem(http.get("/v1/sessions", params={"api_key": other.key}), 400, "two")


@pytest.mark.parametrize("scopes, refused", [
    ("read", [("POST", "/v1/device-models"), ("DELETE", f"/v1/device-models/{NOBODY}")]),
    ("write", [("GET", "/v1/device-models"), ("GET", f"/v1/device-models/{NOBODY}"),
               ("GET", "/v1/sessions"), ("GET", f"/v1/sessions/{NOBODY}"),
               ("GET", f"/v1/sessions/{NOBODY}/insights"), ("GET", "/v1/insights")]),
    ("ingest,subscribe,keys", ROWS),
])
def test_a_key_without_the_scope_is_refused(stack, scopes, refused):
    key = stack.key(scopes=scopes)
    with rest(stack, key) as http:
        for method, path in refused:
            body = {"name": "x"} if method == "POST" else None
            scope = "read" if method == "GET" else "write"
            problem(http.request(method, path, json=body), 403, "scope", scope)


# ---- 404, 405, 409 ----

@pytest.mark.parametrize("path, words", [
    ("/v1/nothing", ["path"]), ("/v1", ["path"]), ("/v2/sessions", ["path"]),
    ("/v1/sessions/", ["path"]), ("/v1/device-models//x", ["path"]), ("/..%2fetc", ["path"]),
    ("/stream", ["path"]), ("/v1/sessions/a/b/c", ["path"]),
    *[(f"/v1/device-models/{id}", ["no such device model"]) for id in (
        NOBODY, "x", "%01", "%ff", NOBODY[:-1], NOBODY + "0", "x" * 500)],
    *[(f"/v1/sessions/{id}{rest}", ["no such session"]) for id in (
        NOBODY, "x", str(uuid4()), NOBODY[:-1], "%F0%9F%91%BD") for rest in ("", "/insights")],
])
def test_what_is_not_there_is_not_found(http, path, words):
    problem(http.get(path), 404)


@pytest.mark.parametrize("id", [NOBODY, "x", "%20", "%ff"])
def test_deleting_what_is_not_there_is_not_found(http, id):
    problem(http.delete(f"/v1/device-models/{id}"), 404)


@pytest.mark.parametrize("method, path, allowed", [
    ("PUT", "/v1/device-models", {"GET", "POST"}),
    ("DELETE", "/v1/sessions", {"GET"}),
    ("POST", "/v1/sessions", {"GET"}),
    ("PATCH", f"/v1/sessions/{NOBODY}", {"GET"}),
    ("POST", f"/v1/device-models/{NOBODY}", {"GET", "PUT", "DELETE"}),
    ("DELETE", "/v1/insights", {"GET"}),
    ("POST", "/healthz", {"GET"}),
    ("DELETE", "/", {"GET"}),
    ("BREW", "/v1/sessions", {"GET"}),
])
def test_a_method_that_a_path_does_not_have_is_told_which_it_has(http, method, path, allowed):
    answer = http.request(method, path)
    problem(answer, 405)
    assert allowed <= set(answer.headers["allow"].split(", ")) <= allowed | {"HEAD", "OPTIONS"}


def test_a_name_is_taken_once_in_an_account(stack, http):
    body = {"name": "taken", "modality_channels": [PPG]}
    assert http.post("/v1/device-models", json=body).status_code == 201
    problem(http.post("/v1/device-models", json=body), 409, "name", "taken")
    with rest(stack, stack.key()) as other:
        assert other.post("/v1/device-models", json=body).status_code == 201


def test_a_device_model_that_a_device_refers_to_stays(stack, key, http):
    model = make_model(stack, key)
    asyncio.run(stream(stack, key, model, 0.2))
    problem(http.delete(f"/v1/device-models/{model['id']}"), 409, "device")
    assert http.get(f"/v1/device-models/{model['id']}").json() == model


# ---- 411, 413, 415, and bytes that are no request ----

def raw(stack, data, seconds=15, shut=False):
    """Sends bytes as they are and reads until the server has closed or answered."""
    with socket.create_connection(("127.0.0.1", stack.port), 5) as peer:
        peer.settimeout(seconds)
        try:
            peer.sendall(data)
            if shut:
                peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it may have answered and closed before it had read all
        answer = b""
        try:
            while part := peer.recv(65536):
                answer += part
                if b"\r\n\r\n" in answer and b"request_id" in answer:
                    break
        except (TimeoutError, ConnectionError):
            pass
        return answer


def head(method, path, key, *lines):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x",
                        f"Authorization: Bearer {key.key}", *lines, "", ""]).encode()


def test_a_post_without_a_length_is_refused(stack, key):
    answer = raw(stack, head("POST", "/v1/device-models", key, "Content-Type: application/json"))
    assert answer.startswith(b"HTTP/1.1 411 ") and b"Content-Length" in answer


def test_a_body_in_chunks_is_taken(stack, key):
    def chunks():
        yield b"{\"na"
        yield b"me\":\"in chunks\"}"
    with rest(stack, key) as http:
        answer = http.post("/v1/device-models", content=chunks(),
                           headers={"Content-Type": "application/json"})
    assert answer.status_code == 201 and answer.json()["name"] == "in chunks"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(http, chunked):
    body = json.dumps({"name": "x", "description": "y" * 300_000}).encode()
    content = iter([body[:1000], body[1000:]]) if chunked else body
    answer = http.post("/v1/device-models", content=content,
                       headers={"Content-Type": "application/json"})
    problem(answer, 413, "262144")


def test_a_huge_length_is_refused_at_once(stack, key):
    answer = raw(stack, head("POST", "/v1/device-models", key, "Content-Type: application/json",
                             "Content-Length: 99999999999"))
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data",
                                          "application/jsonp",
                                          "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_refused(http, content_type):
    answer = http.post("/v1/device-models", content=b"{\"name\":\"x\"}",
                       headers={"Content-Type": content_type})
    problem(answer, 415, "application/json")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON",
                                          "application/json;charset=UTF-8"])
def test_json_with_parameters_is_json(http, content_type):
    answer = http.post("/v1/device-models", content=b"{}",
                       headers={"Content-Type": content_type})
    problem(answer, 400, "name")


@pytest.mark.parametrize("data", [
    b"\r\n\r\n\r\n\r\n", b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"POST /v1/device-models HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"POST /v1/device-models HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/device-models HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/device-models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"POST /v1/device-models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"ffffffffffffffffff\r\n\r\n",
], ids=lambda data: repr(data[:40]))
def test_bytes_that_are_no_request_are_refused_and_hurt_nobody(stack, data):
    answer = raw(stack, data, shut=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 505")
    with rest(stack) as http:
        assert http.get("/healthz").status_code == 200


def test_a_request_that_is_never_finished_is_dropped(stack):
    began = time.monotonic()
    answer = raw(stack, b"GET / HTTP/1.1\r\nHost: x\r\n", seconds=20)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
    assert 8 < time.monotonic() - began  # the limit is 10 s


# ---- 503: a service behind is away ----

@pytest.mark.parametrize("name, method, path", [
    ("router", "GET", "/v1/sessions"),
    ("router", "POST", "/v1/device-models"),
    ("publisher-1", "GET", "/v1/insights"),
])
def test_a_service_that_does_not_answer_is_unavailable(stack, http, name, method, path):
    pid = stack.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        body = {"name": f"while {name} sleeps"} if method == "POST" else None
        answer = http.request(method, path, json=body)
        problem(answer, 503, name)
        assert int(answer.headers["retry-after"]) >= 1
        ready = http.get("/readyz")
        problem(ready, 503, name)
        assert int(ready.headers["retry-after"]) >= 1
        assert http.get("/healthz").status_code == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    stack.wait_ready()
    assert http.get("/v1/sessions").status_code == 200


def test_without_auth_an_unknown_key_waits_and_a_known_one_goes_on(stack, key, http):
    assert http.get("/v1/sessions").status_code == 200
    fresh = stack.key(key.account)
    pid = stack.pid("auth")
    os.kill(pid, signal.SIGSTOP)
    try:
        assert http.get("/v1/sessions").status_code == 200  # the lease still holds
        with rest(stack, fresh) as other:
            answer = other.get("/v1/sessions")
        problem(answer, 503, "auth")
        assert int(answer.headers["retry-after"]) >= 1
        problem(http.get("/readyz"), 503, "auth")
    finally:
        os.kill(pid, signal.SIGCONT)
    stack.wait_ready()


def test_no_refusal_repeats_the_key(stack, key):
    with rest(stack) as http:
        for path in (f"/v1/nothing?api_key={key.key}", f"/v1/{key.key}",
                     f"/v1/sessions?limit={key.key}&api_key={key.key}",
                     f"/v1/sessions?status={key.key}&api_key={key.key}"):
            answer = http.get(path)
            assert answer.status_code in (400, 404)
            assert key.key not in answer.text
            assert key.key not in str(answer.headers)
