"""Recordings through the whole system: the same insights at any speed, and as `raeh analyze`."""
import asyncio
import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from client import PPG, closed_session, insights, make_model, pulse, receive, rest, subscribe
from stack import BIN, RECORDINGS, until

STACK = {"edges": 2, "publishers": 2}
BIDMC = RECORDINGS / "bidmc_01.csv"


def write_recording(folder, seconds=40, name="pulse"):
    """A recording of a synthetic pulse; its path."""
    path = folder / f"{name}.csv"
    path.write_text("ppg_green\n" + "".join(f"{s}\n" for s in pulse(0, seconds)))
    path.with_suffix(".json").write_text(
        json.dumps({"record": name, "fs": 100, "columns": ["ppg_green"]}))
    return path


def replay(stack, key, path, *args):
    done = stack.raeh("replay", path, "--url", stack.url, "--json", *args, key=key.key)
    return json.loads(done.stdout)


def analyzed(stack, path, *args):
    """[(type, t, value, confidence, sqi_class)] of raeh analyze; t in ms from the start."""
    text = stack.raeh("analyze", path, *args).stdout
    assert text.startswith("t,type,value,confidence,sqi_class\n")
    return [(row["type"], round(float(row["t"]) * 1000), float(row["value"]),
             float(row["confidence"]), row["sqi_class"])
            for row in csv.DictReader(io.StringIO(text)) if row["type"] in ("hr", "rr", "spo2")]


def published(stack, key, session):
    """The same of what was published; t in ms from the first of them."""
    with rest(stack, key) as http:
        rows = http.get(f"/v1/sessions/{session}/insights").json()
    return [(row["type"], row["t"], row["value"], row["confidence"], row["sqi_class"])
            for row in rows]


def assert_equal(rows, analyzed_rows):
    """Equal, but for what is published being rounded and for t0's phase in a millisecond."""
    rows, analyzed_rows = from_the_start(rows), from_the_start(analyzed_rows)
    assert [row[:2] for row in rows] == [row[:2] for row in analyzed_rows]
    for row, more in zip(rows, analyzed_rows):
        assert abs(row[2] - more[2]) < 0.11 and abs(row[3] - more[3]) < 0.0021, (row, more)


def from_the_start(rows):
    first = min(row[1] for row in rows)
    return sorted((row[0], row[1] - first, *row[2:]) for row in rows)


@pytest.mark.parametrize("name", ["bidmc_01", "welltory_05"])
def test_a_recording_at_full_speed_gives_what_analyze_gives(stack, key, name):
    path = RECORDINGS / f"{name}.csv"
    result = replay(stack, key, path, "--speed", "max", "--device", name)
    assert result["close_code"] == 1000
    row = closed_session(stack, key, result["session_id"])
    assert (row["frames"], row["bytes"]) == (result["frames"], result["bytes"])
    expected = analyzed(stack, path)
    assert len(expected) > 20
    assert_equal(published(stack, key, result["session_id"]), expected)


def test_the_speed_of_a_replay_changes_nothing(stack, key, tmp_path):
    """40 s of signal at twenty and at three times the speed, and as fast as it goes; frames
    of 200 and of 50 ms."""
    path = write_recording(tmp_path)
    found = []
    for n, args in enumerate((["--speed", "20"], ["--speed", "3"], ["--speed", "max"],
                              ["--speed", "max", "--frame-ms", "50"])):
        result = replay(stack, key, path, "--device", f"speed-{n}", *args)
        closed_session(stack, key, result["session_id"])
        found.append(from_the_start(published(stack, key, result["session_id"])))
    assert len(found[0]) > 15
    for other in found[1:]:
        assert_equal(found[0], other)
    assert_equal(found[0], analyzed(stack, path))


async def test_insights_come_in_real_time(stack, key, tmp_path):
    """At speed 1 the first hr is heard within ten seconds of signal, one every two seconds."""
    path = write_recording(tmp_path, 20)
    async with subscribe(stack, key, device_id="live") as app:
        await receive(app)
        began = time.monotonic()
        task = asyncio.create_task(asyncio.to_thread(
            replay, stack, key, path, "--device", "live"))
        first, *_ = await insights(app, 1, type="hr")
        print(f"first hr after {time.monotonic() - began:.1f} s, "
              f"{first['ts'] - first['t']} ms behind its window")
        assert first["device_id"] == "live"
        assert abs(first["ts"] - first["t"]) < 10_000  # its time is now
        second, third = await insights(app, 2, type="hr")
        assert third["t"] - second["t"] == 2000
        result = await task
        assert 18 < result["seconds"] < 60


def test_a_segment_is_a_session_of_its_own(stack, key, tmp_path):
    path = tmp_path / "segments.csv"
    rows = [f"{segment},{sample}\n" for segment in (1, 2, 3) for sample in pulse(0, 15)]
    path.write_text("seg,ppg_green\n" + "".join(rows))
    path.with_suffix(".json").write_text('{"fs": 100, "columns": ["seg", "ppg_green"]}')
    result = replay(stack, key, path, "--speed", "max", "--device", "segments")
    assert result["sessions"] == 3
    with rest(stack, key) as http:
        until("three sessions are closed", lambda: [
            row["status"] for row in http.get("/v1/sessions").json()
            if row["device_id"] == "segments"] == ["closed"] * 3)


def test_a_replay_registers_its_device_model_once(stack):
    key = stack.key()
    sessions = [replay(stack, key, BIDMC, "--speed", "max") for _ in range(2)]
    assert sessions[0]["session_id"] != sessions[1]["session_id"]
    with rest(stack, key) as http:
        model, = http.get("/v1/device-models").json()
    assert [channel["modality"] for channel in model["modality_channels"]] == ["ppg_ir"]


def test_a_replay_says_why_it_was_refused(stack, key, tmp_path):
    path = write_recording(tmp_path, 2)
    done = stack.raeh("replay", path, "--url", stack.url, "--json", status=1,
                      key="raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE")
    assert "401" in done.stderr or "key" in done.stderr
    sends_only = stack.key(key.account, scopes="read,write")
    done = stack.raeh("replay", path, "--url", stack.url, "--json", "--speed", "max", status=1,
                      key=sends_only.key)
    assert "4001" in done.stderr and "scope" in done.stderr


@pytest.mark.parametrize("content, meta, words", [
    (None, "{}", []),
    ("", "{}", []),
    ("ppg_green\n1\nx\n", '{"fs": 100}', ["3"]),
    ("ppg_green\n1\n", "{", []),
    ("ppg_green\n1\n", "{}", ["fs"]),
    ("ppg_green\n1\n", '{"fs": 0}', ["fs"]),
])
def test_a_recording_that_cannot_be_read_is_a_clear_error(stack, key, tmp_path, content, meta,
                                                          words):
    path = tmp_path / "bad.csv"
    if content is not None:
        path.write_text(content)
    path.with_suffix(".json").write_text(meta)
    for command in (["replay", path, "--url", stack.url], ["analyze", path]):
        done = stack.raeh(*command, key=key.key, status=None)
        assert done.returncode in (1, 2) and done.stderr, command
        for word in words:
            assert word in done.stderr, (command, done.stderr)


# ---- watch ----

def subscribers(stack, key, n):
    """Waits until n apps hear with the key."""
    until(f"{n} subscribers", lambda: stack.admin(
        "key", "impact", key.id)["sockets"]["subscribe"] >= n, 30)


def test_watch_asks_for_what_comes_only_when_it_is_asked_for(stack, key, tmp_path):
    path = write_recording(tmp_path, 60)
    watch = subprocess.Popen([BIN / "raeh", "watch", "--url", stack.url, "--type", "hrv_rmssd"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             env=stack.env | {"RAEH_KEY": key.key})
    try:
        subscribers(stack, key, 1)
        replay(stack, key, path, "--speed", "max", "--device", "varied")
        line = watch.stdout.readline()
        assert re.search(r"hrv_rmssd +\d+\.\d ms .*varied", line), line
    finally:
        watch.send_signal(signal.SIGINT)
        assert watch.wait(10) == 0
        watch.stdout.close()
    done = stack.raeh("watch", "--url", stack.url, "--type", "mood", key=key.key, status=1)
    assert "4004" in done.stderr and "type" in done.stderr and not done.stdout


def test_watch_prints_an_insight_a_line(stack, key, tmp_path):
    path = write_recording(tmp_path, 20)
    watch = subprocess.Popen([BIN / "raeh", "watch", "--url", stack.url, "--json"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             env=stack.env | {"RAEH_KEY": key.key})
    words = subprocess.Popen([BIN / "raeh", "watch", "--url", stack.url, "--type", "hr"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             env=stack.env | {"RAEH_KEY": key.key})
    try:
        subscribers(stack, key, 2)
        replay(stack, key, path, "--speed", "max", "--device", "watched")
        rows = [json.loads(watch.stdout.readline()) for _ in range(6)]
        assert {row["device_id"] for row in rows} == {"watched"}
        line = words.stdout.readline()
        assert re.search(r"^\d\d:\d\d:\d\d +hr +\d+\.\d bpm .*watched", line), line
    finally:
        for process in (watch, words):
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            process.stdout.close()


def test_watch_comes_back_when_its_edge_dies(stack, key, tmp_path):
    path = write_recording(tmp_path, 12)
    watch = subprocess.Popen([BIN / "raeh", "watch", "--url", stack.url, "--json"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=stack.env | {"RAEH_KEY": key.key})
    try:
        subscribers(stack, key, 1)
        for name in ("edge-0", "edge-1"):
            stack.wait_restarted(name, stack.kill(name))
        stack.wait_ready()
        subscribers(stack, key, 1)
        replay(stack, key, path, "--speed", "max", "--device", "came back")
        assert json.loads(watch.stdout.readline())["device_id"] == "came back"
    finally:
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=10)
    assert watch.returncode == 0 and "again" in errors


def test_a_replay_on_a_terminal_shows_a_bar(stack, key, tmp_path):
    path = write_recording(tmp_path, 20)
    ours, theirs = pty.openpty()
    done = subprocess.Popen([BIN / "raeh", "replay", path, "--url", stack.url, "--speed", "10"],
                            stdout=theirs, stderr=theirs, stdin=theirs,
                            env=stack.env | {"RAEH_KEY": key.key, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass  # the other side of the terminal is gone
    os.close(ours)
    assert done.wait(20) == 0
    assert shown.count(b"\r") > 3 and b"%" in shown, shown


def test_ctrl_c_ends_a_replay_cleanly(stack, key, tmp_path):
    path = write_recording(tmp_path, 60)
    done = subprocess.Popen([BIN / "raeh", "replay", path, "--url", stack.url, "--json",
                             "--device", "stopped"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True,
                            env=stack.env | {"RAEH_KEY": key.key})
    with rest(stack, key) as http:
        until("it streams", lambda: any(row["device_id"] == "stopped" for row in
                                        http.get("/v1/sessions?status=open").json()))
    time.sleep(1)
    done.send_signal(signal.SIGINT)
    out, _ = done.communicate(timeout=10)
    result = json.loads(out)
    row = closed_session(stack, key, result["session_id"])
    assert row["close_code"] == 1000 and row["frames"] == result["frames"] > 0


# ---- the rest of the command line ----

def test_doctor_finds_nothing_wrong_with_a_stack_that_runs(stack):
    report = stack.admin("doctor", "--json", "--listen", f"127.0.0.1:{stack.port}", status=None)
    wrong = [check for check in report.get("checks", report)
             if str(check.get("state", check.get("status"))).lower() in ("bad", "wrong", "failed")]
    assert not wrong, wrong


def test_every_subcommand_has_its_help(stack):
    for command in ("up", "edge", "account create", "account reset-password", "account delete",
                    "key create", "key list", "key revoke", "key rotate", "key impact",
                    "key disable", "key enable", "key lint", "audit verify", "replay", "watch",
                    "load", "analyze", "doctor", "health"):
        done = stack.raeh(*command.split(), "--help")
        assert done.stdout.startswith(f"usage: raeh {command}") and not done.stderr, command
    assert re.fullmatch(r"raeh \d+\.\d+\.\d+\n", stack.raeh("--version").stdout)
    for wrong in (["fly"], ["key", "fly"], ["up", "--fly"], []):
        done = stack.raeh(*wrong, status=2)
        assert done.stderr


def test_lint_tells_a_good_key_from_a_mistyped_one(stack, key):
    assert json.loads(stack.raeh("key", "lint", key.key, "--json").stdout)["valid"] is True
    wrong = key.key[:-1] + ("0" if key.key[-1] != "0" else "1")
    told = json.loads(stack.raeh("key", "lint", wrong, "--json", status=1).stdout)
    assert told["valid"] is False and told["fault"]


def test_without_a_stack_a_command_says_so(stack, tmp_path):
    for command in (["account", "create", "--email", "a@b.example"],
                    ["key", "list", "--account", "x"], ["key", "revoke", "x"]):
        done = stack.raeh(*command, "--data", tmp_path / "nothing", status=1)
        assert "no stack" in done.stderr


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "x" * 251 + "@b.c", "a\nb@c.d"])
def test_an_account_needs_an_address(stack, email):
    done = stack.raeh("account", "create", "--email", email, "--data", stack.data, status=None)
    assert done.returncode in (1, 2) and "mail" in done.stderr


def test_an_address_has_one_account(stack):
    stack.admin("account", "create", "--email", "Twice@Example.org")
    done = stack.raeh("account", "create", "--email", "twice@example.org", "--data", stack.data,
                      status=1)
    assert "exists" in done.stderr or "taken" in done.stderr


def test_a_key_is_minted_for_an_account_that_exists(stack, key):
    for args, word in ((["--account", "nobody@example.org"], "account"),
                       (["--account", key.account, "--scopes", "fly"], "scope"),
                       (["--account", key.account, "--scopes", ""], "scope")):
        done = stack.raeh("key", "create", "--label", "x", *args, "--data", stack.data,
                          status=None)
        assert done.returncode in (1, 2) and word in done.stderr, (args, done.stderr)
    done = stack.raeh("key", "create", "--label", "", "--account", key.account, "--data",
                      stack.data, status=None)
    assert done.returncode in (1, 2) and "label" in done.stderr
