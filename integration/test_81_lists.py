"""Lists: filters, and pages by the Link header, followed as a client does."""
import asyncio
from datetime import datetime, timedelta

import pytest

from client import closed_session, make_model, rest, stream

STACK = {"edges": 2, "publishers": 2}
DEVICES = ("a", "b", "a", "c", "a b&c", "a")
T0_MS = 1_760_000_000_000


@pytest.fixture
def http(stack, key):
    with rest(stack, key) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def sessions(stack, key, model):
    made = [asyncio.run(stream(stack, key, model, 12, device, t0_ms=T0_MS)) for device in DEVICES]
    for session in made:
        closed_session(stack, key, session)
    return made


def pages(http, url):
    """Every page, by rel=next; and that no link holds a key."""
    got, n = [], 0
    while url:
        answer = http.get(url)
        assert answer.status_code == 200, answer.text
        got.append(answer.json())
        assert "raeh_" not in answer.headers.get("link", "")
        url = answer.links.get("next", {}).get("url")
        n += 1
        assert n < 100
    return got


def flat(lists):
    return [item for page in lists for item in page]


def test_sessions_come_in_pages(http, sessions):
    whole = http.get("/v1/sessions?limit=200")
    assert "link" not in whole.headers
    for limit in (1, 4, 6):
        got = pages(http, f"/v1/sessions?limit={limit}&status=closed")
        assert flat(got) == whole.json()
        assert len(got) == -(-len(sessions) // limit)


def test_sessions_are_filtered(stack, http, key, sessions):
    listed = http.get("/v1/sessions").json()
    assert [row["device_id"] for row in listed] == list(DEVICES[::-1])
    for device in ("a", "a b&c", "never"):
        want = [row for row in listed if row["device_id"] == device]
        assert http.get("/v1/sessions", params={"device_id": device}).json() == want
    # The filter is repeated in the link, with its characters, and the key of the query is not.
    with rest(stack) as keyless:
        answer = keyless.get("/v1/sessions", params={"device_id": "a b&c", "limit": 1,
                                                     "api_key": key.key})
        assert answer.status_code == 200 and "link" not in answer.headers
        answer = keyless.get("/v1/sessions", params={"api_key": key.key, "limit": 1})
        assert "limit=1" in answer.headers["link"] and "api_key" not in answer.headers["link"]
    assert flat(pages(http, "/v1/sessions?device_id=a&limit=2")) == [
        row for row in listed if row["device_id"] == "a"]
    start = listed[3]["started_at"]
    at = datetime.fromisoformat(start.replace("Z", "+00:00"))
    before = (at - timedelta(milliseconds=1)).isoformat(timespec="milliseconds")
    before = before.replace("+00:00", "Z")
    assert http.get("/v1/sessions", params={"from": start}).json() == listed[:4]
    assert http.get("/v1/sessions", params={"to": start}).json() == listed[3:]
    assert http.get("/v1/sessions", params={"to": before}).json() == listed[4:]
    assert http.get("/v1/sessions", params={"from": start, "to": start}).json() == [listed[3]]


def test_insights_of_several_publishers_come_in_pages(http, sessions):
    whole = http.get("/v1/insights?limit=200").json()
    assert len({insight["session_id"] for insight in whole}) == len(sessions)
    for limit in (1, 7, len(whole)):
        assert flat(pages(http, f"/v1/insights?limit={limit}")) == whole
    of_a = [insight for insight in whole if insight["device_id"] == "a"]
    assert http.get("/v1/insights?device_id=a&limit=200").json() == of_a
    assert flat(pages(http, "/v1/insights?device_id=a&type=hr&limit=2")) == [
        insight for insight in of_a if insight["type"] == "hr"]
    assert http.get(f"/v1/insights?device_id=b&session_id={sessions[0]}").json() == []
    of_one = http.get(f"/v1/sessions/{sessions[0]}/insights").json()
    assert flat(pages(http, f"/v1/sessions/{sessions[0]}/insights?limit=2")) == of_one
    assert flat(pages(http, f"/v1/insights?session_id={sessions[0]}&limit=2")) == of_one[::-1]


def test_models_come_in_pages(stack):
    key = stack.key()
    made = [make_model(stack, key) for _ in range(5)]
    with rest(stack, key) as http:
        assert flat(pages(http, "/v1/device-models?limit=2")) == made[::-1]
        assert pages(http, "/v1/device-models") == [made[::-1]]


def test_keys_come_in_pages_and_are_found(stack):
    first = stack.key(scopes="ingest,subscribe,read,write,keys")
    labels = ["Firmware", "App of Ann", "App of Bob", "Backend"]
    with rest(stack, first) as http:
        made = [http.post("/v1/keys", json={"label": label}).json() for label in labels]
        ids = [key["id"] for key in reversed(made)] + [first.id]
        found = pages(http, "/v1/keys?limit=2")
        assert [len(page) for page in found] == [2, 2, 1]
        assert [key["id"] for key in flat(found)] == ids
        assert [key["id"] for key in flat(pages(http, "/v1/keys"))] == ids
        apps = flat(pages(http, "/v1/keys?label=app+of&limit=1"))
        assert [key["label"] for key in apps] == ["App of Bob", "App of Ann"]
        hinted = http.get(f"/v1/keys?hint={made[0]['hint']}").json()
        assert made[0]["id"] in [key["id"] for key in hinted]
        assert all(key["hint"] == made[0]["hint"] for key in hinted)
        answer = http.get("/v1/keys?cursor=x")
        assert answer.status_code == 400 and answer.json()["detail"].startswith("cursor")


def test_bad_filters_are_named(http):
    for query, field in (("sessions?cursor=x", "cursor"), ("insights?cursor=x", "cursor"),
                         ("device-models?cursor=x", "cursor"), ("sessions?from=yesterday", "from"),
                         ("insights?to=x", "to")):
        answer = http.get(f"/v1/{query}")
        assert answer.status_code == 400 and answer.json()["detail"].startswith(field), answer.text


def test_a_key_of_one_device_cannot_ask_for_another(stack, key, sessions):
    bound = stack.key(key.account, device_id="b")
    with rest(stack, bound) as http:
        assert [row["device_id"] for row in http.get("/v1/sessions").json()] == ["b"]
        assert http.get("/v1/sessions?device_id=a").json() == []
        assert http.get("/v1/insights?device_id=a").json() == []
        assert http.get("/v1/insights?device_id=b").json()
