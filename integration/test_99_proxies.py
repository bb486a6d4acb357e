"""docs/guides/proxy.md as it is written: everything goes through, and no key stands in a log."""
import asyncio
import os
import shutil
import signal
import subprocess
import time
import uuid

import httpx
import pytest
import websockets

from client import (closed, connect, frames, ingest, insights, is_open, make_model, receive, rest,
                    subscribe, tls)
from stack import free_port, until
from test_99_guides import snippets

SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
STACK = {"args": ["--behind-proxy", "--sign-up", "open"]}
PING_S = 25


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out",
                    "cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1"], cwd=folder, check=True, capture_output=True)
    return folder


class Proxy:
    """The proxy of the guide in front of an address; clients use it as they use a stack."""

    def __init__(self, name, folder, certificate, behind):
        self.name, self.folder, self.ca = name, folder, str(certificate / "cert.pem")
        self.port = free_port()
        self.url, self.ws_url = f"https://127.0.0.1:{self.port}", f"wss://127.0.0.1:{self.port}"
        config, = snippets("proxy.md", name)
        for real, here in [("127.0.0.1:8080", f"127.0.0.1:{behind}"), ("20000", "200"),
                           ("127.0.0.1:8443", f"127.0.0.1:{self.port}")]:
            assert real in config
            config = config.replace(real, here)
        # The directories of an installed nginx, for one that nobody has started.
        config = config.replace("http {\n", "http {\n" + "".join(
            f"{kind}_temp_path {kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")))
        (folder / "proxy.conf").write_text(config)
        cert, key = ((certificate / file).read_text() for file in ("cert.pem", "key.pem"))
        (folder / "cert.pem").write_text(cert + (key if name == "haproxy" else ""))
        (folder / "key.pem").write_text(key)
        program = shutil.which(name, path=SBIN)
        assert program, f"{name} is not installed: make deps"
        flags = (["-p", folder, "-e", "error.log", "-c", "proxy.conf", "-g", "daemon off;"]
                 if name == "nginx" else ["-W", "-db", "-f", "proxy.conf"])
        with open(folder / "stdout", "wb") as log:
            self.process = subprocess.Popen([program, *flags], cwd=folder, stdout=log, stderr=log)

    def answers(self):
        assert self.process.poll() is None, self.logged()
        try:
            return httpx.get(self.url + "/healthz", verify=self.ca, trust_env=False,
                             timeout=10).status_code
        except httpx.TransportError:  # it does not listen yet
            return None

    def logged(self):
        files = [self.folder / name for name in ("access.log", "error.log", "stdout")]
        return "".join(file.read_text() for file in files if file.exists())

    def workers(self):
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="ascii") as file:
            return set(file.read().split())

    def reload(self):
        self.process.send_signal(signal.SIGHUP if self.name == "nginx" else signal.SIGUSR2)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def proxy(request, stack, certificate, tmp_path_factory):
    proxy = Proxy(request.param, tmp_path_factory.mktemp(request.param), certificate, stack.port)
    try:
        until("the proxy answers", lambda: proxy.answers() == 200, 20)
        yield proxy
    finally:
        proxy.stop()


@pytest.fixture
def planted(stack):
    """Keys of one account, that no log may hold."""
    first = stack.key(scopes="ingest,subscribe,read,write,keys")
    return [first, stack.key(first.account), stack.key(first.account)]


def holds_no_secret(text, secrets):
    for secret in secrets:
        assert secret.split("_")[1][:10] not in text, text
    for name in ("api_key", "Bearer", "bearer,"):
        assert name not in text, text


async def test_everything_goes_through_and_no_key_is_logged(proxy, planted):
    main, second, third = planted
    model = make_model(proxy, main, name=f"proxied {uuid.uuid4()}")
    with rest(proxy, main) as http:
        path = "/v1/device-models"
        assert http.get(f"{path}?api_key={main.key}").status_code == 200
        referer = {"Referer": f"{proxy.url}/?api_key={main.key}"}
        assert http.get(f"{path}/nowhere", headers=referer).status_code == 404
        assert http.post(path, content=b" " * (256 * 1024 + 1)).status_code == 413
    async with subscribe(proxy, main) as app, websockets.connect(
            proxy.ws_url + "/stream/subscribe", subprotocols=["bearer", third.key],
            **tls(proxy)) as other, httpx.AsyncClient(
            base_url=proxy.url, verify=proxy.ca, trust_env=False, timeout=60) as http, http.stream(
            "GET", f"/stream/subscribe?api_key={second.key}",
            headers={"Accept": "text/event-stream"}) as events, ingest(
            proxy, second, model, "proxied") as device:
        await receive(app)
        await receive(other)
        lines = events.aiter_lines()
        assert events.headers["content-type"] == "text/event-stream"
        await receive(device)
        for message in frames(12, t0_ms=int(time.time() * 1000)):
            await device.send(message)
        await insights(app, 1)
        await asyncio.wait_for(one_event(lines), 60)  # the stream goes on: nothing is held back
        await revoked(proxy, main, second, third)
        assert (await closed(device))[0] == 4001
        assert (await closed(other))[0] == 4001
        await asyncio.wait_for(ends(lines), 60)
        assert is_open(app)
    text = until("the log names the sockets", lambda: (text := proxy.logged()).count(
        "/stream/subscribe") >= 3 and "/stream/ingest" in text and text, 20)
    assert "/v1/device-models" in text
    holds_no_secret(text, [key.key for key in planted])


async def one_event(lines):
    async for line in lines:
        if line.startswith("data: ") and "proxied" in line:
            return


async def ends(lines):
    try:
        async for _ in lines:
            pass
    except httpx.TransportError:
        pass


async def revoked(proxy, main, *keys):
    async with httpx.AsyncClient(base_url=proxy.url, verify=proxy.ca, trust_env=False, timeout=60,
                                 headers=main.headers) as http:
        for key in keys:
            assert (await http.delete(f"/v1/keys/{key.id}")).status_code == 200


async def test_a_login_has_a_secure_cookie_and_pages_of_our_own(proxy):
    mail, password = f"u{uuid.uuid4()}@example.org", f"correct horse {uuid.uuid4()}"
    with httpx.Client(base_url=proxy.url, verify=proxy.ca, trust_env=False, timeout=60,
                      headers={"Origin": proxy.url}) as browser:
        assert "<html" in browser.get("/").text
        answer = browser.post("/v1/signup", json={"email": mail, "password": password})
        assert answer.status_code == 201, answer.text
        assert "Secure" in [part.strip() for part in answer.headers["Set-Cookie"].split(";")]
        changed = browser.post("/v1/device-models", json={"name": "of a page"},
                               headers={"X-CSRF-Token": answer.json()["csrf"]})
        assert changed.status_code == 201, changed.text
        cookie = browser.cookies["raeh_session"]
    async with connect(proxy, "/stream/subscribe", headers={
            "Cookie": f"raeh_session={cookie}", "Origin": proxy.url}) as app:
        assert await receive(app) == {"status": "subscribed"}
    holds_no_secret(proxy.logged(), [cookie])
    assert password not in proxy.logged()


def test_what_a_client_says_of_its_address_is_not_believed(stack, proxy):
    key = stack.key(scopes="write,keys")
    with rest(proxy, key) as http:
        http.headers.update({"X-Forwarded-For": "192.0.2.66", "X-Forwarded-Proto": "http"})
        made = http.post("/v1/device-models", json={"name": "lies"}).json()["id"]

        def noted():
            return [entry for entry in http.get("/v1/audit").json() if entry["target"] == made]

        entry, = until("it stands in the audit trail", noted, 20, every=0.2)
    assert entry["address"] == "127.0.0.1", entry


async def test_a_reload_drops_no_socket(stack, proxy):
    key = stack.key()
    model = make_model(proxy, key)
    async with subscribe(proxy, key) as app, ingest(proxy, key, model, "reloaded") as device:
        await receive(app)
        await receive(device)
        before = proxy.workers()
        proxy.reload()
        until("another worker serves", lambda: proxy.workers() - before, 20)
        for message in frames(12, t0_ms=int(time.time() * 1000)):
            await device.send(message)
        await insights(app, 1)
        async with subscribe(proxy, key) as late:
            await receive(late)
            assert is_open(device) and is_open(app)
        assert proxy.answers() == 200


def test_nothing_that_is_quiet_between_two_pings_is_cut():
    for name, fields in (("nginx", ("proxy_read_timeout", "proxy_send_timeout")),
                         ("haproxy", ("timeout client", "timeout server"))):
        config, = snippets("proxy.md", name)
        for field in fields:
            value = config.split(field)[1].split()[0].rstrip(";")
            assert value.endswith("s") and int(value[:-1]) > 2 * PING_S


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_a_stack_that_is_away_puts_no_key_into_the_log(name, planted, certificate, tmp_path):
    proxy = Proxy(name, tmp_path, certificate, free_port())
    try:
        until("the proxy says that nothing is there", lambda: proxy.answers() in (502, 503), 20)
        with rest(proxy, planted[0]) as http:
            path = f"/v1/device-models?api_key={planted[0].key}"
            for _ in range(3):
                assert http.get(path).status_code in (502, 503)
    finally:
        proxy.stop()
    holds_no_secret(proxy.logged(), [planted[0].key])
    assert name == "haproxy" or "/v1/device-models" in proxy.logged()
