"""A secret is told once. After everything that can go wrong it stands nowhere.

Keys, tokens, logins and passwords are planted; requests carry them in every right and wrong place;
processes are killed. Then every answer, the log, the metrics, the arguments of the processes and
every byte under the data directory are looked through for them: whole, in pieces (as a compressed
block would hold them), in hexadecimal and in base64.
"""
import asyncio
import base64
import re
import signal
import uuid
from pathlib import Path

import httpx
import pytest

from client import closed_session, closed, connect, frames, ingest, receive, rest, stream, subscribe
from stack import Key, free_port, until

ADMIN = free_port()
STACK = {"edges": 2, "publishers": 2, "args": ["--admin", f"127.0.0.1:{ADMIN}"]}
PIECE = 10  # bytes of a secret that no chance makes
PASSWORD = "correct horse battery " + uuid.uuid4().hex


def needles(secret):
    """What betrays it: pieces of what is random in it, and its other spellings."""
    body = secret.split("_", 1)[-1]
    pieces = {body[at:at + PIECE].encode() for at in range(0, len(body) - PIECE + 1)}
    raw = secret.encode()
    return pieces | {raw, raw.hex().encode(), base64.b64encode(raw)[:-4]}


def encoded(text):
    """As a careful client may write it: every character escaped."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


class Planted:
    """Every secret, and every answer in which it must not stand."""

    def __init__(self):
        self.secrets, self.answers = set(), []

    def plant(self, secret):
        self.secrets.add(secret)
        return secret

    def keep(self, answer):
        self.answers.append(f"{answer.request.method} {answer.status_code} {answer.text} "
                            f"{answer.headers}")
        return answer

    def found_in(self, data):
        return [secret[:10] + "…" for secret in self.secrets
                if any(needle in data for needle in needles(secret))]


@pytest.fixture(scope="module")
def planted():
    return Planted()


@pytest.fixture(scope="module")
def key(stack, planted):
    made = stack.key(scopes="ingest,subscribe,read,write,keys")
    planted.plant(made.key)
    return made


@pytest.fixture(scope="module")
def http(stack, key):
    with rest(stack, key) as client:
        yield client


def mint(http, planted, label):
    answer = http.post("/v1/keys", json={"label": label}, headers={"Idempotency-Key": label})
    assert answer.status_code == 201
    return answer.json()["id"], planted.plant(answer.json()["key"])


def test_keys_in_every_right_and_wrong_place(stack, planted, http, key):
    minted, second = mint(http, planted, "planted")
    planted.keep(http.post("/v1/keys", json={"label": "planted"},
                           headers={"Idempotency-Key": "planted"}))
    wrong = second[:-1] + ("x" if second[-1] != "x" else "y")  # a typing error is as secret
    planted.plant(wrong)
    with rest(stack) as nobody:
        for text in (second, wrong, key.key):
            bearer = {"Authorization": f"Bearer {text}"}
            for method, path, extra in [
                ("GET", f"/v1/sessions?limit=1&api_key={text}", {}),
                ("GET", f"/v1/sessions/{text}", {"headers": bearer}),
                ("GET", f"/v1/keys/{text}?api_key={text}", {}),
                ("GET", f"/{text}", {}),
                ("GET", f"/v1/keys?limit=1&label={encoded(text)}", {"headers": bearer}),
                ("GET", f"/v1/sessions?limit=1&device_id={encoded(text)}", {"headers": bearer}),
                ("GET", f"/v1/devices/{encoded(text)}", {"headers": bearer}),
                ("PUT", f"/v1/device-models/{text}/modalities/{text}", {"headers": bearer,
                                                                        "json": {}}),
                ("POST", "/v1/device-models", {"headers": bearer, "json": {"name": text}}),
                ("POST", "/v1/device-models", {"headers": bearer, "json": {
                    "name": "x", "description": f"its key is {text}."}}),
                ("POST", "/v1/device-models", {"headers": bearer, "json": {
                    "name": "x", "modality_channels": [{"modality": text}]}}),
                ("POST", "/v1/tokens", {"headers": bearer, "json": {"device_id": text}}),
                ("PATCH", f"/v1/keys/{key.id}", {"headers": bearer, "json": {
                    "metadata": {"k": text}}}),
                ("GET", f"/v1/sessions?status={text}", {"headers": bearer}),
                ("GET", f"/v1/sessions?cursor={text}", {"headers": bearer}),
                ("GET", f"/v1/insights?type={text}&from={text}", {"headers": bearer}),
                ("GET", f"/v1/device-models?limit=1&api_key={text}&x={text}", {}),
                ("DELETE", f"/v1/device-models/{text}", {"headers": bearer}),
                ("POST", "/v1/device-models", {"headers": bearer, "content": f'{{"name": {text}}}'}),
                ("POST", "/v1/device-models", {"headers": bearer, "json": {"name": 1, text: text}}),
                ("POST", "/v1/device-models", {"headers": bearer,
                                               "json": {"modality_channels": [text]}}),
                ("POST", "/v1/keys", {"headers": bearer | {"Idempotency-Key": text},
                                      "json": {"label": "", "scopes": [text]}}),
                ("GET", "/v1/sessions", {"headers": bearer | {"User-Agent": text, "Cookie": text,
                                                              "Last-Event-ID": text,
                                                              "Origin": f"http://{text}",
                                                              "Referer": f"http://h/?k={text}",
                                                              "X-Forwarded-For": text,
                                                              "X-CSRF-Token": text,
                                                              "Prefer": text,
                                                              "Accept": text,
                                                              "If-None-Match": text}}),
                ("GET", "/v1/sessions", {"headers": {"Authorization": f"Basic {text}"}}),
                ("BREW", f"/v1/sessions?api_key={text}", {}),
            ]:
                planted.keep(nobody.request(method, path, **extra))
        planted.keep(nobody.get(f"/v1/sessions?api_key={second}",
                                headers={"Authorization": f"Bearer {key.key}"}))
    receipt = planted.keep(http.delete(f"/v1/keys/{minted}"))
    assert receipt.status_code == 200
    with rest(stack) as nobody:
        planted.keep(nobody.get(f"/v1/sessions?api_key={second}"))


async def test_keys_on_sockets_that_open_and_that_do_not(stack, planted, http, key, model):
    minted, second = mint(http, planted, "socket")
    socket_key = Key(minted, second, key.account)
    async with subscribe(stack, key) as app, ingest(stack, socket_key, model, "planted") as device:
        await receive(app)
        await receive(device)
        for message in frames(8, t0_ms=1_760_000_000_000):
            await device.send(message)
        assert http.delete(f"/v1/keys/{minted}").status_code == 200
        code, reason = await closed(device)
        assert code in (4001, 1006) and second not in reason
    for query in ({"device_id": "x", "device_model_id": second}, {"device_model_id": second},
                  {"device_id": second, "device_model_id": model["id"]},
                  {"device_id": f"watch {key.key}", "device_model_id": model["id"]},
                  {"session_id": second}, {"type": second}, {"after": second}):
        path = "/stream/ingest" if "device_model_id" in query else "/stream/subscribe"
        async with connect(stack, path, socket_key, **query) as refused:
            _, reason = await closed(refused)
            assert not planted.found_in(reason.encode())
        async with connect(stack, path, key, **query) as refused:
            _, reason = await closed(refused)
            assert not planted.found_in(reason.encode())


def test_tokens_logins_and_invitations(stack, planted, http):
    made = http.post("/v1/tokens", json={"ttl_s": 60}, headers={"Idempotency-Key": "token"})
    assert made.status_code == 201
    token = planted.plant(made.json()["token"])
    planted.keep(http.post("/v1/tokens", json={"ttl_s": 60}, headers={"Idempotency-Key": "token"}))
    planted.plant(PASSWORD)
    user = {"email": f"{uuid.uuid4()}@example.org", "password": PASSWORD}
    with rest(stack) as browser, rest(stack) as nobody:
        made = browser.post("/v1/signup", json=user)  # its Set-Cookie is the one place
        assert made.status_code == 201, made.text
        login = planted.plant(browser.cookies["raeh_session"])
        planted.keep(browser.get("/v1/me"))
        planted.keep(browser.post("/v1/login", json=user | {"password": PASSWORD + "!"}))
        planted.keep(browser.post("/v1/login", json=user | {"email": [PASSWORD]}))
        own = {"X-CSRF-Token": made.json()["csrf"], "Idempotency-Key": "invite"}
        invite = browser.post("/v1/invites", json={"role": "member"}, headers=own)
        assert invite.status_code == 201
        invite = planted.plant(invite.json()["url_path"].rsplit("/", 1)[1])
        planted.keep(browser.post("/v1/invites", json={"role": "member"}, headers=own))
        planted.keep(browser.get("/v1/invites"))
        planted.keep(nobody.get(f"/invite/{invite}"))
        planted.keep(nobody.post("/v1/invites/accept", json={"token": invite, "email": "x"}))
        for text in (token, token[:-2], login, invite):
            planted.keep(nobody.get(f"/v1/sessions/{text}?api_key={text}"))
            planted.keep(nobody.get(f"/v1/keys?label={encoded(text)}&limit=1",
                                    headers={"Authorization": f"Bearer {text}"}))
            planted.keep(http.post("/v1/keys", json={"label": f"for {text}", "scopes": ["read"]}))
            planted.keep(http.post("/v1/device-models", json={"name": "x", "description": text}))
        planted.keep(browser.post("/v1/me/password", json={"current": PASSWORD, "new": "short"},
                                  headers=own))
        planted.keep(browser.post("/v1/logout", json={}, headers=own))


def test_successors_and_what_the_command_line_says(stack, planted, http, key):
    minted, text = mint(http, planted, "to be rotated")
    for overlap in ("60", "0"):
        new = stack.admin("key", "rotate", minted, "--overlap", overlap)
        planted.plant(new["key"])
    said = [stack.raeh("key", "list", "--account", key.account, "--data", stack.data)]
    said += [stack.raeh("key", "impact", new["id"], "--data", stack.data),
             stack.raeh("audit", "verify", "--data", stack.data),
             stack.raeh("doctor", "--data", stack.data, status=None),
             stack.raeh("key", "lint", text, status=None),
             stack.raeh("watch", "--url", stack.url, key=text[:-1] + "!", status=None),
             stack.raeh("watch", "--url", stack.url, key=text, status=None),  # it is dead
             stack.raeh("no-such-command", text, status=2)]
    for done in said:
        assert not planted.found_in((done.stdout + done.stderr).encode()), done.args


def test_a_minted_key_is_in_no_list_and_no_later_answer(http, planted):
    mint(http, planted, "listed")
    for path in ("/v1/keys", "/v1/device-models", "/v1/sessions", "/v1/insights", "/v1/audit",
                 "/v1/usage", "/v1/devices", "/openapi.json", "/asyncapi.json", "/readyz"):
        planted.keep(http.get(path))
    for row in http.get("/v1/keys").json():
        planted.keep(http.get(f"/v1/keys/{row['id']}"))


def test_nothing_that_was_answered_holds_one(planted):
    assert len(planted.secrets) >= 7 and len(planted.answers) > 60
    for answer in planted.answers:
        assert not planted.found_in(answer.encode()), answer


def test_no_metric_argument_or_environment_holds_one(stack, planted):
    metrics = until("the admin address answers", lambda: httpx.get(
        f"http://127.0.0.1:{ADMIN}/metrics", trust_env=False, timeout=20).content)
    assert not planted.found_in(metrics)
    processes = stack.processes() | {"raeh up": stack.process.pid}
    assert len(processes) == 7
    for name, pid in processes.items():
        for file in ("cmdline", "environ", "comm"):
            try:
                with open(f"/proc/{pid}/{file}", "rb") as shown:
                    assert not planted.found_in(shown.read()), (name, file)
            except PermissionError:
                assert file == "environ"  # not even for who runs it
        with open(f"/proc/{pid}/limits") as limits:
            core = next(line for line in limits if line.startswith("Max core file size"))
        assert core.split()[4] == "0", f"{name} would leave its memory behind: {core}"


def test_no_file_and_no_log_holds_one_after_kills_and_a_restart(stack, planted, key, http, model):
    session = asyncio.run(stream(stack, key, model, 10, "planted-2", t0_ms=1_760_000_000_000))
    closed_session(stack, key, session)
    for process in ("auth", "router", "publisher-0", "publisher-1", "edge-0", "edge-1"):
        sig = signal.SIGQUIT if process in ("auth", "edge-0") else signal.SIGKILL  # QUIT: a core
        stack.wait_restarted(process, stack.kill(process, sig))
    stack.wait_ready()
    mint(http, planted, "after the kills")
    stack.check()
    stack.restart()  # the stores write out what was in their logs
    looked, held = 0, []
    cores = [file for file in Path.cwd().glob("*core*") if file.is_file()]
    assert not cores, cores
    for file in [*Path(stack.directory.name).rglob("*")]:
        if file.is_file():
            data = file.read_bytes()
            looked += len(data)
            held += [(file.name, secret) for secret in planted.found_in(data)]
    assert looked > 100_000
    assert not held, held


def test_what_is_looked_for_would_be_found(planted):
    """The search itself: a secret in a log line, or in pieces in a block."""
    secret = next(secret for secret in planted.secrets if re.fullmatch(r"raeh_\w{36}", secret))
    for line in (secret, secret[5:], "raeh_" + secret[20:], secret.encode().hex(),
                 base64.b64encode(secret.encode()).decode()):
        assert planted.found_in(f"info edge request {line} done".encode()), line
