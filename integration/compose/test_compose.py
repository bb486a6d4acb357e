"""The stack in containers: what is open and what is shut, the way of a device's data, two edges,
a revoke, containers that are killed, and an installation that stops and starts."""
import asyncio
import json
import time

import httpx
import pytest

from client import (closed, closed_session, frames, ingest, insights, make_model, receive, rest,
                    session_of, subscribe)
from composed import SERVICES
from stack import until

FRAME_S = 0.2


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_may_do_nothing_but_its_work(stack, service):
    container = stack.container(service)
    host = container["HostConfig"]

    assert container["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"] and not host["Privileged"]
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert [mount["Destination"] for mount in container["Mounts"]] == ["/data"]


def test_only_the_edges_are_published_and_on_loopback_alone(stack):
    published = {service: [binding["HostIp"] for bindings
                           in stack.container(service)["NetworkSettings"]["Ports"].values()
                           for binding in bindings or ()]
                 for service in SERVICES}
    assert published == {"auth": [], "router": [], "publisher-0": [],
                         "edge-0": ["127.0.0.1"], "edge-1": ["127.0.0.1"]}


def test_no_service_sees_the_secrets_of_another(stack):
    def held(service):
        found = stack.engine.execute(service, "find", "/data", "-type", "f", "(", "-path",
                                     "*/secret/*", "-o", "-path", "*/tls/*", ")").stdout
        return {path.removeprefix("/data/") for path in found.split()}

    tls = {"tls/ca.pem", "tls/own.pem"}
    assert held("auth") == tls | {"secret/bus.key", "secret/digest.key", "secret/token.key"}
    assert held("router") == held("publisher-0") == tls | {"secret/bus.key"}
    assert held("edge-0") == held("edge-1") == tls
    own = [stack.engine.execute(service, "cat", "/data/tls/own.pem").stdout for service in SERVICES]
    assert len(set(own)) == len(own)


def test_the_bus_believes_nobody_without_a_certificate_of_this_installation(stack):
    def health_of_auth(*settings):
        return stack.engine.execute("edge-0", "env", *settings, "raeh", "health", "auth",
                                    check=False).returncode

    def connects(*settings):  # TLS 1.3: who shows no certificate hears of it after the handshake
        return stack.engine.execute(
            "edge-0", "sh", "-c", "(sleep 1; echo) | openssl s_client -connect auth:7101 "
            "-CAfile /data/tls/ca.pem -verify_return_error " + " ".join(settings),
            check=False).returncode == 0

    assert connects("-cert /data/tls/own.pem -key /data/tls/own.pem")
    assert not connects()
    stack.engine.execute(
        "edge-0", "sh", "-c", "cd /data/run && openssl req -x509 -newkey ec -pkeyopt "
        "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=router -keyout x.key -out x.crt && "
        "cat x.crt x.key >x.pem")
    try:
        assert health_of_auth() == 0
        assert health_of_auth("RAEH_BUS_CERT=/data/run/x.pem") == 1
        assert health_of_auth("RAEH_BUS_CA=/data/run/x.crt") == 1
    finally:
        stack.engine.execute("edge-0", "rm", "/data/run/x.key", "/data/run/x.crt",
                             "/data/run/x.pem")


def test_an_edge_cannot_ask_what_only_the_operator_may(stack, key):
    listed = stack.raeh("key", "list", "--account", key.account)
    assert [item["id"] for item in listed] == [key.id]

    from_edge = stack.engine.execute("edge-0", "raeh", "key", "list", "--account", key.account,
                                     check=False)
    assert from_edge.returncode == 1 and "no stack is running" in from_edge.stderr
    direct = stack.engine.execute(
        "edge-0", "sh", "-c", "RAEH_BUS_HOSTS=auth.admin=auth:7104 raeh key list --account "
        + key.account, check=False)
    assert direct.returncode == 1, direct.stdout


def test_an_edge_opens_no_address_to_others_without_tls_or_a_proxy(stack):
    refused = stack.engine.execute("edge-0", "raeh", "edge", "--slot", "9", "--listen",
                                   "0.0.0.0:9999", check=False)
    assert refused.returncode == 2 and "--behind-proxy" in refused.stderr


def test_every_edge_is_ready_and_tells_of_every_process(stack):
    for edge in stack.edges:
        with rest(edge) as http:
            assert http.get("/readyz").json() == {"status": "ready"}


async def test_a_recording_comes_in_at_one_edge_and_its_insights_go_out_at_the_other(stack, key):
    async with subscribe(stack.edges[1], key) as socket:
        await receive(socket)  # it is subscribed
        device = stack.replay(key, stack.edges[0], "--speed", "20")
        try:
            got = await insights(socket, 10, 90)
            out, err = await asyncio.to_thread(device.communicate, timeout=120)
        finally:
            device.kill()
            device.wait()
    assert device.returncode == 0, err
    told = json.loads(out)
    assert told["close_code"] == 1000, told
    assert {insight["session_id"] for insight in got} == {told["session_id"]}
    assert "hr" in {insight["type"] for insight in got}
    row = closed_session(stack.edges[1], key, told["session_id"])
    assert row["frames"] == told["frames"], (row, told)


async def send_in_time(socket, until_set, sent):
    """A frame every 200 ms, until told to stop; sent counts them."""
    for message in frames(600, frame_s=FRAME_S):
        if until_set.is_set():
            return
        await socket.send(message)
        sent.append(message)
        await asyncio.sleep(FRAME_S)


@pytest.mark.parametrize("service", ["publisher-0", "router", "auth", "edge-1"])
async def test_a_killed_container_comes_back_while_a_device_streams_on(stack, key, service):
    model = await asyncio.to_thread(make_model, stack.edges[0], key)
    enough, sent = asyncio.Event(), []
    async with ingest(stack.edges[0], key, model, f"watch-{service}") as socket:
        session = (await receive(socket))["session_id"]
        streaming = asyncio.create_task(send_in_time(socket, enough, sent))
        await asyncio.to_thread(stored, stack, key, session, 5)
        pid = stack.kill(service)
        await asyncio.to_thread(stack.healthy, service, pid)
        await asyncio.to_thread(stored, stack, key, session, len(sent) + 5)
        assert not streaming.done(), "the device's socket was closed"
        enough.set()
        await streaming
    row = await asyncio.to_thread(closed_session, stack.edges[0], key, session)
    assert (row["frames"], row["close_code"]) == (len(sent), 1000)


def stored(stack, key, session, n):
    """n frames of it are stored."""
    def asked():
        try:
            return session_of(stack.edges[0], key, session)["frames"] >= n
        except AssertionError:  # 503: the service that is asked has just been killed
            return False
    until(f"{n} frames are stored", asked, 60, 0.2)


def test_what_was_there_is_there_after_all_containers_were_made_anew(stack, key):
    def authority():
        return stack.engine.execute("auth", "cat", "/data/tls/ca.pem").stdout

    with rest(stack.edges[0], key) as http:
        before = http.get("/v1/sessions", params={"limit": 200}).json()
    assert len(before) >= 5
    ca = authority()
    stack.engine.compose("down")
    stack.up()
    assert authority() == ca
    for edge in stack.edges:
        until("the edge is ready", lambda edge=edge: ready(edge), 30)
        with rest(edge, key) as http:
            assert http.get("/v1/sessions", params={"limit": 200}).json() == before


def ready(edge):
    try:
        return httpx.get(edge.url + "/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_revoke_closes_the_sockets_of_both_edges(stack, key):
    model = await asyncio.to_thread(make_model, stack.edges[0], key)
    other = await asyncio.to_thread(stack.key, key.account)
    async with (ingest(stack.edges[0], key, model, "a") as first,
                ingest(stack.edges[1], key, model, "b") as second,
                subscribe(stack.edges[1], key) as third,
                subscribe(stack.edges[0], other) as spared):
        for socket in (first, second, third, spared):
            await receive(socket)
        began = time.monotonic()
        receipt = await asyncio.to_thread(stack.raeh, "key", "revoke", key.id)
        took = time.monotonic() - began
        for socket in (first, second, third):
            assert (await closed(socket))[0] == 4001
        with pytest.raises(asyncio.TimeoutError):
            await closed(spared, 1)
    assert took < 20, "it waited for a lease"
    assert (receipt["edges_acked"], receipt["edges_total"]) == (2, 2), receipt
    assert receipt["sockets_closed"] == {"ingest": 2, "subscribe": 1}, receipt
    for edge in stack.edges:
        with rest(edge, key) as http:
            assert http.get("/v1/sessions").status_code == 401
