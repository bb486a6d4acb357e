"""A whole stack of real processes, in a directory of its own, on a port of its own.

The processes are those of build/san (ASan + UBSan) unless RAEH_BIN names another directory.
Everything is asked from outside: signals, the command line, sockets, /proc.
"""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("RAEH_BIN", ROOT / "build/san/bin"))
RECORDINGS = ROOT / "integration/recordings"
READY_S = 30
STOP_S = 40  # drain 10 s, stop 10 s, and a busy machine

REPORTS = re.compile(
    r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|MUST\(|assertion"
)


def until(what, question, seconds=10.0, every=0.02):
    """The first true answer to question(); fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(every)


def free_port(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def environment():
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAEH_")}
    # Without root the leak checker may not look into processes that are not dumpable.
    leaks = 1 if os.geteuid() == 0 else 0
    env["ASAN_OPTIONS"] = f"detect_leaks={leaks}:abort_on_error=1:handle_segv=1"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1"
    return env


@dataclass(frozen=True)
class Key:
    id: str
    key: str
    account: str

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.key}"}


def process_name(argv):
    """raeh-edge … --slot 1 -> edge-1"""
    name = Path(argv[0]).name.removeprefix("raeh-")
    for flag in ("--slot", "--number"):
        if flag in argv:
            name += "-" + argv[argv.index(flag) + 1]
    return name


def processes(data):
    """Processes of the stack on this directory: name -> pid. They show --data."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        if len(argv) > 2 and Path(argv[0]).name.startswith("raeh-") and str(data) in argv:
            found[process_name(argv)] = int(entry.name)
    return found


class Stack:
    def __init__(self, *args, edges=1, publishers=1, host="127.0.0.1", scheme="http", env=None):
        self.directory = tempfile.TemporaryDirectory(prefix="raeh-test-")
        self.data = Path(self.directory.name) / "data"
        self.args, self.edges, self.publishers = list(args), edges, publishers
        self.host, self.scheme = host, scheme
        self.env = environment() | (env or {})
        self.killed = 0
        self.logs = []
        self.process = None
        self.accounts = 0
        self.ca = None  # a file, where the certificate is our own

    # ---- life ----

    def start(self):
        for _ in range(5):  # another program may take the free port first
            self.port = free_port(self.host)
            self._run()
            if self._became_ready():
                return self
        raise AssertionError("the stack did not start:\n" + self.log())

    def _run(self):
        self.logs.append(Path(self.directory.name) / f"log.{len(self.logs)}")
        listen = f"[{self.host}]" if ":" in self.host else self.host
        with open(self.logs[-1], "wb") as log:
            self.process = subprocess.Popen(
                [BIN / "raeh", "up", "--data", self.data, "--listen", f"{listen}:{self.port}",
                 "--edges", str(self.edges), "--publishers", str(self.publishers), *self.args],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env,
                start_new_session=True)

    def _became_ready(self):
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                assert "is taken" in self.logs[-1].read_text(), self.log()
                return False
            if "\nready: " in self.logs[-1].read_text():
                return True
            time.sleep(0.02)
        return False

    def stop(self):
        """SIGTERM, and everything that must be true of a stack that ran. Returns the status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(STOP_S)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        left = processes(self.data)
        assert not left, f"left running: {left}"
        self.process = None
        return status

    def is_ready(self):
        """Does /readyz say so? Over a connection of its own, so any edge may answer."""
        try:
            return httpx.get(self.url + "/readyz", trust_env=False, timeout=5,
                             verify=self.ca or True).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_ready(self):
        until("/readyz answers 200", self.is_ready, 20)

    def restart(self):
        self.stop()
        self.killed = 0
        self._run()
        assert self._became_ready(), self.log()

    def close(self):
        try:
            status = self.stop()
            self.check()
            assert status == 0, f"raeh up ended with {status}:\n{self.log()}"
        finally:
            self.directory.cleanup()

    def check(self):
        """No sanitizer has spoken, and nothing died that no test has killed."""
        text = self.log()
        report = REPORTS.search(text)
        assert not report, "a process reported:\n" + text[max(0, report.start() - 400):][:8000]
        assert text.count("child-died") == self.killed, (
            f"expected {self.killed} deaths of children:\n{text[-8000:]}")

    def log(self):
        return "".join(path.read_text(errors="replace") for path in self.logs[-1:])

    # ---- its processes ----

    def processes(self):
        return processes(self.data)

    def pid(self, name):
        return until(f"{name} runs", lambda: self.processes().get(name))

    def kill(self, name, sig=signal.SIGKILL):
        """Kills one child and answers its pid; it will be started again."""
        pid = self.pid(name)
        self.killed += 1
        os.kill(pid, sig)
        return pid

    def wait_restarted(self, name, pid, seconds=30.0):
        def other():
            now = self.processes().get(name)
            return now if now != pid else None
        return until(f"{name} was started again", other, seconds)

    # ---- the command line ----

    def raeh(self, *args, status=0, key=None, stdin=None, timeout=120):
        env = self.env | ({"RAEH_KEY": key} if key else {})
        done = subprocess.run([BIN / "raeh", *map(str, args)], capture_output=True, text=True,
                              env=env, input=stdin, timeout=timeout)
        assert status is None or done.returncode == status, (
            f"raeh {args}: status {done.returncode}\n{done.stdout}{done.stderr}")
        assert not REPORTS.search(done.stderr), done.stderr
        return done

    def admin(self, *args, **kwargs):
        return json.loads(self.raeh(*args, "--data", self.data, **kwargs).stdout)

    def account(self):
        self.accounts += 1
        email = f"user-{self.accounts}-{time.time_ns()}@example.org"
        return self.admin("account", "create", "--email", email)["account_id"]

    def key(self, account=None, **options):
        account = account or self.account()
        flags = [part for name, value in options.items()
                 for part in ("--" + name.replace("_", "-"), value)]
        made = self.admin("key", "create", "--account", account, "--label", "test", *flags)
        return Key(made["id"], made["key"], account)

    # ---- addresses ----

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def ws_url(self):
        return self.url.replace("http", "ws", 1)
