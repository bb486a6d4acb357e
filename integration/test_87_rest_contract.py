"""What every REST answer has in common: conditional GETs, gzip, CORS, HEAD, Idempotency-Key."""
import concurrent.futures
import gzip
import json
import uuid

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


def post(http, path, body, name):
    return http.post(path, json=body, headers={"Idempotency-Key": name})


def fresh(what="model"):
    return f"{what} {uuid.uuid4()}"


def names(http):
    return [row["name"] for row in http.get("/v1/device-models").json()]


def test_a_repeated_post_gets_the_first_answer_and_makes_nothing(http):
    body, name = {"name": fresh()}, fresh("try")
    first = post(http, "/v1/device-models", body, name)
    again = post(http, "/v1/device-models", body, name)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert names(http).count(body["name"]) == 1


def test_a_repeat_with_another_body_is_422(http):
    name = fresh("try")
    assert post(http, "/v1/device-models", {"name": fresh()}, name).status_code == 201
    other = post(http, "/v1/device-models", {"name": fresh()}, name)
    assert other.status_code == 422
    assert other.headers["content-type"] == "application/problem+json"
    assert other.json()["detail"].startswith("Idempotency-Key:")


def test_the_name_belongs_to_its_route_and_to_its_key(stack, http, key):
    name = fresh("try")
    made = post(http, "/v1/device-models", {"name": fresh()}, name).json()
    channel = {"modality": "ppg_green", "sample_rate_hz": 100}
    path = f"/v1/device-models/{made['id']}/modalities"
    first, again = post(http, path, channel, name), post(http, path, channel, name)
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    assert len(http.get(path).json()) == 1
    sibling = stack.key(key.account)
    stranger = stack.key()
    for other in (sibling, stranger):
        with rest(stack, other) as client:
            body = {"name": fresh()}
            assert post(client, "/v1/device-models", body, name).json()["name"] == body["name"]


def test_a_refused_post_may_be_tried_again_under_its_name(http):
    name, taken = fresh("try"), fresh()
    assert post(http, "/v1/device-models", {"name": taken}, fresh("try")).status_code == 201
    assert post(http, "/v1/device-models", {"name": taken}, name).status_code == 409
    assert post(http, "/v1/device-models", {"name": fresh()}, name).status_code == 201


def test_a_minted_key_is_told_once_and_its_id_when_the_post_is_repeated(stack, http):
    name, body = fresh("try"), {"label": fresh("label")}
    first = post(http, "/v1/keys", body, name).json()
    again = post(http, "/v1/keys", body, name)
    assert again.status_code == 409
    assert again.json()["made_id"] == first["id"] and first["id"] in again.json()["detail"]
    assert first["key"] not in again.text
    assert [row["label"] for row in http.get("/v1/keys").json()].count(body["label"]) == 1


def test_what_was_answered_is_known_after_the_services_were_killed(stack, http):
    body, name = {"name": fresh()}, fresh("try")
    label, key_name = {"label": fresh("label")}, fresh("try")
    model = post(http, "/v1/device-models", body, name).json()
    minted = post(http, "/v1/keys", label, key_name).json()
    for process in ("auth", "router"):
        stack.wait_restarted(process, stack.kill(process))
    stack.wait_ready()
    assert post(http, "/v1/device-models", body, name).json() == model
    again = post(http, "/v1/keys", label, key_name)
    assert (again.status_code, again.json()["made_id"]) == (409, minted["id"])


def test_posts_at_the_same_time_make_one_thing(stack, key, http):
    body, name = {"label": fresh("label")}, fresh("try")

    def one(_):
        with rest(stack, key) as client:
            return post(client, "/v1/keys", body, name)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = {answer.json().get("made_id") or answer.json()["id"] for answer in answers}
    assert len(made) == 1
    assert [row["label"] for row in http.get("/v1/keys").json()].count(body["label"]) == 1


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_name_that_is_none_is_400(http, name):
    answer = post(http, "/v1/device-models", {"name": fresh()}, name)
    assert answer.status_code == 400 and answer.json()["detail"].startswith("Idempotency-Key:")
