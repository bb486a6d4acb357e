"""Devices and apps that go on whatever happens to the stack, and what must be true after it.

    fleet = await Fleet.start(stack, key, model, devices=8, apps=4, messages=frames)
    …                                   # the test does its worst
    await fleet.finish()                # every device sends to the end and closes
    fleet.check()                       # nothing lost, nothing twice, no socket closed
"""
import asyncio
import hashlib
import json
import os
import signal
import subprocess
import time

import httpx

from client import closed_session, rest
from raw import Peer, many
from stack import BIN, until


def is_ready(stack):
    try:
        return httpx.get(stack.url + "/readyz", trust_env=False, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def wait_ready(stack, seconds=40):
    until("it is ready", lambda: is_ready(stack), seconds)


def digest(messages):
    """Of frames, as `stored` gives it."""
    hash = hashlib.blake2b(digest_size=16)
    for message in messages:
        hash.update(len(message).to_bytes(4, "big") + message)
    return hash.hexdigest()


def stored(stack):
    """Session -> its rows in the publishers' stores. The stack must not run."""
    found = {}
    for n in range(stack.publishers):
        done = subprocess.run([BIN / "integration/stored", stack.data / f"publisher-{n}"],
                              capture_output=True, text=True, env=stack.env, timeout=120)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            row = json.loads(line)
            assert row["session"] not in found and row["first"] == 1, row
            found[row["session"]] = row
    return found


def insights_of(stack, key, session):
    with rest(stack, key) as http:
        answer = http.get(f"/v1/sessions/{session}/insights")
    assert answer.status_code == 200, answer.text
    return answer.json()


def values(rows):
    return [(row["type"], row["t"], row["value"], row["confidence"]) for row in rows]


class Device:
    """Sends its messages at an even pace; waits when the server does not read."""

    def __init__(self, peer, messages):
        self.peer, self.messages, self.sent = peer, messages, 0
        self.ended = asyncio.create_task(peer.closed(3600))

    async def run(self, per_second):
        began = time.monotonic()
        for n, message in enumerate(self.messages):
            ahead = n / per_second - (time.monotonic() - began)
            if ahead > 0:
                await asyncio.sleep(ahead)
            if self.ended.done():
                return
            await self.peer.send(message)
            self.sent += 1


class App:
    """Hears insights, in the order in which they come."""

    def __init__(self, peer):
        self.peer, self.heard = peer, []
        self.listening = asyncio.create_task(self.listen())

    async def listen(self):
        while (message := await self.peer.receive(3600)) is not None:
            self.heard.append(message)


class Fleet:
    @classmethod
    async def start(cls, stack, key, model, devices, apps, messages, per_second, name="fleet"):
        self = cls()
        self.stack, self.key, self.messages = stack, key, messages
        self.apps = [App(await Peer.subscribe(stack, key)) for _ in range(apps)]
        peers = await many(devices,
                           lambda n: Peer.ingest(stack, key, model, f"{name}-{n}"))
        self.devices = [Device(peer, messages) for peer in peers]
        self.sending = asyncio.gather(*(device.run(per_second) for device in self.devices))
        return self

    @property
    def sessions(self):
        return [device.peer.session for device in self.devices]

    def sent_all(self):
        return self.sending.done()

    async def finish(self, seconds=120):
        """To the end of what they send, and the closing of every session."""
        await asyncio.wait_for(self.sending, seconds)
        for device in self.devices:
            assert not device.ended.done(), f"closed under its device: {device.ended.result()}"
            device.peer.say_close()
            assert (await asyncio.wait_for(device.ended, 30))[0] == 1000
        await asyncio.to_thread(wait_ready, self.stack)
        self.rows = [await asyncio.to_thread(closed_session, self.stack, self.key, session, 60)
                     for session in self.sessions]

    async def check(self, undisturbed=None):
        """Nothing lost, nothing twice, every app has heard all. undisturbed: (type, t, value,
        confidence) of a session with the same frames that nothing happened to."""
        expected = {}
        for row in self.rows:
            assert (row["frames"], row["close_code"]) == (len(self.messages), 1000), row
            found = await asyncio.to_thread(insights_of, self.stack, self.key, row["id"])
            assert len({(i["type"], i["t"]) for i in found}) == len(found), "an insight twice"
            if undisturbed is not None:
                assert values(found) == undisturbed
            expected |= {i["id"]: i for i in found}
        for app in self.apps:
            await self.heard_all(app, expected)

    async def heard_all(self, app, expected):
        ours = set(self.sessions)
        end = time.monotonic() + 20

        def heard():
            return [m for m in app.heard if m["session_id"] in ours]

        while len(heard()) < len(expected) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        assert not app.listening.done(), f"an app was closed: {app.peer.code} {app.peer.reason}"
        ids = [m["id"] for m in heard()]
        assert len(set(ids)) == len(ids), "an app heard an insight twice"
        assert set(ids) == set(expected)
        assert all(expected[m["id"]] == m for m in heard())

    async def leave(self):
        for app in self.apps:
            app.listening.cancel()
            app.peer.abort()

    def check_store(self, rows):
        """rows: what stored() gave once the stack had stopped."""
        whole = digest(self.messages)
        for session in self.sessions:
            row = rows[session]
            assert (row["frames"], row["gap"], row["digest"]) == (len(self.messages), 0, whole), (
                f"sent {len(self.messages)}: {row}")


class Killer:
    """kill -9 at random moments. A process is not killed more often than every
    `least_s`, so that the supervisor starts it again at once."""

    def __init__(self, stack, random, names, least_s=2.1):
        self.stack, self.random, self.least_s = stack, random, least_s
        self.last = {name: (0.0, 0) for name in names}
        self.kills = 0

    def kill_one(self, name):
        at, old = self.last[name]
        pid = self.stack.processes().get(name)
        if pid is None or pid == old or time.monotonic() - at < self.least_s:
            return
        self.last[name] = time.monotonic(), pid
        self.stack.killed += 1
        self.kills += 1
        os.kill(pid, signal.SIGKILL)

    async def run(self, until_done):
        while not until_done():
            await asyncio.sleep(self.random.random() * 0.5)
            names = list(self.last)
            if self.random.random() >= 0.2:  # else all at once
                names = [self.random.choice(names)]
            for name in names:
                self.kill_one(name)
