"""The audit trail: who did what, and that nobody can change it unseen."""
import json
import subprocess

import pytest

from client import make_model, rest
from stack import BIN, Stack, environment

STACK = {"edges": 2}
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


@pytest.mark.parametrize("journal", ["auth", "router"])
@pytest.mark.parametrize("byte", [0, 40, 70, 85])  # link, hash, salt, payload
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
