"""raeh load: every scenario, small, against a stack; its document and its status."""
import json

import pytest

from client import rest

STACK = {"edges": 2}


@pytest.fixture(scope="module")
def key(stack):
    return stack.key(scopes="ingest,subscribe,read,write,keys")


def load(stack, key, *args, status=0):
    done = stack.raeh("load", *args, "--url", stack.url, "--json", key=key.key, status=status)
    assert done.stdout.count("\n") == 1 and key.key not in done.stdout + done.stderr
    return json.loads(done.stdout)


def test_steady_streams_and_hears(stack, key):
    result = load(stack, key, "steady", "--devices", "8", "--seconds", "3")
    assert result["good"] and result["fault"] is None
    assert (result["devices"], result["subscribers"]) == (8, 1)
    assert result["refused"] == result["lost"] == 0
    assert result["frames"] >= 8 * 5
    assert 0 < result["handshake_p50_ms"] <= result["handshake_p99_ms"]


def test_a_connect_storm_opens_all(stack, key):
    result = load(stack, key, "connect-storm", "--devices", "120")
    assert result["good"] and result["devices"] == 120
    assert result["frames"] == 0 and result["insight_p50_ms"] is None


def test_a_revoke_ends_every_socket_of_its_key(stack, key):
    result = load(stack, key, "revoke", "--devices", "20", "--subscribers", "20", "--seconds", "2")
    assert result["good"], result
    assert result["receipt_ms"] >= 0 and result["last_close_ms"] > 0
    with rest(stack, key) as http:
        assert http.get("/v1/device-models").status_code == 200
        assert "raeh load" not in [row["label"] for row in http.get("/v1/keys").json()]


def test_subscribers_hear_all_of_it(stack, key):
    result = load(stack, key, "subscribers", "--devices", "2", "--subscribers", "30",
                  "--seconds", "12")
    assert result["good"] and result["insights"] >= 30
    assert result["insight_p50_ms"] <= result["insight_p99_ms"]


def test_what_cannot_be_is_said(stack, key):
    result = stack.raeh("load", "steady", "--url", stack.url, "--json", status=1,
                        key="raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE")
    assert "API key" in result.stderr
    stack.raeh("load", "hurricane", "--url", stack.url, key=key.key, status=2)
    stack.raeh("load", "steady", "--devices", "10001", "--url", stack.url, key=key.key, status=2)
    weak = stack.key()
    refused = stack.raeh("load", "revoke", "--url", stack.url, key=weak.key, status=1)
    assert "scope" in refused.stderr
