"""What every REST answer has in common: conditional GETs, gzip, CORS, HEAD."""
import gzip
import json

import pytest

from client import make_model, rest

EXPOSED = {"link", "etag", "retry-after", "location", "ratelimit-limit", "ratelimit-remaining",
           "ratelimit-reset"}


@pytest.fixture(scope="module")
def key(stack):
    return stack.key(scopes="ingest,subscribe,read,write,keys")


@pytest.fixture(scope="module")
def http(stack, key):
    with rest(stack, key) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/device-models", "/v1/sessions", "/v1/insights", "/v1/keys"])
def test_a_get_that_has_not_changed_is_304_with_its_headers_and_no_body(http, model, path):
    first = http.get(path)
    tag = first.headers["etag"]
    assert first.status_code == 200 and tag.startswith('W/"')
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = http.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["access-control-allow-origin"] == "*"
    assert http.get(path, headers={"If-None-Match": 'W/"other"'}).json() == first.json()


def test_a_tag_is_another_one_when_the_list_has_changed(stack, http, key):
    tag = http.get("/v1/device-models").headers["etag"]
    make_model(stack, key)
    answer = http.get("/v1/device-models", headers={"If-None-Match": tag})
    assert answer.status_code == 200 and answer.headers["etag"] != tag


def test_a_304_is_for_no_one_whose_key_is_refused(stack, http):
    tag = http.get("/v1/device-models").headers["etag"]
    with rest(stack) as nobody:
        answer = nobody.get("/v1/device-models", headers={"If-None-Match": tag})
    assert answer.status_code == 401


def test_a_long_answer_comes_as_gzip_to_a_client_that_can_read_it(stack, http, key):
    for n in range(8):
        make_model(stack, key, name=f"model with a long name {n}")
    plain = http.get("/v1/device-models", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    with http.stream("GET", "/v1/device-models", headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) == int(answer.headers["content-length"]) < len(plain.content)
    assert json.loads(gzip.decompress(packed)) == plain.json()
    refused = http.get("/v1/device-models", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


def test_an_answer_to_a_post_is_never_compressed(http):
    body = {"name": "x" * 100, "description": "y" * 1000}
    answer = http.post("/v1/device-models", json=body, headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 201
    assert "content-encoding" not in answer.headers and "etag" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/device-models", "/v1/keys", "/healthz", "/readyz", "/"])
def test_head_is_answered_as_get_is_but_for_the_body(http, path):
    get, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("content-type", "content-length", "etag"):
        assert head.headers.get(name) == get.headers.get(name), name


@pytest.mark.parametrize("path", ["/v1/device-models", "/v1/nothing", "/v1/sessions/x"])
def test_a_page_of_another_origin_may_read_every_answer(stack, http, path):
    answer = http.get(path, headers={"Origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    exposed = {name.strip().lower()
               for name in answer.headers["access-control-expose-headers"].split(",")}
    assert EXPOSED <= exposed


def test_a_preflight_needs_no_key_and_allows_what_the_contract_has(stack):
    with rest(stack) as nobody:
        answer = nobody.options("/v1/keys", headers={
            "Origin": "https://app.example", "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization, idempotency-key"})
    assert answer.status_code == 204
    allowed = answer.headers["access-control-allow-headers"].lower()
    for name in ("authorization", "content-type", "idempotency-key", "if-none-match",
                 "last-event-id", "prefer"):
        assert name in allowed
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        assert method in answer.headers["access-control-allow-methods"]


def test_a_405_names_the_methods_of_the_path(http):
    answer = http.request("PATCH", "/v1/device-models")
    assert answer.status_code == 405
    assert {"GET", "HEAD", "POST", "OPTIONS"} == {
        method.strip() for method in answer.headers["allow"].split(",")}


def test_two_different_credentials_are_400(stack, key):
    with rest(stack, key) as client:
        other = "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"
        answer = client.get(f"/v1/sessions?api_key={other}")
        assert answer.status_code == 400 and other not in answer.text
        assert client.get(f"/v1/sessions?api_key={key.key}").status_code == 200


@pytest.mark.parametrize("path, field", [("/v1/sessions?status=ajar", "status"),
                                         ("/v1/insights?type=mood", "type"),
                                         ("/v1/sessions?limit=201", "limit"),
                                         ("/v1/insights?limit=0", "limit")])
def test_an_unknown_word_or_number_is_400_and_named(http, path, field):
    answer = http.get(path)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "request_id"} <= set(problem)
    assert problem["detail"].startswith(field + ":")
