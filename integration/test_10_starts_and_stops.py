"""raeh up: starts, stops, binds, restarts, and takes everything with it."""
import fcntl
import os
import re
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from client import rest
from stack import Stack, free_port, processes, until

EVERYONE = {"auth", "router", "publisher-0", "publisher-1", "edge-0", "edge-1"}


@pytest.fixture
def stack():
    stack = Stack(edges=2, publishers=2).start()
    yield stack
    stack.close()


def listening():
    """(address, port) of every listening TCP socket of this host."""
    lines = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    return [line.split()[3].rsplit(":", 1) for line in lines.splitlines()]


def inodes_of(pids):
    """Inodes of the sockets that these processes hold."""
    held = set()
    for pid in pids:
        for fd in os.scandir(f"/proc/{pid}/fd"):
            try:
                match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(fd.path))
            except OSError:
                continue
            if match:
                held.add(match[1])
    return held


def test_the_stack_starts_answers_and_stops(stack):
    assert set(stack.processes()) == EVERYONE
    with rest(stack) as http:
        assert http.get("/readyz").json() == {"status": "ready"}
        assert http.get("/healthz").json() == {"status": "ok"}
        assert http.get("/").status_code == 200
    assert stack.stop() == 0
    assert stack.processes() == {}
    with pytest.raises(httpx.ConnectError):
        httpx.get(stack.url, trust_env=False)


def test_every_service_is_confined(stack):
    """What the sandbox refuses is tested beside it; here, that everyone is in it."""
    for name, pid in stack.processes().items():
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert (name, status["NoNewPrivs"], status["Seccomp"]) == (name, "1", "2")
        kept = 1 << 1 | 1 << 19  # DAC_OVERRIDE; and SYS_PTRACE, for the sanitizer's sake
        assert int(status["CapPrm"], 16) & ~kept == 0, (name, status["CapPrm"])


def test_a_line_of_status_tells_of_each_process(stack):
    text = stack.log()
    for label in ("raeh-auth", "raeh-router", "raeh-publisher 0", "raeh-publisher 1",
                  "raeh-edge 0", "raeh-edge 1"):
        assert re.search(rf"^{label} +pid \d+ +running +restarts 0$", text, re.M), label
    assert re.search(rf"^ready: {re.escape(stack.url)}$", text, re.M)


def test_it_is_bound_to_the_loopback_address_alone(stack):
    ours = [address for address, port in listening() if int(port) == stack.port]
    assert ours == ["127.0.0.1"] * stack.edges
    # No process of the stack listens anywhere else.
    held = inodes_of([stack.process.pid, *stack.processes().values()])
    rows = subprocess.run(["ss", "-Hltne"], capture_output=True, text=True, check=True).stdout
    for row in rows.splitlines():
        inode = re.search(r"ino:(\d+)", row)
        if inode and inode[1] in held:
            assert row.split()[3] == f"127.0.0.1:{stack.port}", row


def test_the_processes_are_in_the_group_of_raeh_up_and_show_their_directory(stack):
    for name, pid in stack.processes().items():
        assert os.getpgid(pid) == stack.process.pid, name
        argv = open(f"/proc/{pid}/cmdline").read().split("\0")
        assert argv[argv.index("--data") + 1] == str(stack.data), name


def test_a_process_that_dies_is_started_again_at_once(stack):
    for name in sorted(EVERYONE):
        before = stack.kill(name)
        killed_at = time.monotonic()
        after = stack.wait_restarted(name, before)
        print(f"{name} was started again after {1000 * (time.monotonic() - killed_at):.0f} ms")
        assert after != before
        stack.wait_ready()


def test_no_connection_is_refused_while_the_only_edge_restarts():
    stack = Stack().start()
    try:
        answers, done = [], threading.Event()

        def keep_asking():
            while not done.is_set():
                with socket.create_connection(("127.0.0.1", stack.port), 10) as peer:
                    answers.append(peer.getpeername())

        asker = threading.Thread(target=keep_asking)
        asker.start()
        for _ in range(3):
            stack.wait_restarted("edge-0", stack.kill("edge-0"))
        stack.wait_ready()
        done.set()
        asker.join(20)
        assert not asker.is_alive() and len(answers) > 3
    finally:
        stack.close()


def test_killing_raeh_up_takes_everything_with_it(stack):
    os.kill(stack.process.pid, signal.SIGKILL)
    stack.process.wait(10)
    until("everything is gone", lambda: not stack.processes(), 5)
    stack.process = None


def test_ctrl_c_stops_everything(stack):
    os.killpg(stack.process.pid, signal.SIGINT)  # as a terminal does
    assert stack.process.wait(30) == 0
    assert stack.processes() == {}
    stack.process = None


def test_a_second_stack_on_the_same_directory_is_refused(stack):
    done = stack.raeh("up", "--data", stack.data, "--listen", f"127.0.0.1:{free_port()}",
                      status=1, timeout=20)
    assert str(stack.data) in done.stderr


def test_a_port_that_is_taken_is_a_clear_error(stack):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = stack.raeh("up", "--data", stack.data.parent / "second", "--listen",
                          f"127.0.0.1:{port}", status=1, timeout=20)
    assert f"127.0.0.1:{port} is taken" in done.stderr


def test_a_port_of_another_stack_is_taken(stack):
    done = stack.raeh("up", "--data", stack.data.parent / "second", "--listen",
                      f"127.0.0.1:{stack.port}", status=1, timeout=20)
    assert f"127.0.0.1:{stack.port} is taken" in done.stderr


@pytest.mark.parametrize("args, word", [
    (["--listen", "0.0.0.0:0"], "loopback"),
    (["--listen", "nowhere"], "listen"),
    (["--listen", "127.0.0.1:99999"], "listen"),
    (["--edges", "0"], "edges"),
    (["--edges", "many"], "edges"),
    (["--publishers", "65"], "publishers"),
    (["--tls-cert", "/nonexistent"], "tls"),
    (["--no-such-flag"], "no-such-flag"),
    (["--log-level", "loud"], "log-level"),
])
def test_a_bad_setting_is_a_usage_error_that_names_it(tmp_path, args, word):
    stack = Stack()
    done = stack.raeh("up", "--data", tmp_path / "data", *args, status=2, timeout=20)
    assert word in done.stderr
    assert processes(tmp_path / "data") == {}


def test_settings_come_from_the_flag_then_the_environment_then_the_file():
    stack = Stack(env={"RAEH_EDGES": "3", "RAEH_LEASE_MS": "20000"})
    stack.data.mkdir()
    (stack.data / "raeh.conf").write_text("lease-ms = 10000\nlog-level = debug\nedges = 4\n")
    stack.start()  # --edges 1
    try:
        assert {name for name in stack.processes() if name.startswith("edge")} == {"edge-0"}
        argv = open(f"/proc/{stack.pid('auth')}/cmdline").read().split("\0")
        assert argv[argv.index("--lease-ms") + 1] == "20000"
        assert argv[argv.index("--log-level") + 1] == "debug"
    finally:
        stack.close()


def test_it_listens_on_the_loopback_address_of_ipv6():
    stack = Stack(host="::1")
    try:
        stack.start()
        with rest(stack) as http:
            assert http.get("/healthz").status_code == 200
        assert [a for a, p in listening() if int(p) == stack.port] == ["[::1]"]
    finally:
        stack.close()


def test_everything_lies_in_a_directory_that_only_its_owner_reads(stack):
    key = stack.key()
    assert stack.data.stat().st_mode & 0o077 == 0
    for path in (stack.data / "secret").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    # The key itself is nowhere on the disk and in no log, nor its checked part.
    secret = key.key.encode()[9:]
    for path in stack.data.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    assert secret.decode() not in stack.log()


def test_the_lock_of_an_edge_slot_is_held_while_it_lives(stack):
    with open(stack.data / "run/edge-0.lock") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
