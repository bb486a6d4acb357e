"""The audit trail: who did what, and that nobody can change it unseen. Usage: how much."""
import asyncio
import json
import signal
import subprocess

import pytest

from client import frames, ingest, make_model, receive, rest, subscribe
from stack import BIN, Key, Stack, environment, until

STACK = {"edges": 2, "args": ["--behind-proxy"]}
ALL = "ingest,subscribe,read,write,keys"


def verify(stack, status=0):
    done = stack.raeh("audit", "verify", "--data", stack.data, "--json", status=status)
    report = json.loads(done.stdout)
    return report | {journal["journal"]: journal for journal in report["journals"]}


def flip(stack, journal, record, byte):
    subprocess.run([BIN / "integration/flip", stack.data / journal, str(record), str(byte)],
                   check=True, env=environment())


def test_the_journals_of_a_running_stack_are_whole(stack, key, model):
    report = verify(stack)
    assert report["whole"] and set(report) >= {"auth", "router"}
    for name in ("auth", "router"):
        assert report[name]["whole"] and report[name]["records"] >= 1
        assert report[name]["redacted"] == 0 and len(report[name]["last_hash"]) == 64
        assert report[name]["bad_record"] is None
    make_model(stack, key)
    later = verify(stack)
    assert later["router"]["records"] > report["router"]["records"]
    assert later["router"]["last_hash"] != report["router"]["last_hash"]
    text = stack.raeh("audit", "verify", "--data", stack.data).stdout
    assert text.startswith("auth: whole, ") and later["router"]["last_hash"] in text


@pytest.fixture(scope="module")
def stopped():
    """The directory of a stack that has run."""
    stack = Stack().start()
    key = stack.key()
    for _ in range(5):
        make_model(stack, key)
    stack.stop()
    yield stack
    stack.directory.cleanup()


@pytest.mark.parametrize("journal,byte", [("auth", 40), ("auth", 85), ("router", 0),
                                          ("router", 70)])  # hash, payload, link, salt
def test_one_flipped_bit_is_found_and_its_record_named(stopped, journal, byte):
    flip(stopped, journal, 2, byte)
    report = verify(stopped, status=1)
    assert not report["whole"] and not report[journal]["whole"]
    assert report[journal]["bad_record"] == 2 and report[journal]["records"] == 1
    assert report[journal]["why"]
    text = stopped.raeh("audit", "verify", "--data", stopped.data, status=1).stdout
    assert f"{journal}: record 2: " in text
    flip(stopped, journal, 2, byte)
    assert verify(stopped)["whole"]


def test_a_flipped_byte_of_the_file_itself_is_found(stopped):
    """The file that the rows lie in: the log, which is not written out yet."""
    log = max((stopped.data / "router").glob("*.log"), key=lambda path: path.stat().st_size)
    whole = log.read_bytes()
    at = whole.rindex(b"ppg_green")
    log.write_bytes(whole[:at] + b"q" + whole[at + 1:])
    done = stopped.raeh("audit", "verify", "--data", stopped.data, status=1)
    assert "router" in done.stderr + done.stdout
    log.write_bytes(whole)
    assert verify(stopped)["whole"]


def test_what_is_no_installation_is_said(stack, tmp_path):
    done = stack.raeh("audit", "verify", "--data", tmp_path, status=1)
    assert "holds no journal" in done.stderr
    stack.raeh("audit", "verify", "--no-such-flag", status=2)


# ---- GET /v1/audit ----

ENTRY = {"id", "created_at", "action", "by", "target", "resource", "count", "address", "agent",
         "redacted"}


@pytest.fixture
def backend(stack):
    """An account of its own, so that nothing else is in its trail."""
    return stack.key(scopes=ALL)


def trail(stack, key, **query):
    with rest(stack, key) as http:
        answer = http.get("/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_trail_says_who_did_what_to_what_and_from_where(stack, backend):
    with rest(stack, backend) as http:
        headers = {"X-Forwarded-For": "203.0.113.9", "User-Agent": "backend/1"}
        model = http.post("/v1/device-models", json={"name": "m"}, headers=headers).json()
        http.put(f"/v1/device-models/{model['id']}", json={"name": "n"}, headers=headers)
        http.delete(f"/v1/device-models/{model['id']}", headers=headers)
        made = http.post("/v1/keys", json={"label": "k", "scopes": ["read"]}, headers=headers)
        made = made.json()["id"]
        http.delete(f"/v1/keys/{made}", headers=headers)
        http.delete(f"/v1/keys/{made}")  # the same receipt: nothing is done twice
    rows = trail(stack, backend)
    assert all(set(row) == ENTRY for row in rows)
    expected = [("key_revoked", made), ("key_minted", made), ("model_deleted", model["id"]),
                ("model_changed", model["id"]), ("model_created", model["id"])]
    assert [(row["action"], row["target"]) for row in rows[:5]] == expected
    for row in rows[:5]:
        assert row["by"] == backend.id and row["address"] == "203.0.113.9"
        assert row["agent"] == "backend/1" and row["count"] == 1 and not row["redacted"]
    operator = {row["action"]: row for row in rows[5:]}
    assert operator["key_minted"]["target"] == backend.id and operator["key_minted"]["by"] is None
    assert operator["account_created"]["target"] == backend.account
    assert [row["created_at"] for row in rows] == sorted((row["created_at"] for row in rows),
                                                        reverse=True)


async def test_a_session_that_is_opened_is_in_the_trail(stack, backend):
    model = make_model(stack, backend)
    async with ingest(stack, backend, model, "watch") as socket:
        session = (await receive(socket))["session_id"]
        row = (await asyncio.to_thread(trail, stack, backend, action="session_opened"))[0]
    assert row["target"] == session and row["by"] == backend.id
    assert row["address"] == "127.0.0.1"


def test_pages_go_through_both_parts_and_leave_nothing_out(stack, backend):
    with rest(stack, backend) as http:
        for n in range(4):
            assert http.post("/v1/keys", json={"label": "k"}).status_code == 201
            make_model(stack, backend)
        whole = http.get("/v1/audit?limit=200").json()
        for limit in (1, 3, 4):
            pages, url = [], f"/v1/audit?limit={limit}"
            while url:
                answer = http.get(url)
                assert len(answer.json()) <= limit
                pages += answer.json()
                url = answer.links.get("next", {}).get("url")
            assert [row["id"] for row in pages] == [row["id"] for row in whole]
        minted = http.get("/v1/audit?action=key_minted").json()
        assert len(minted) == 5 and all(row["action"] == "key_minted" for row in minted)
        others = http.get("/v1/audit?without=key_minted").json()
        assert [row["id"] for row in others] == [
            row["id"] for row in whole if row["action"] != "key_minted"]
        of_key = http.get(f"/v1/audit?key_id={minted[0]['target']}").json()
        assert [row["id"] for row in of_key] == [minted[0]["id"]]
        middle = whole[4]["created_at"]
        assert [row for row in http.get(f"/v1/audit?from={middle}").json()
                if row["created_at"] < middle] == []
        assert http.get(f"/v1/audit?to={middle}").json()[0]["created_at"] <= middle
        for bad in ("limit=0", "limit=201", "key_id=x", "cursor=..", "from=x"):
            assert http.get(f"/v1/audit?{bad}").status_code == 400, bad


def test_nobody_else_sees_it(stack, backend):
    with rest(stack, backend) as http:
        reader = http.post("/v1/keys", json={"label": "r", "scopes": ["read"]}).json()
    with rest(stack, Key(reader["id"], reader["key"], "")) as http:
        assert http.get("/v1/audit").status_code == 403
    stranger = stack.key(scopes=ALL)
    assert backend.id not in json.dumps(trail(stack, stranger, limit=200))
    assert trail(stack, stranger, key_id=backend.id) == []


# ---- GET /v1/usage ----

HOUR = {"key_id", "hour", "requests", "connections", "frames", "bytes", "insights"}


def used(stack, key, **query):
    """Sums over the hours: a test may run through the end of one."""
    with rest(stack, key) as http:
        answer = http.get("/v1/usage", params=query)
    assert answer.status_code == 200, answer.text
    sums = {}
    for row in answer.json():
        assert set(row) == HOUR and row["hour"].endswith(":00:00.000Z")
        of_key = sums.setdefault(row["key_id"], dict.fromkeys(HOUR - {"key_id", "hour"}, 0))
        for name in of_key:
            of_key[name] += row[name]
    return sums


async def test_what_a_key_has_done_is_counted_exactly(stack, backend):
    with rest(stack, backend) as http:
        made = http.post("/v1/keys", json={"label": "k"}).json()
    key = Key(made["id"], made["key"], backend.account)
    model = make_model(stack, key)  # one request
    with rest(stack, key) as http:
        for _ in range(3):
            assert http.get("/v1/sessions").status_code == 200
        assert http.get("/v1/keys").status_code == 403  # counts: it was answered
    async with subscribe(stack, key) as ear, ingest(stack, key, model, "u") as socket:
        await receive(ear)
        await receive(socket)
        for message in frames(20):
            await socket.send(message)
        heard = 0
        while heard < 3:
            heard += "type" in await receive(ear)
        expected = {"requests": 5, "connections": 2, "frames": 100, "bytes": 100 * (12 + 40)}

        def counted():
            of_key = used(stack, backend, key_id=key.id).get(key.id, {})
            is_all = all(of_key.get(name) == value for name, value in expected.items())
            return of_key if is_all and of_key["insights"] >= 3 else None
        await asyncio.to_thread(until, f"it is {expected}", counted, 60, 0.3)
    everything = used(stack, backend)
    assert everything[key.id]["frames"] == 100 and backend.id in everything


def test_what_was_done_before_an_edge_stops_is_told(stack, backend):
    """A drain tells the rest; so does every restart of auth meanwhile."""
    edges = [stack.pid(f"edge-{n}") for n in range(2)]
    auth = stack.kill("auth")
    with rest(stack, backend) as http:
        until("auth is back", lambda: http.get("/v1/keys").status_code == 200, 30)
    stack.wait_restarted("auth", auth, 40)
    asked = used(stack, backend)
    for n in range(2):
        stack.kill(f"edge-{n}", signal.SIGTERM)
    for n in range(2):
        stack.wait_restarted(f"edge-{n}", edges[n], 40)
    stack.wait_ready()
    now = used(stack, backend)[backend.id]["requests"]
    assert now >= asked.get(backend.id, {"requests": 0})["requests"] + 1


def test_usage_has_pages_and_filters(stack, backend):
    with rest(stack, backend) as http:
        for n in range(3):
            made = http.post("/v1/keys", json={"label": "k"}).json()
            with rest(stack, Key(made["id"], made["key"], "")) as other:
                assert other.get("/v1/sessions").status_code == 200
        until("all are reported", lambda: len(used(stack, backend)) == 4, 30, 0.3)
        whole = http.get("/v1/usage").json()
        pages, url = [], "/v1/usage?limit=1"
        while url and len(pages) < 20:
            answer = http.get(url)
            pages += answer.json()
            url = answer.links.get("next", {}).get("url")
        assert [(row["key_id"], row["hour"]) for row in pages] == [
            (row["key_id"], row["hour"]) for row in whole]
        assert http.get("/v1/usage?to=2020-01-01T00:00:00.000Z").json() == []
        assert http.get("/v1/usage?from=2100-01-01T00:00:00.000Z").json() == []
        assert http.get(f"/v1/usage?from={whole[-1]['hour']}").json() != []
        for bad in ("limit=0", "key_id=x", "cursor=x", "from=x"):
            assert http.get(f"/v1/usage?{bad}").status_code == 400, bad
    stranger = stack.key(scopes=ALL)
    assert backend.id not in used(stack, stranger)
    assert used(stack, stranger, key_id=backend.id) == {}


async def test_who_read_health_data_is_in_the_trail(stack, backend):
    """Counted by key, resource and minute; an edge that stops tells what it has at once."""
    model = make_model(stack, backend)
    async with ingest(stack, backend, model, "h") as socket:
        session = (await receive(socket))["session_id"]
    async with subscribe(stack, backend) as ear:
        await receive(ear)
    with rest(stack, backend) as http:
        for _ in range(3):
            assert http.get(f"/v1/sessions/{session}/insights").status_code == 200
        assert http.get("/v1/insights").status_code == 200
        assert http.get("/v1/sessions/01234567-89ab-7cde-8f01-23456789abcd").status_code == 404
        assert http.get("/v1/device-models").status_code == 200
    edges = [stack.pid(f"edge-{n}") for n in range(2)]
    for n in range(2):
        stack.kill(f"edge-{n}", signal.SIGTERM)
    for n in range(2):
        await asyncio.to_thread(stack.wait_restarted, f"edge-{n}", edges[n], 40)
    await asyncio.to_thread(stack.wait_ready)
    rows = await asyncio.to_thread(trail, stack, backend, action="health_read", limit=200)
    sums = {}
    for row in rows:
        assert row["by"] == backend.id and row["address"] == "127.0.0.1" and row["agent"]
        sums[row["resource"]] = sums.get(row["resource"], 0) + row["count"]
    assert sums == {f"/v1/sessions/{session}/insights": 3, "/v1/insights": 1,
                    "/stream/subscribe": 1}
    assert verify(stack)["whole"]
