"""The public address with a certificate of its own, made here."""
import socket
import ssl
import subprocess

import httpx
import pytest

from client import closed_session, insights, make_model, receive, rest, stream, subscribe
from stack import Stack, free_port


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
                   check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def stack(certificate):
    cert, key = certificate
    stack = Stack("--tls-cert", str(cert), "--tls-key", str(key), edges=2, scheme="https")
    stack.ca = str(cert)
    yield stack.start()
    stack.close()


def test_requests_go_over_tls(stack, key):
    with rest(stack, key) as http:
        assert http.get("/v1/sessions").json() == []
        assert http.get("/readyz").status_code == 200
        body = {"name": "x" * 128, "description": "d" * 1024}
        assert http.post("/v1/device-models", json=body).status_code == 201


async def test_sockets_go_over_tls(stack, key, model):
    async with subscribe(stack, key) as app:
        assert await receive(app) == {"status": "subscribed"}
        session = await stream(stack, key, model, 30)
        assert (await insights(app, 5))[0]["session_id"] == session
    assert closed_session(stack, key, session)["frames"] == 150


def test_the_command_line_goes_over_tls(stack, key, tmp_path):
    recording(tmp_path / "pulse")
    done = stack.raeh("replay", tmp_path / "pulse.csv", "--url", stack.url, "--ca", stack.ca,
                      "--speed", "max", "--json", key=key.key)
    assert '"close_code":1000' in done.stdout
    refused = stack.raeh("replay", tmp_path / "pulse.csv", "--url", stack.url, "--speed", "max",
                         "--json", key=key.key, status=1)
    assert refused.stderr


def recording(path):
    from client import pulse
    path.with_suffix(".csv").write_text(
        "ppg_green\n" + "".join(f"{sample}\n" for sample in pulse(0, 20)))
    path.with_suffix(".json").write_text('{"fs": 100, "columns": ["ppg_green"]}')


def test_a_certificate_that_is_not_known_is_refused_by_the_client(stack):
    with pytest.raises(httpx.ConnectError):
        httpx.get(stack.url + "/healthz", trust_env=False)


def test_plain_http_on_the_port_is_not_answered_in_the_clear(stack):
    with socket.create_connection(("127.0.0.1", stack.port), 5) as peer:
        peer.settimeout(15)
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            answer = peer.recv(1000)
        except ConnectionError:
            answer = b""
    assert b"200" not in answer and b"status" not in answer


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version, offered", [
    (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True),
    (ssl.TLSVersion.TLSv1_1, False)])
def test_only_today_s_versions_of_tls_are_spoken(stack, version, offered):
    context = ssl.create_default_context(cafile=stack.ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", stack.port), 5) as peer:
        if offered:
            with context.wrap_socket(peer, server_hostname="127.0.0.1") as tls:
                assert tls.version() == version.name.replace("_", ".")
        else:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(peer, server_hostname="127.0.0.1")


def test_http_1_1_is_what_is_spoken(stack):
    context = ssl.create_default_context(cafile=stack.ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", stack.port), 5) as peer:
        with context.wrap_socket(peer, server_hostname="127.0.0.1") as tls:
            assert tls.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("cut", [1, 5, 50, 200])
def test_a_handshake_that_breaks_off_hurts_nobody(stack, cut):
    context = ssl.create_default_context()
    out, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with socket.create_connection(("127.0.0.1", stack.port), 5) as peer:
        peer.sendall(out.read()[:cut])
    with rest(stack) as http:
        assert http.get("/healthz").status_code == 200


def test_a_certificate_that_does_not_fit_its_key_is_a_clear_error(certificate, tmp_path):
    cert, _ = certificate
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-out", other],
                   check=True, capture_output=True)
    stack = Stack()
    done = stack.raeh("up", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{free_port()}",
                      "--tls-cert", cert, "--tls-key", other, status=1, timeout=30)
    assert "tls" in (done.stderr + done.stdout).lower()


def test_another_address_needs_a_certificate(certificate, tmp_path):
    stack = Stack()
    done = stack.raeh("up", "--data", tmp_path / "data", "--listen", "0.0.0.0:0", status=2)
    assert "--tls-cert" in done.stderr
