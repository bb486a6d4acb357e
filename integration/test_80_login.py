"""The dashboard's way in: users, the login cookie, what protects it."""
import asyncio
import json
import time

import httpx
import pytest
import websockets

from client import frames, ingest, receive
from stack import Key, Stack, until

# The proxy in front says who asks: so each test has addresses of its own.
STACK = dict(args=["--behind-proxy", "--sign-up", "open"])
PASSWORD = "correct horse battery"
addresses = (f"198.51.100.{n}" for n in range(1, 255))


class Browser:
    """Keeps cookies as a browser does, and sends the token as the dashboard's pages do."""

    def __init__(self, stack, address=None):
        self.http = httpx.Client(base_url=stack.url, trust_env=False, timeout=60, headers={
            "X-Forwarded-For": address or next(addresses), "Origin": stack.url})
        self.stack, self.me = stack, None

    def send(self, method, path, body=None, **headers):
        if self.me and method != "GET":
            headers = {"X-CSRF-Token": self.me["csrf"]} | headers
        return self.http.request(method, path, json=body, headers={
            name: value for name, value in headers.items() if value is not None})

    def enter(self, path, **body):
        answer = self.send("POST", path, body)
        if answer.status_code in (200, 201):
            self.me = answer.json()
        return answer

    def sign_up(self, email=None, password=PASSWORD):
        self.email = email or f"u{time.time_ns()}@example.org"
        answer = self.enter("/v1/signup", email=self.email, password=password)
        assert answer.status_code == 201, answer.text
        return self

    def log_in(self, email, password=PASSWORD):
        return self.enter("/v1/login", email=email, password=password)

    @property
    def cookie(self):
        return self.http.cookies["raeh_session"]

    def socket(self, path="/stream/subscribe", origin=None):
        return websockets.connect(self.stack.ws_url + path, origin=origin or self.stack.url,
                                  **header_argument({"Cookie": f"raeh_session={self.cookie}"}))


def header_argument(headers):
    name = "additional_headers" if int(websockets.__version__.split(".")[0]) >= 14 \
        else "extra_headers"
    return {name: headers}


@pytest.fixture(scope="module")
def anna(stack):
    return Browser(stack).sign_up()


def test_sign_up_makes_an_account_and_logs_in(stack, anna):
    me = anna.send("GET", "/v1/me").json()
    assert me["user"]["email"] == anna.email and me["user"]["role"] == "owner"
    assert me["account"]["id"] and me["csrf"] == anna.me["csrf"]
    assert me["signup"] == "open" and me["version"] and "credential" not in me
    again = Browser(stack).enter("/v1/signup", email=anna.email.upper(), password=PASSWORD)
    assert again.status_code == 409 and "cannot be used" in again.json()["detail"]
    for email, password, field in (("nobody", PASSWORD, "email"), ("a@b.c", "short", "password"),
                                   ("a b@c.d", PASSWORD, "email")):
        answer = Browser(stack).enter("/v1/signup", email=email, password=password)
        assert answer.status_code == 400 and field in answer.json()["detail"]
    assert httpx.get(stack.url + "/v1/signup").json() == {"open": True}


def test_the_cookie_is_for_this_site_and_no_script(stack, anna):
    answer = Browser(stack).log_in(anna.email)
    cookie = answer.headers["Set-Cookie"]
    name, *flags = [part.strip() for part in cookie.split(";")]
    assert name.startswith("raeh_session=raehs_") and len(name) == len("raeh_session=") + 38
    assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(flags) and "Secure" not in flags
    over_tls = Browser(stack)
    cookie = over_tls.send("POST", "/v1/login", {"email": anna.email, "password": PASSWORD},
                           **{"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]
    assert "Secure" in [part.strip() for part in cookie.split(";")]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_wrong_password_and_an_unknown_user_are_answered_alike(stack, anna):
    wrong = Browser(stack).log_in(anna.email, "not the password")
    unknown = Browser(stack).log_in("nobody@example.org", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    without_id = [{k: v for k, v in answer.json().items() if k != "request_id"}
                  for answer in (wrong, unknown)]
    assert without_id[0] == without_id[1] and "Set-Cookie" not in wrong.headers


def test_guessing_is_throttled_by_e_mail_whether_it_exists_or_not(stack):
    victim = Browser(stack).sign_up()
    for email in (victim.email, "guess@example.org"):
        last = None
        for _ in range(9):  # from another address each time
            last = Browser(stack).log_in(email, "not the password")
            if last.status_code == 429:
                break
            assert last.status_code == 401
        assert last.status_code == 429 and int(last.headers["Retry-After"]) >= 1
    assert Browser(stack).log_in(victim.email).status_code == 429


def test_guessing_is_throttled_by_address(stack, anna):
    address = next(addresses)
    seen = set()
    for n in range(40):
        seen.add(Browser(stack, address).enter(
            "/v1/signup", email=anna.email, password="x" * 12).status_code)
        if 429 in seen:
            break
    assert seen <= {409, 429} and 429 in seen
    assert Browser(stack, address).log_in(anna.email).status_code == 429
    assert Browser(stack).log_in(anna.email).status_code == 200


def test_a_change_by_cookie_needs_the_token(stack, anna):
    body = {"label": "made in the dashboard"}
    for token in (None, "", "wrong", anna.me["csrf"][:-1] + "!"):
        answer = anna.send("POST", "/v1/keys", body, **{"X-CSRF-Token": token})
        assert answer.status_code == 403 and "X-CSRF-Token" in answer.json()["detail"]
    other = Browser(stack)
    assert other.log_in(anna.email).status_code == 200
    assert anna.send("POST", "/v1/keys", body,
                     **{"X-CSRF-Token": other.me["csrf"]}).status_code == 403
    made = anna.send("POST", "/v1/keys", body)
    assert made.status_code == 201 and made.json()["minted_by"] == anna.me["user"]["id"]
    assert anna.send("DELETE", f"/v1/keys/{made.json()['id']}", **{"X-CSRF-Token": "x"}
                     ).status_code == 403


def test_another_site_s_page_may_not_ask(stack, anna):
    body = {"email": anna.email, "password": PASSWORD}
    for origin in ("https://evil.example", "null", stack.url + ".evil.example"):
        assert Browser(stack).send("POST", "/v1/login", body, Origin=origin).status_code == 403
        assert anna.send("GET", "/v1/me", Origin=origin).status_code == 401
        assert anna.send("POST", "/v1/keys", {"label": "x"}, Origin=origin).status_code == 401
    form = Browser(stack).http.post("/v1/login", content=json.dumps(body),
                                    headers={"Content-Type": "text/plain"})
    assert form.status_code == 415


def test_the_whole_api_is_there_with_the_cookie(stack, anna):
    model = anna.send("POST", "/v1/device-models", {"name": "Watch", "modality_channels": [
        {"modality": "ppg_green", "sample_rate_hz": 64}]})
    assert model.status_code == 201
    for path in ("/v1/keys", "/v1/device-models", f"/v1/device-models/{model.json()['id']}",
                 "/v1/sessions", "/v1/insights"):
        assert anna.send("GET", path).status_code == 200, path


def test_the_objects_of_another_account_are_not_there(stack, anna):
    model = anna.send("POST", "/v1/device-models", {"name": "Hers"}).json()["id"]
    key = anna.send("POST", "/v1/keys", {"label": "hers"}).json()["id"]
    bob = Browser(stack).sign_up()
    for method, path in (("GET", f"/v1/device-models/{model}"), ("GET", f"/v1/keys/{key}"),
                         ("DELETE", f"/v1/keys/{key}"), ("DELETE", f"/v1/device-models/{model}")):
        assert bob.send(method, path).status_code == 404, path
    assert bob.send("GET", "/v1/keys").json() == []


def test_a_key_beside_the_cookie_is_what_counts(stack, anna):
    key = stack.key(scopes="read")
    answer = anna.send("GET", "/v1/sessions", **key.headers)
    assert answer.status_code == 200
    assert anna.send("GET", "/v1/keys", **key.headers).status_code == 403
    assert anna.send("GET", "/v1/me", **key.headers).status_code == 403
    assert anna.send("GET", "/v1/me", Authorization="Bearer raeh_bad").status_code == 401
    for place in ({"Authorization": f"Bearer {anna.cookie}"}, {}):
        query = "" if place else f"?api_key={anna.cookie}"
        answer = httpx.get(stack.url + "/v1/sessions" + query, headers=place)
        assert answer.status_code == 401, "a login is good in a cookie alone"
    bad = httpx.get(stack.url + "/v1/me", headers={"Cookie": "raeh_session=raehs_x"})
    assert bad.status_code == 401


async def test_a_socket_by_cookie_needs_our_own_origin(stack, anna):
    async with anna.socket() as socket:
        assert json.loads(await socket.recv()) == {"status": "subscribed"}
    for origin in ("https://evil.example", "null"):
        async with anna.socket(origin=origin) as socket:
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 20)
            assert socket.close_code == 4001


async def test_logging_out_closes_the_sockets_of_that_login_alone(stack, anna):
    other = Browser(stack)
    assert other.log_in(anna.email).status_code == 200
    async with other.socket() as ends, anna.socket() as stays:
        await ends.recv(), await stays.recv()
        answer = await asyncio.to_thread(other.send, "POST", "/v1/logout", {})
        assert answer.status_code == 204 and "Max-Age=0" in answer.headers["Set-Cookie"]
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(ends.recv(), 20)
        assert ends.close_code == 4001
        await stays.ping()
        assert stays.open if hasattr(stays, "open") else stays.state.name == "OPEN"
    assert other.send("GET", "/v1/me").status_code == 401
    assert anna.send("GET", "/v1/me").status_code == 200


def named(browser, path, body, name):
    return browser.send("POST", path, body, **{"Idempotency-Key": name})


def test_a_repeat_of_what_made_a_user_names_the_user(stack):
    owner, guest = Browser(stack), Browser(stack)
    body = {"email": f"named{time.time_ns()}@example.org", "password": PASSWORD}
    first = named(owner, "/v1/signup", body, "mine")
    assert first.status_code == 201, first.text
    owner.me = first.json()
    again = named(Browser(stack), "/v1/signup", body, "mine")
    assert again.status_code == 409 and "Set-Cookie" not in again.headers
    assert again.json()["made_id"] == owner.me["user"]["id"]
    assert "made_id" not in named(Browser(stack), "/v1/signup", body, "another's").json()

    invited = named(owner, "/v1/invites", {"role": "member"}, "mine").json()
    accept = {"token": invited["url_path"].rsplit("/", 1)[1], "password": PASSWORD,
              "email": f"guest{time.time_ns()}@example.org"}
    first = named(guest, "/v1/invites/accept", accept, "mine")
    assert first.status_code == 201, first.text
    again = named(Browser(stack), "/v1/invites/accept", accept, "mine")
    assert again.status_code == 409
    assert again.json()["made_id"] == first.json()["user"]["id"]
    assert named(Browser(stack), "/v1/invites/accept", accept, "other").status_code == 404

    for _ in range(2):  # a login is made anew
        login = Browser(stack)
        answer = named(login, "/v1/login", body, "mine")
        assert answer.status_code == 200 and "Set-Cookie" in answer.headers
    login.me = answer.json()
    change = {"current": PASSWORD, "new": "another " + PASSWORD}
    assert named(login, "/v1/me/password", change, "mine").status_code == 204
    login.me = login.send("GET", "/v1/me").json()
    assert named(login, "/v1/me/password", change, "mine").status_code == 403
    assert named(login, "/v1/logout", {}, "mine").status_code == 204
    assert named(login, "/v1/logout", {}, "mine").status_code == 401
    for bad in ("", "x" * 256):
        assert named(Browser(stack), "/v1/signup", body, bad).status_code == 400


def test_what_a_user_does_is_counted_as_the_users_with_whichever_login(stack):
    first = Browser(stack).sign_up()
    second = Browser(stack)
    second.log_in(first.email)
    for browser in (first, second):
        for _ in range(5):
            assert browser.send("GET", "/v1/sessions").status_code == 200
    user = first.me["user"]["id"]

    def counted():
        rows = first.send("GET", f"/v1/usage?key_id={user}").json()
        return sum(row["requests"] for row in rows) >= 10
    until("both logins are counted", counted, 60, 0.3)
    assert {row["key_id"] for row in first.send("GET", "/v1/usage").json()} == {user}


def test_a_login_is_no_key_of_the_account(stack):
    carl = Browser(stack).sign_up()
    assert carl.send("GET", "/v1/keys").json() == []


async def test_a_new_password_ends_the_other_logins_and_this_one_gets_a_new_cookie(stack):
    dora = Browser(stack).sign_up()
    other = Browser(stack)
    assert other.log_in(dora.email).status_code == 200
    old = dora.cookie
    for current, new, status in (("wrong password", "x" * 12, 403), (PASSWORD, "short", 400)):
        answer = dora.send("POST", "/v1/me/password", {"current": current, "new": new})
        assert answer.status_code == status, answer.text
    async with other.socket() as socket:
        await socket.recv()
        answer = await asyncio.to_thread(dora.send, "POST", "/v1/me/password",
                                         {"current": PASSWORD, "new": "another one entirely"})
        assert answer.status_code == 204 and answer.content == b"", answer.text
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)
        assert socket.close_code == 4001
    assert other.send("GET", "/v1/me").status_code == 401
    assert dora.cookie != old and dora.send("GET", "/v1/me").status_code == 200
    stale = httpx.get(stack.url + "/v1/me", headers={"Cookie": f"raeh_session={old}"})
    assert stale.status_code == 401
    assert Browser(stack).log_in(dora.email).status_code == 401
    assert Browser(stack).log_in(dora.email, "another one entirely").status_code == 200


async def test_an_invited_user_shares_the_account_until_the_owner_says_otherwise(stack, anna):
    made = anna.send("POST", "/v1/invites", {"role": "member"})
    assert made.status_code == 201 and made.json()["url_path"].startswith("/invite/raehi_")
    assert anna.send("GET", "/v1/invites").json()[0]["url_path"] is None
    token = made.json()["url_path"].rsplit("/", 1)[1]
    eve = Browser(stack)
    eve.email = f"e{time.time_ns()}@example.org"
    entered = eve.enter("/v1/invites/accept", token=token, email=eve.email, password=PASSWORD)
    assert entered.status_code == 201 and entered.json()["user"]["role"] == "member"
    assert entered.json()["account"] == anna.me["account"]
    again = Browser(stack).enter("/v1/invites/accept", token=token, email="x@example.org",
                                 password=PASSWORD)
    assert again.status_code == 404
    assert eve.send("GET", "/v1/keys").json() == anna.send("GET", "/v1/keys").json()
    assert {anna.email, eve.email} <= {row["email"] for row in eve.send("GET", "/v1/users").json()}
    for method, path in (("DELETE", f"/v1/users/{anna.me['user']['id']}"), ("GET", "/v1/invites")):
        assert eve.send(method, path).status_code == 403
    assert eve.send("POST", "/v1/invites", {"role": "owner"}).status_code == 403
    async with eve.socket() as socket:
        await socket.recv()
        gone = await asyncio.to_thread(anna.send, "DELETE", f"/v1/users/{eve.me['user']['id']}")
        assert gone.status_code == 204
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)
    assert eve.send("GET", "/v1/me").status_code == 401
    assert anna.send("DELETE", f"/v1/users/{anna.me['user']['id']}").status_code == 409
    unused = anna.send("POST", "/v1/invites", {"role": "owner"}).json()
    assert anna.send("DELETE", f"/v1/invites/{unused['id']}").status_code == 204
    assert anna.send("DELETE", f"/v1/invites/{unused['id']}").status_code == 404


def test_the_operator_gives_a_new_password(stack):
    fred = Browser(stack).sign_up()
    made_up = stack.admin("account", "reset-password", "--email", fred.email)
    assert made_up["email"] == fred.email and fred.send("GET", "/v1/me").status_code == 401
    assert Browser(stack).log_in(fred.email, made_up["password"]).status_code == 200
    said = stack.admin("account", "reset-password", "--email", fred.email, "--password-stdin",
                       stdin="said by the operator\n")
    assert said["password"] is None
    assert Browser(stack).log_in(fred.email, "said by the operator").status_code == 200
    stack.raeh("account", "reset-password", "--data", stack.data, "--email", "no@example.org",
               status=1)


def test_a_login_outlives_a_restart_of_auth(stack, anna):
    pid = stack.kill("auth")
    stack.wait_restarted("auth", pid)
    stack.wait_ready()
    assert anna.send("GET", "/v1/me").json()["user"]["email"] == anna.email


def test_sign_up_can_be_closed():
    stack = Stack("--sign-up", "first").start()
    try:
        assert httpx.get(stack.url + "/v1/signup").json() == {"open": True}
        first = Browser(stack).sign_up()
        assert first.send("GET", "/v1/me").json()["signup"] == "closed"
        answer = Browser(stack).enter("/v1/signup", email="late@example.org", password=PASSWORD)
        assert answer.status_code == 403 and httpx.get(
            stack.url + "/v1/signup").json() == {"open": False}
        email = "ops@example.org"
        stack.admin("account", "create", "--email", email, "--password-stdin",
                    stdin=PASSWORD + "\n")
        answer = Browser(stack).send("POST", "/v1/login", {"email": email, "password": PASSWORD},
                                     **{"X-Forwarded-Proto": "https"})
        assert answer.status_code == 200
        assert "Secure" not in answer.headers["Set-Cookie"], "no proxy is trusted here"
    finally:
        stack.close()


async def test_deleting_the_account_leaves_nothing_of_it(stack):
    gina = Browser(stack).sign_up()
    model = gina.send("POST", "/v1/device-models", {"name": "Watch", "modality_channels": [
        {"modality": "ppg_green", "sample_rate_hz": 100}]}).json()
    made = gina.send("POST", "/v1/keys", {"label": "hers"}).json()
    key = Key(made["id"], made["key"], gina.me["account"]["id"])
    async with ingest(stack, key, model, "watch-g", ack=1) as device:
        await receive(device)
        for message in frames(12):
            await device.send(message)
        while (await receive(device)).get("ack", 0) < 60:
            pass
        wrong = gina.send("DELETE", "/v1/account", {"password": "not the password"})
        assert wrong.status_code == 403
        gone = await asyncio.to_thread(gina.send, "DELETE", "/v1/account", {"password": PASSWORD})
        assert gone.status_code == 200, gone.text
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await asyncio.wait_for(device.recv(), 20)
    removed = gone.json()
    assert removed["account_id"] == gina.me["account"]["id"]
    assert (removed["users"], removed["keys"], removed["sessions"]) == (1, 1, 1)
    assert removed["frames"] == 60 and "Max-Age=0" in gone.headers["Set-Cookie"]
    stale = httpx.get(stack.url + "/v1/sessions", headers=key.headers)
    assert stale.status_code == 401 and Browser(stack).log_in(gina.email).status_code == 401
    again = Browser(stack).sign_up(gina.email)
    assert again.send("GET", "/v1/device-models").json() == []
    removed = stack.admin("account", "delete", gina.email, "--yes")
    assert removed["account_id"] == again.me["account"]["id"]
    assert again.send("GET", "/v1/me").status_code == 401
    stack.raeh("account", "delete", "--data", stack.data, gina.email, status=2)
    stack.raeh("account", "delete", "--data", stack.data, gina.email, "--yes", status=1)
    stack.raeh("audit", "verify", "--data", stack.data)  # the chain holds over what is redacted
