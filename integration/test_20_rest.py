"""Every row of the REST table, with httpx: what it answers when all is well."""
import re
from datetime import datetime, timezone
from uuid import UUID

import httpx
import pytest

from client import PPG, closed_session, make_model, rest, stream
from stack import until

STACK = {"edges": 2, "publishers": 2}

MODEL = {"id", "name", "description", "firmware_version", "modality_channels", "created_at",
         "updated_at"}
SESSION = {"id", "device_id", "device_model_id", "status", "started_at", "ended_at"}
INSIGHT = {"type", "value", "unit", "ts", "session_id", "device_id", "confidence", "sqi_class",
           "id", "t"}
T0_MS = 1_760_000_000_000  # the device's time is the only truth, however wrong
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def http(stack, key):
    with rest(stack, key) as client:
        yield client


@pytest.fixture(scope="module")
def sessions(stack, key, model):
    """Three closed sessions of two devices, oldest first; the last has 30 s of pulse."""
    import asyncio
    made = [asyncio.run(stream(stack, key, model, seconds, device, t0_ms=T0_MS))
            for seconds, device in ((1, "a"), (1, "b"), (30, "a"))]
    for session in made:
        closed_session(stack, key, session)
    return made


def is_uuid7(text):
    return text == str(UUID(text)) and UUID(text).version == 7


def is_now(text):
    assert TIME.fullmatch(text), text
    then = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return abs((datetime.now(timezone.utc) - then).total_seconds()) < 60


def test_a_device_model_is_made_with_its_defaults(http):
    answer = http.post("/v1/device-models", json={"name": "only a name"})
    assert answer.status_code == 201
    assert answer.headers["content-type"].startswith("application/json")
    made = answer.json()
    assert MODEL <= set(made)
    assert is_uuid7(made["id"]) and is_now(made["created_at"]) and is_now(made["updated_at"])
    assert (made["description"], made["firmware_version"]) == ("", "")
    assert made["modality_channels"] == []


def test_a_device_model_is_made_whole(http):
    body = {"name": "Ёжик ⌚ 1", "description": "two sensors", "firmware_version": "1.2.3",
            "modality_channels": [
                {"modality": "ppg_red", "sample_rate_hz": 62.5, "bit_depth": 24,
                 "num_channels": 2},
                {"modality": "acc_3axis", "sample_rate_hz": 50},
                {"modality": "temperature_2", "sample_rate_hz": 0.1}],
            "a field of tomorrow": {"is": ["ignored"]}}
    made = http.post("/v1/device-models", json=body).json()
    channels = made["modality_channels"]
    assert [made[name] for name in ("name", "description", "firmware_version")] == [
        "Ёжик ⌚ 1", "two sensors", "1.2.3"]
    assert all(is_uuid7(channel.pop("id")) for channel in channels)
    assert channels == [
        {"modality": "ppg_red", "sample_rate_hz": 62.5, "bit_depth": 24, "num_channels": 2},
        {"modality": "acc_3axis", "sample_rate_hz": 50, "bit_depth": 16, "num_channels": 3},
        {"modality": "temperature_2", "sample_rate_hz": 0.1, "bit_depth": 16, "num_channels": 1}]
    assert http.get(f"/v1/device-models/{made['id']}").json()["name"] == "Ёжик ⌚ 1"


def test_device_models_are_listed_newest_first_and_gone_when_deleted(stack):
    key = stack.key()
    with rest(stack, key) as http:
        assert http.get("/v1/device-models").json() == []
        made = [make_model(stack, key) for _ in range(3)]
        assert http.get("/v1/device-models").json() == made[::-1]
        assert http.get("/v1/device-models", params={"limit": 2}).json() == made[:0:-1]
        answer = http.delete(f"/v1/device-models/{made[1]['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert http.get("/v1/device-models").json() == [made[2], made[0]]
        assert http.get(f"/v1/device-models/{made[1]['id']}").status_code == 404
        # Its name is free again.
        assert http.post("/v1/device-models", json={"name": made[1]["name"]}).status_code == 201


def test_sessions_are_listed_newest_first(http, sessions):
    listed = http.get("/v1/sessions").json()
    assert [row["id"] for row in listed] == sessions[::-1]
    for row in listed:
        assert SESSION <= set(row)
        assert is_uuid7(row["id"]) and is_now(row["started_at"]) and is_now(row["ended_at"])
        assert row["status"] == "closed"
    assert [row["device_id"] for row in listed] == ["a", "b", "a"]
    assert [row["id"] for row in http.get("/v1/sessions?limit=1").json()] == sessions[:1:-1]


def test_a_session_tells_what_was_stored_of_it(http, sessions, model):
    row = http.get(f"/v1/sessions/{sessions[2]}").json()
    assert SESSION <= set(row)
    assert row["device_model_id"] == model["id"] and row["device_id"] == "a"
    assert row["frames"] == 150 and row["bytes"] == 150 * (12 + 2 * 20)
    assert (row["close_code"], row["close_reason"]) == (1000, "")
    assert {insight["type"] for insight in row["last_insights"]} >= {"hr"}


def test_the_insights_of_a_session_come_oldest_first(http, sessions):
    got = http.get(f"/v1/sessions/{sessions[2]}/insights").json()
    rates = [insight for insight in got if insight["type"] == "hr"]
    assert len(rates) >= 10
    for insight in got:
        assert INSIGHT <= set(insight)
        assert insight["session_id"] == sessions[2] and insight["device_id"] == "a"
        assert insight["type"] in ("hr", "rr", "spo2")
    assert [insight["id"] for insight in got] == sorted(insight["id"] for insight in got)
    assert T0_MS < rates[0]["t"] <= T0_MS + 10_000
    assert all(b["t"] - a["t"] == 2000 for a, b in zip(rates, rates[1:]))
    assert all(abs(insight["value"] - 72) < 3 for insight in rates[2:])
    only = http.get(f"/v1/sessions/{sessions[2]}/insights?type=hr").json()
    assert only == rates
    assert http.get(f"/v1/sessions/{sessions[0]}/insights").json() == []


def test_the_history_of_insights_comes_newest_first(http, sessions):
    got = http.get("/v1/insights?limit=200").json()
    of_session = http.get(f"/v1/sessions/{sessions[2]}/insights").json()
    assert got == of_session[::-1]
    assert http.get("/v1/insights?limit=3").json() == got[:3]
    assert http.get("/v1/insights?type=hr&limit=2").json() == [
        insight for insight in got if insight["type"] == "hr"][:2]
    assert http.get(f"/v1/insights?session_id={sessions[0]}").json() == []
    assert http.get(f"/v1/insights?session_id={sessions[2]}&limit=200").json() == got
    middle = datetime.fromtimestamp(got[3]["ts"] / 1000, timezone.utc)
    middle = middle.strftime("%Y-%m-%dT%H:%M:%S.") + f"{got[3]['ts'] % 1000:03}Z"
    newer = http.get("/v1/insights", params={"from": middle, "limit": 200}).json()
    older = http.get("/v1/insights", params={"to": middle, "limit": 200}).json()
    assert all(insight["ts"] >= got[3]["ts"] for insight in newer) and newer
    assert all(insight["ts"] <= got[3]["ts"] for insight in older) and older
    assert len(newer) + len(older) >= len(got)


async def test_an_open_session_is_open_and_a_closed_one_closed(stack):
    from client import frames, ingest, receive
    key = stack.key()
    model = make_model(stack, key)
    with rest(stack, key) as http:
        async with ingest(stack, key, model, "open") as socket:
            session = (await receive(socket))["session_id"]
            for message in frames(2):
                await socket.send(message)
            row = http.get("/v1/sessions?status=open").json()
            assert [r["id"] for r in row] == [session]
            assert row[0]["status"] == "open" and row[0]["ended_at"] is None
            assert http.get("/v1/sessions?status=closed").json() == []
            until("the frames are stored",
                  lambda: http.get(f"/v1/sessions/{session}").json()["frames"] == 10)
            detail = http.get(f"/v1/sessions/{session}").json()
            assert detail["close_code"] is None and detail["close_reason"] is None
            assert detail["ended_at"] is None
        closed_session(stack, key, session)
        until("it is closed in the list", lambda: http.get("/v1/sessions?status=open").json() == [])
        assert [r["id"] for r in http.get("/v1/sessions?status=closed").json()] == [session]


def test_the_limit_of_a_list_of_sessions_is_fifty_unless_asked(stack):
    import asyncio
    key = stack.key()
    model = make_model(stack, key)

    async def many():
        await asyncio.gather(*(stream(stack, key, model, 0.2, f"d{n}") for n in range(53)))

    asyncio.run(many())
    with rest(stack, key) as http:
        assert len(http.get("/v1/sessions").json()) == 50
        everything = http.get("/v1/sessions?limit=200").json()
        assert len(everything) == 53
        assert [row["id"] for row in everything] == sorted((r["id"] for r in everything),
                                                           reverse=True)
        assert len(http.get("/v1/sessions?limit=7").json()) == 7


@pytest.mark.parametrize("path", ["/v1/device-models", "/v1/sessions", "/v1/insights", "/healthz",
                                  "/readyz", "/"])
def test_head_is_get_without_its_body(http, path):
    get, head = http.get(path), http.head(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("path", ["/v1/device-models", "/v1/sessions", "/v1/insights", "/healthz",
                                  "/v1/device-models/x"])
def test_a_browser_may_ask_from_any_origin(stack, path):
    with rest(stack) as http:
        answer = http.options(path, headers={
            "Origin": "https://app.example", "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization,content-type"})
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    methods = answer.headers["access-control-allow-methods"]
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(methods.split(", "))
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed and "content-type" in allowed


def test_every_answer_allows_any_origin_and_tells_no_referrer(stack, http):
    with rest(stack) as keyless:
        answers = [http.get("/v1/sessions"), http.get("/v1/nothing"), keyless.get("/v1/sessions"),
                   http.get("/healthz")]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*", answer
        assert answer.headers["referrer-policy"] == "no-referrer", answer


def test_a_key_may_stand_in_the_header_or_in_the_query(stack, key):
    with rest(stack) as http:
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = http.get("/v1/sessions", headers={"Authorization": f"{scheme} {key.key}"})
            assert answer.status_code == 200
        assert http.get("/v1/sessions", params={"api_key": key.key}).status_code == 200
        both = http.get("/v1/sessions", params={"api_key": key.key}, headers=key.headers)
        assert both.status_code == 200


def test_many_requests_go_over_one_connection(stack, key):
    with httpx.Client(base_url=stack.url, headers=key.headers, trust_env=False,
                      limits=httpx.Limits(max_connections=1)) as http:
        for _ in range(100):
            assert http.get("/v1/sessions?limit=1").status_code == 200


def test_what_is_written_is_there_after_a_restart(stack):
    key = stack.key()
    model = make_model(stack, key, [PPG])
    import asyncio
    session = asyncio.run(stream(stack, key, model, 12))
    closed_session(stack, key, session)
    with rest(stack, key) as http:
        before = [http.get(path).json() for path in (
            "/v1/device-models", "/v1/sessions", f"/v1/sessions/{session}",
            f"/v1/sessions/{session}/insights", "/v1/insights")]
    assert before[4]
    stack.restart()
    with rest(stack, key) as http:
        after = [http.get(path).json() for path in (
            "/v1/device-models", "/v1/sessions", f"/v1/sessions/{session}",
            f"/v1/sessions/{session}/insights", "/v1/insights")]
    assert after == before
