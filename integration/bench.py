#!/usr/bin/python3
"""make bench: what the stack costs and how fast it is, on this machine, in some minutes.

    bench.py [name ...]      the figures named, or all; bench.py --list names them

Every figure is of a stack of its own (release flavour, real processes, loopback), driven by
build/bin/integration/load. CPU time is that of the kernel's accounting per process, user and
system together, and counts more than wall time: the machine may be shared. Prints; asserts
nothing. docs/performance.md says how to read it.
"""
import json
import os
import platform
import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("RAEH_BIN", str(ROOT / "build/bin"))
sys.path.insert(0, str(ROOT / "integration"))
from stack import BIN, Stack, free_port  # noqa: E402

BYTES_MODEL = [("bench_raw", 100, 16, 10)]  # no insight: 10 channels, so that 10 samples are 212 bytes
WATCH_MODEL = [("ppg_green", 100, 24, 1), ("ppg_red", 100, 24, 1), ("ppg_ir", 100, 24, 1),
               ("acc_3axis", 100, 16, 3)]
PULSE_MODEL = [("ppg_green", 50, 16, 1)]


def say(text):
    print(text, flush=True)


def row(name, value, note=""):
    say(f"  {name:<58} {value:>14}  {note}")


def cpu_us(pid):
    """All threads of a process, user and system, since it began."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass
    return total / 1000


def memory(pid):
    """Bytes resident, shared pages of the program left out."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


class Bench:
    """A stack, an account, a model, keys, and one load generator."""

    def __init__(self, model, *args, keys=1, **options):
        self.admin_port = free_port()
        self.stack = Stack("--idle-timeout-s", "86400", "--log-level", "warn",
                           "--admin", f"127.0.0.1:{self.admin_port}", *args, **options)
        self.stack.start()
        self.account = self.stack.account()
        self.keys = [self.stack.key(self.account) for _ in range(keys)]
        self.shape = model
        self.model = self.rest("POST", "/v1/device-models", {
            "name": "bench", "modality_channels": [
                {"modality": m, "sample_rate_hz": r, "bit_depth": b, "num_channels": c}
                for m, r, b, c in model]})["id"]
        self.loads = []
        self.load = self.new_load()

    def new_load(self):
        load = Load(self.stack.port, self.model, self.shape, self.keys[0].key)
        self.loads.append(load)
        return load

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for load in self.loads:
            load.quit()
        self.stack.stop()
        self.stack.directory.cleanup()

    def rest(self, method, path, body=None):
        context = ssl._create_unverified_context() if self.stack.scheme == "https" else None
        request = urllib.request.Request(
            self.stack.url + path, method=method, data=json.dumps(body).encode() if body else None,
            headers=self.keys[0].headers | {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return json.load(answer)

    def ready(self):
        try:
            with urllib.request.urlopen(self.stack.url + "/readyz", timeout=5):
                return True
        except OSError:
            return False

    def metric(self, name):
        """Summed over all processes."""
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines
                   if line.startswith(name + "{") or line.startswith(name + " "))

    def cpu(self):
        """Kind of process -> microseconds."""
        ret = {}
        for name, pid in self.stack.processes().items():
            kind = name.split("-")[0]
            ret[kind] = ret.get(kind, 0) + cpu_us(pid)
        return ret

    def connect(self, count):
        """Devices, shared among the keys."""
        opened = 0
        for i, key in enumerate(self.keys):
            self.load.ask(f"key {key.key}")
            n = count // len(self.keys) + (i < count % len(self.keys))
            opened += self.load.ask(f"connect {n}")["opened"]
        assert opened == count, f"opened {opened} of {count}"


class Load:
    def __init__(self, port, model, shape, key):
        self.process = subprocess.Popen([BIN / "integration/load", str(port), model],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask(f"key {key}")
        for _, rate, bits, channels in shape:
            self.ask(f"slot {rate} {channels} {bits}")

    def start(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the load generator ended"
        return json.loads(line)

    def ask(self, line):
        self.start(line)
        return self.answer()

    def quit(self):
        self.process.stdin.close()
        self.process.wait()


def spent(before, after):
    return {kind: after[kind] - before.get(kind, 0) for kind in after}


def per(costs, count, kinds=("edge", "publisher", "router", "auth")):
    return " + ".join(f"{kind} {costs.get(kind, 0) / count:.2f}" for kind in kinds)


# ---- the figures ----

def frames(title, model, span_ms, seconds=10, **options):
    """1,000 devices, 20 frames a second each, evenly spread."""
    with Bench(model, keys=2, **options) as b:
        b.connect(1000)
        b.load.ask(f"stream 20 3 {span_ms}")
        cpu, count, batches = b.cpu(), b.metric("raeh_edge_frames_total"), b.metric(
            "raeh_edge_uplink_batches_total")
        done = b.load.ask(f"stream 20 {seconds} {span_ms}")
        time.sleep(0.2)
        cost = spent(cpu, b.cpu())
        count = b.metric("raeh_edge_frames_total") - count
        batches = b.metric("raeh_edge_uplink_batches_total") - batches
        assert count > 0 and done["closed"] == 0, done
        both = (cost["edge"] + cost["publisher"]) / count
        row(f"{title}: edge, us of CPU a frame", f"{cost['edge'] / count:.2f}", "aim 12")
        row(f"{title}: edge + publisher", f"{both:.2f}",
            f"aim 20; {per(cost, count)}; {count / done['s']:.0f} frames/s, "
            f"{count / max(batches, 1):.1f} a batch, late {done['most_late_ms']:.0f} ms")
        return both


def bench_frames():
    """CPU a frame at 1,000 devices x 20 frames/s"""
    frames("212-byte frames, no analysis", BYTES_MODEL, 50)
    frames("green, red, ir, acc at 100 Hz, analysed", WATCH_MODEL, 200)


def bench_intake():
    """frames a second that one edge and one publisher take in, 100 sockets that send all they can"""
    with Bench(BYTES_MODEL, keys=100) as b:
        b.connect(100)
        cpu, count, at = b.cpu(), b.metric("raeh_edge_frames_total"), time.monotonic()
        b.load.start("flood 8 50")
        time.sleep(7.5)
        cost = spent(cpu, b.cpu())
        count = b.metric("raeh_edge_frames_total") - count
        took = time.monotonic() - at
        b.load.answer()
        row("frames/s synced (keys are limited to 20,000 each)", f"{count / took:.0f}",
            f"load generator and stack on {os.cpu_count()} cores")
        row("us of CPU a frame, edge + publisher", f"{sum(cost.values()) / count:.2f}",
            per(cost, count))
        for kind in ("edge", "publisher"):
            row(f"frames a core-second, {kind}", f"{count / cost[kind] * 1e6:.0f}")


def idle_memory(b, count):
    """Process -> bytes a socket, beside those that the first ones cost it once."""
    b.connect(500)
    time.sleep(1)
    before = {name: memory(pid) for name, pid in b.stack.processes().items()}
    b.connect(count)
    time.sleep(1)
    return {name: (memory(pid) - before[name]) / count
            for name, pid in b.stack.processes().items()}


def certificate(directory):
    """A certificate for 127.0.0.1 and its key, made here."""
    paths = [os.path.join(directory, name) for name in ("cert.pem", "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=bench",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-out", paths[0],
                    "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def tls_socket(b, context, number):
    """One device whose session is open; nothing more is read."""
    plain = socket.create_connection(("127.0.0.1", b.stack.port), timeout=30)
    sock = context.wrap_socket(plain)
    sock.sendall((f"GET /stream/ingest?device_id=t{number}&device_model_id={b.model} HTTP/1.1\r\n"
                  f"Host: 127.0.0.1\r\nAuthorization: Bearer {b.keys[0].key}\r\n"
                  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
    got = b""
    while b"session_id" not in got:
        part = sock.recv(4096)
        assert part, "the server closed a TLS socket"
        got += part
    return sock


def bench_idle():
    """bytes of the edge's memory an idle, authenticated ingest socket"""
    with Bench(PULSE_MODEL) as b:
        used = idle_memory(b, 5000)
        row("5,000 sockets: bytes a socket at the edge", f"{used['edge-0']:.0f}", "aim 4096")
        row("  a session without a frame at the publisher, at the router",
            f"{used['publisher-0']:.0f}, {used['router']:.0f}", "write buffers included")
    with tempfile.TemporaryDirectory(prefix="raeh-bench-") as directory:
        cert, key = certificate(directory)
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        with Bench(PULSE_MODEL, "--tls-cert", cert, "--tls-key", key, scheme="https") as b:
            sockets = [tls_socket(b, context, n) for n in range(200)]
            before = memory(b.stack.pid("edge-0"))
            sockets += [tls_socket(b, context, n) for n in range(200, 2200)]
            time.sleep(1)
            used = memory(b.stack.pid("edge-0")) - before
            row("2,000 sockets over TLS: bytes a socket", f"{used / 2000:.0f}")
            for sock in sockets:
                sock.close()


def bench_latency():
    """ms from the frame that completes a window to the insight at a subscriber"""
    with Bench(PULSE_MODEL) as b:
        b.load.ask("subscribe 1")
        b.connect(1)
        b.load.ask("stream 20 3 1000")
        done = b.load.ask("stream 5 20 1000")
        row("one device, idle: p50", f"{done.get('p50_ms', -1):.2f}",
            f"aim 0.5; p90 {done.get('p90_ms', -1):.2f}, p99 {done.get('p99_ms', -1):.2f}, "
            f"{done['insights']} insights")
    with Bench(PULSE_MODEL) as b:
        b.load.ask("subscribe 1")
        b.connect(1000)
        b.load.ask("stream 1 7 2000")
        cpu = b.cpu()
        done = b.load.ask("stream 1 15 2000")
        cost = spent(cpu, b.cpu())
        row("1,000 devices x 1 insight/s: p50 / p99",
            f"{done.get('p50_ms', -1):.2f} / {done.get('p99_ms', -1):.2f}",
            f"{done['insights'] / done['s']:.0f} insights/s; us of CPU an insight: "
            f"{per(cost, max(done['insights'], 1))}")


def bench_connect():
    """us of CPU an authenticated connect, over all processes"""
    for kind, aim in (("connect", "aim 100"), ("subscribe", "")):
        with Bench(PULSE_MODEL) as b:
            b.load.ask(f"{kind} 300")
            time.sleep(0.5)
            cpu = b.cpu()
            done = b.load.ask(f"{kind} 3000")
            time.sleep(0.3)
            cost = spent(cpu, b.cpu())
            name = "ingest: until the session is open and durable" if kind == "connect" else kind
            row(name, f"{sum(cost.values()) / 3000:.0f}",
                f"{aim} {per(cost, 3000)}; {3000 / done['ms'] * 1000:.0f}/s".strip())


def bench_verify():
    """verdicts a second of auth"""
    with Bench(PULSE_MODEL, keys=50) as b:
        cpu = b.cpu()
        out = subprocess.run([BIN / "integration/load_verify", b.stack.data, "4",
                              *(key.key for key in b.keys)], capture_output=True, check=True)
        done = json.loads(out.stdout)
        cost = spent(cpu, b.cpu())["auth"]
        row("verify/s", f"{done['verdicts'] / done['s']:.0f}",
            f"{cost / done['verdicts']:.1f} us of CPU of auth each, {done['refused']} refused")


def revoke_once(b, count, fps):
    """Opens, streams, revokes; (ms of the receipt, from the first close to the last, 4001s)."""
    key = b.stack.key(b.account)
    b.load.ask(f"key {key.key}")
    opened = b.load.ask(f"connect {count}")["opened"]
    assert opened == count, f"opened {opened} of {count}"
    b.load.start(f"stream {fps} 60 {min(4000, round(1000 / fps))}")
    time.sleep(1.5)
    receipt = b.stack.admin("key", "revoke", key.id)
    streamed = b.load.answer()
    closes = b.load.ask("closes 20")
    assert closes["closed"] == count, (closes, streamed)
    return (receipt["elapsed_ms"], (closes["last_s"] - closes["first_s"]) * 1000,
            closes["with_4001"])


def bench_revoke():
    """ms of a revoke under ingest, two edges"""
    for count, fps, times in ((1, 20, 5), (1000, 5, 5), (10000, 0.2, 3)):
        with Bench(PULSE_MODEL, edges=2) as b:
            runs = [revoke_once(b, count, fps) for _ in range(times)]
            in_force, closing = (sorted(run[i] for run in runs) for i in range(2))
            row(f"{count} sockets: in force, p50 / most", f"{statistics.median(in_force):.1f} / "
                f"{in_force[-1]:.1f}", ("aim 100; " if count == 10000 else "") +
                f"clients hear 4001 over {statistics.median(closing):.1f}; "
                f"{min(run[2] for run in runs)} of {count} with 4001")


def recovery(b, name, probe):
    """ms from kill -9 until probe() is true again."""
    pid = b.stack.kill(name)
    at = time.monotonic()
    b.stack.wait_restarted(name, pid)
    while not probe():
        assert time.monotonic() - at < 30, f"{name} did not come back"
        time.sleep(0.002)
    return (time.monotonic() - at) * 1000


def bench_recovery():
    """ms from kill -9 of a process until it does its work again, under 200 devices"""
    with Bench(WATCH_MODEL) as b:
        b.connect(200)
        b.load.start("stream 20 600 200")
        time.sleep(2)

        def acknowledged():
            return b.ready() and b.metric("raeh_edge_uplink_held_bytes") < 200_000

        for name, probe, what in (("auth", b.ready, "ready"), ("router", b.ready, "ready"),
                                  ("publisher-0", acknowledged, "frames acknowledged"),
                                  ("edge-0", b.ready, "ready")):
            times = [recovery(b, name, probe) for _ in range(1 if name == "edge-0" else 3)]
            row(f"{name}: until {what}", f"{statistics.median(times):.0f}",
                "of " + ", ".join(f"{t:.0f}" for t in times))
            time.sleep(1)


def bench_sync():
    """what syncing before the acknowledgement costs: the same with a disk that does not sync"""
    shim = str(BIN / "integration/nosync.so")
    for name, env in (("synced", None), ("not synced", {"LD_PRELOAD": shim})):
        frames(f"{name}", BYTES_MODEL, 50, env=env)
        with Bench(PULSE_MODEL, env=env) as b:
            b.load.ask("subscribe 1")
            b.connect(1)
            b.load.ask("stream 20 3 1000")
            done = b.load.ask("stream 5 10 1000")
            row(f"{name}: ms from frame to insight, idle p50", f"{done['p50_ms']:.2f}")


# ---- REST ----

WIDE = ["--limit-requests", "1000000"]  # looked at, never reached
SOCKETS, PIPELINED = 8, 16


def ask(path, credential, method="GET", body=""):
    length = f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n" if body else ""
    return (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}"
            f"Authorization: Bearer {credential}\r\n\r\n{body}").encode()


class Reader:
    """One connection kept alive; so little of a client that the stack is what is measured."""

    def __init__(self, b, path):
        self.request = ask(path, b.keys[0].key)
        self.sock = socket.create_connection(("127.0.0.1", b.stack.port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""

    def send(self, n):
        self.sock.sendall(self.request * n)

    def answers(self, n):
        """Their bodies."""
        bodies = []
        for _ in range(n):
            while (end := self.got.find(b"\r\n\r\n")) < 0:
                self.more()
            head = self.got[:end]
            assert head.startswith(b"HTTP/1.1 20"), head[:200]
            at = head.lower().index(b"content-length: ") + 16
            whole = end + 4 + int(head[at:].split(b"\r\n")[0])
            while len(self.got) < whole:
                self.more()
            bodies.append(self.got[end + 4:whole])
            self.got = self.got[whole:]
        return bodies

    def more(self):
        part = self.sock.recv(1 << 18)
        assert part, "the server closed"
        self.got += part


def reads(b, title, path, seconds=4):
    """Requests a second and their cost, in waves over several connections; then one by one."""
    readers = [Reader(b, path) for _ in range(SOCKETS)]
    for reader in readers:
        reader.send(1)
        reader.answers(1)  # the verdict is known from here on
    cpu, count, at = b.cpu(), 0, time.monotonic()
    while time.monotonic() - at < seconds:
        for reader in readers:
            reader.send(PIPELINED)
        for reader in readers:
            reader.answers(PIPELINED)
        count += SOCKETS * PIPELINED
    took, cost = time.monotonic() - at, spent(cpu, b.cpu())
    times = []
    for _ in range(2000):
        start = time.perf_counter()
        readers[0].send(1)
        readers[0].answers(1)
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    row(f"{title}: requests/s", f"{count / took:.0f}",
        f"us of CPU each: {per(cost, count)}")
    row(f"{title}: ms one by one, p50 / p99",
        f"{times[len(times) // 2]:.2f} / {times[len(times) * 99 // 100]:.2f}")


def bench_rest():
    """REST reads under a verdict that the edge has: of the router, of a publisher"""
    with Bench(PULSE_MODEL, *WIDE) as b:
        b.connect(1)
        b.load.ask("stream 20 2 1000")
        session = b.rest("GET", "/v1/sessions")[0]["id"]
        reads(b, "GET a device model", f"/v1/device-models/{b.model}")
        reads(b, "GET a session (noted in the audit trail)", f"/v1/sessions/{session}")
    with Bench(PULSE_MODEL, "--limit-requests", "0") as b:
        reads(b, "GET a device model, without limits", f"/v1/device-models/{b.model}")


def in_waves(b, readers, requests):
    """Each request once, over several connections: their bodies, and as reads() what it took."""
    cpu, at, bodies, size = b.cpu(), time.monotonic(), [], SOCKETS * PIPELINED
    for start in range(0, len(requests), size):
        parts = [requests[start + n:start + n + PIPELINED] for n in range(0, size, PIPELINED)]
        for reader, part in zip(readers, parts):
            reader.sock.sendall(b"".join(part))
        for reader, part in zip(readers, parts):
            bodies += reader.answers(len(part))
    return bodies, time.monotonic() - at, spent(cpu, b.cpu())


def bench_tokens():
    """tokens a second that an edge verifies while it knows their key's rights; no question to auth"""
    with Bench(PULSE_MODEL, *WIDE) as b:
        path = f"/v1/device-models/{b.model}"
        readers = [Reader(b, path) for _ in range(SOCKETS)]
        for reader in readers:
            reader.send(1)
            reader.answers(1)  # the key's rights are known from here on
        bodies, _, _ = in_waves(b, readers, [
            ask("/v1/tokens", b.keys[0].key, "POST", json.dumps({"ttl_s": 600 + n}))
            for n in range(4096)])  # two with the same end would be the same token
        requests = [ask(path, token) for token in {json.loads(body)["token"] for body in bodies}]
        edge = []
        for title in ("a token never seen before", "the same tokens again"):
            _, took, cost = in_waves(b, readers, requests)
            edge.append(cost["edge"] / len(requests))
            row(f"GET a device model with {title}: requests/s", f"{len(requests) / took:.0f}",
                f"us of CPU each: {per(cost, len(requests))}")
        row("verifications a core-second of the edge", f"{1e6 / (edge[0] - edge[1]):.0f}",
            f"{edge[0] - edge[1]:.1f} us of CPU each, by difference")
    out = subprocess.run([BIN / "integration/bench_edge"], capture_output=True, check=True)
    cost = json.loads(out.stdout)
    row("alone: a token read and held against its key: us", f"{cost['token'] / 1000:.1f}",
        f"the Ed25519 signature of it {cost['ed25519'] / 1000:.1f}")


def bench_limits():
    """ns of CPU of the edge for the limits of a key and for the audit trail, alone"""
    out = subprocess.run([BIN / "integration/bench_edge"], capture_output=True, check=True)
    cost = json.loads(out.stdout)
    row("limits: a frame", f"{cost['frame']:.0f}", f"without limits {cost['frame_off']:.0f}")
    row("limits: a REST request, RateLimit headers and all", f"{cost['request']:.0f}",
        f"without limits {cost['request_off']:.0f}")
    row("noting a read for the audit trail", f"{cost['read']:.0f}")


def bench_dsp():
    """us of CPU a second of signal, the analysis alone"""
    out = subprocess.run([BIN / "integration/bench_dsp", "--json"], capture_output=True, check=True)
    for mix in json.loads(out.stdout):
        row(mix["slots"], f"{mix['us_per_s']:.1f}", f"{mix['bytes']} bytes a session")


FIGURES = {name[6:]: function for name, function in list(globals().items())
           if name.startswith("bench_")}


def machine():
    model = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                 if line.startswith("model name"))
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                            capture_output=True, text=True).stdout.strip()
    say(f"raeh {commit} on {model}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"load {os.getloadavg()[0]:.1f}")


def main():
    names = sys.argv[1:] or list(FIGURES)
    if names == ["--list"]:
        for name, function in FIGURES.items():
            say(f"{name:<12} {function.__doc__}")
        return
    machine()
    for name in names:
        say(f"\n{name}: {FIGURES[name].__doc__}")
        FIGURES[name]()


if __name__ == "__main__":
    main()
