"""A secret is told once. After everything that can go wrong it stands nowhere.

Keys, tokens, logins and passwords are planted; requests carry them in every right and wrong place;
processes are killed. Then every answer, the log, the metrics, the arguments of the processes and
every byte under the data directory are looked through for them: whole, in pieces (as a compressed
block would hold them), in hexadecimal and in base64.
"""
import asyncio
import base64
import re
import uuid

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
                  {"session_id": second}, {"type": second}, {"after": second}):
        path = "/stream/ingest" if "device_model_id" in query else "/stream/subscribe"
        async with connect(stack, path, socket_key, **query) as refused:
            _, reason = await closed(refused)
            assert not planted.found_in(reason.encode())
        async with connect(stack, path, key, **query) as refused:
            _, reason = await closed(refused)
            assert not planted.found_in(reason.encode())


def test_tokens_and_logins(stack, planted, http):
    token = http.post("/v1/tokens", json={"ttl_s": 60})
    if token.status_code == 201:
        text = planted.plant(token.json()["token"])
        with rest(stack) as nobody:
            planted.keep(nobody.get(f"/v1/sessions/{text}?api_key={text}"))
            planted.keep(nobody.get(f"/v1/sessions?api_key={text[:-2]}"))
    planted.plant(PASSWORD)
    user = {"email": f"{uuid.uuid4()}@example.org", "password": PASSWORD}
    with rest(stack) as browser:
        made = planted.keep(browser.post("/v1/signup", json=user))
        assert made.status_code == 201, made.text
        planted.plant(browser.cookies["raeh_session"])
        planted.answers.pop()  # its Set-Cookie is the one place
        planted.keep(browser.get("/v1/me"))
        planted.keep(browser.post("/v1/login", json=user | {"password": PASSWORD + "!"}))
        planted.keep(browser.post("/v1/login", json=user | {"email": [PASSWORD]}))


def test_a_minted_key_is_in_no_list_and_no_later_answer(http, planted):
    mint(http, planted, "listed")
    for path in ("/v1/keys", "/v1/device-models", "/v1/sessions", "/v1/insights", "/v1/audit",
                 "/v1/usage", "/openapi.json"):
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
    for name, pid in stack.processes().items():
        for file in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{file}", "rb") as shown:
                    assert not planted.found_in(shown.read()), (name, file)
            except PermissionError:
                assert file == "environ"  # not even for who runs it


def test_no_file_and_no_log_holds_one_after_kills_and_a_restart(stack, planted, key, http, model):
    session = asyncio.run(stream(stack, key, model, 10, "planted-2", t0_ms=1_760_000_000_000))
    closed_session(stack, key, session)
    for process in ("auth", "router", "publisher-0", "publisher-1", "edge-0", "edge-1"):
        stack.wait_restarted(process, stack.kill(process))
    stack.wait_ready()
    mint(http, planted, "after the kills")
    stack.check()
    stack.restart()  # the stores write out what was in their logs
    looked, held = 0, []
    for file in [*stack.data.rglob("*"), *stack.logs]:
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
