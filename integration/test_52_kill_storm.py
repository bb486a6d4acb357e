"""kill -9 of the services behind, again and again, at random moments under load.

A few dozen in the ordinary run, hundreds with RAEH_LONG=1. The seed is printed; RAEH_SEED
sets it.
"""
import asyncio
import json
import os
import random
import time

import httpx
import pytest

from client import close_of, closed_session, frames, rest, subscribe
from fleet import Fleet, Killer, insights_of, stored, values, wait_ready
from raw import Peer
from stack import Key, until

STACK = {"edges": 2, "publishers": 2}
BEHIND = ("auth", "router", "publisher-0", "publisher-1")
LONG = os.environ.get("RAEH_LONG") == "1"
SEED = int(os.environ.get("RAEH_SEED", time.time_ns() % 2**32))
T0_MS = 1_750_000_000_000
PER_SECOND = 20
SECONDS = int(os.environ.get("RAEH_STORM_S", 300)) if LONG else 12
TEST_S = SECONDS + 180


@pytest.fixture(scope="module")
def messages():
    return list(frames(SECONDS * PER_SECOND * 0.2, t0_ms=T0_MS))


@pytest.fixture(scope="module")
def undisturbed(stack, key, model, messages):
    async def run():
        peer = await Peer.ingest(stack, key, model, "undisturbed")
        for message in messages:
            await peer.send(message)
        await peer.close()
        return peer.session

    session = asyncio.run(run())
    closed_session(stack, key, session, 60)
    return values(insights_of(stack, key, session))


async def rest_goes_on(stack, key, done):
    """An answer, or that a service is away: nothing else; never somebody's lost session."""
    seen = {}
    async with httpx.AsyncClient(base_url=stack.url, headers=key.headers, trust_env=False,
                                 timeout=30) as http:
        while not done():
            for path in ("/v1/sessions?status=open", "/v1/insights", "/v1/device-models"):
                answer = await http.get(path)
                seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
                if answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) >= 1
            await asyncio.sleep(0.05)
    assert set(seen) <= {200, 503}, seen
    return seen


async def keys_come_and_go(stack, account, done):
    """Mints and revokes meanwhile. What was answered stays true: (living, dead)."""
    living, dead = [], []
    while not done():
        made = await asyncio.to_thread(stack.raeh, "key", "create", "--account", account,
                                       "--label", "storm", "--data", stack.data, status=None)
        if made.returncode == 0:
            row = json.loads(made.stdout)
            living.append(Key(row["id"], row["key"], account))
        if len(living) > 2:
            one = living[0]
            gone = await asyncio.to_thread(stack.raeh, "key", "revoke", one.id, "--data",
                                           stack.data, status=None)
            if gone.returncode == 0:
                dead.append(living.pop(0))
            else:
                living.pop(0)  # it may be either
        await asyncio.sleep(0.3)
    return living, dead


async def test_a_storm_of_deaths_loses_nothing_and_doubles_nothing(
        stack, key, model, messages, undisturbed):
    print(f"RAEH_SEED={SEED}")
    killer = Killer(stack, random.Random(SEED), BEHIND)
    fleet = await Fleet.start(stack, key, model, 8, 4, messages, PER_SECOND, "storm")
    done = fleet.sent_all
    asked = asyncio.create_task(rest_goes_on(stack, key, done))
    keys = asyncio.create_task(keys_come_and_go(stack, key.account, done))
    await killer.run(done)
    await fleet.finish()
    seen, (living, dead) = await asked, await keys
    await fleet.check(undisturbed)
    await fleet.leave()
    print(f"{killer.kills} kills, {len(fleet.devices) * len(messages)} frames, "
          f"{sum(len(app.heard) for app in fleet.apps)} insights heard, REST {seen}, "
          f"keys {len(living)} living {len(dead)} revoked")
    assert killer.kills >= SECONDS
    for one in living:
        with rest(stack, one) as http:
            assert http.get("/v1/sessions").status_code == 200
    for one in dead:
        with rest(stack, one) as http:
            assert http.get("/v1/sessions").status_code == 401
        assert (await close_of(subscribe(stack, one)))[0] == 4001
    stack.check()
    stack.stop()
    fleet.check_store(stored(stack))
    stack.restart()


async def test_devices_that_come_and_go_in_a_storm_leave_nothing_open(stack, key, model):
    """Every socket that was open stays open; who is told 1013 comes again; takeovers too."""
    wait_ready(stack)
    rng = random.Random(SEED + 1)
    killer = Killer(stack, rng, BEHIND)
    end = time.monotonic() + SECONDS / 2
    finished, closes = [], {}

    def over():
        return time.monotonic() > end

    async def device(n):
        name = f"comes-and-goes-{n % 6}"  # two share a name: takeovers
        while not over():
            try:
                peer = await Peer.ingest(stack, key, model, name)
            except TypeError:  # closed before the handshake message
                closes["before"] = closes.get("before", 0) + 1
                await asyncio.sleep(0.2)
                continue
            sent = 0
            for message in frames(rng.random() * 20, t0_ms=T0_MS):
                try:
                    await peer.send(message)
                except ConnectionError:
                    break
                sent += 1
                await asyncio.sleep(0.01)
            try:
                code, reason = await peer.close()
            except ConnectionError:
                code = 1006
            closes[code] = closes.get(code, 0) + 1
            finished.append((peer.session, sent, code))

    devices = [asyncio.create_task(device(n)) for n in range(9)]
    await killer.run(over)
    await asyncio.gather(*devices)
    await asyncio.to_thread(wait_ready, stack)
    print(f"{killer.kills} kills, {len(finished)} sessions, closes {closes}")
    assert finished and set(closes) <= {1000, 4009, 1013, "before", 1006}
    for session, sent, code in finished:
        row = await asyncio.to_thread(closed_session, stack, key, session, 60)
        if code == 1000:  # or a takeover was faster than its own closing
            assert row["frames"] == sent and row["close_code"] in (1000, 4009), (row, sent)
        else:
            assert row["frames"] <= sent
    with rest(stack, key) as http:
        until("none is open", lambda: http.get("/v1/sessions?status=open").json() == [], 30)
