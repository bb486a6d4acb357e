"""One order of all insights: several publishers, several edges, apps that come and go."""
import asyncio
import random
import time
from urllib.parse import urlencode

import httpx
import websockets

from client import ANSWER_S, closed_session, frames, ingest, make_model, receive, rest
from test_95_subscribe_replay import Events

PUBLISHERS = 3
STACK = {"edges": 2, "publishers": PUBLISHERS}
WAIT_S = 60
CUT = (asyncio.TimeoutError, OSError, StopAsyncIteration, httpx.HTTPError,
       websockets.WebSocketException)


def place(insight_id):
    """Where an insight stands: its ms, its publisher, its number there."""
    bits = int(insight_id.replace("-", ""), 16)
    number = bits & ((1 << 62) - 1)
    return bits >> 80, (number >> 56) % PUBLISHERS, number & ((1 << 56) - 1)


class Reader:
    """An app that goes on after the last insight it has heard, whenever it is cut off."""

    def __init__(self, stack, key, seed):
        self.stack, self.key, self.rng = stack, key, random.Random(seed)
        self.heard, self.has_all = [], lambda: False

    async def run(self):
        while not self.has_all():
            try:
                await self.listen(self.rng.randrange(1, 60))
            except CUT:
                pass


class Socket(Reader):
    async def listen(self, most):
        query = {"after": self.heard[-1]} if self.heard else {"since": 0}
        query = urlencode(query | {"api_key": self.key.key})
        # Without a bound of its own it reads on while it is closed, and so is closed at once.
        async with websockets.connect(f"{self.stack.ws_url}/stream/subscribe?{query}",
                                      open_timeout=ANSWER_S, max_queue=None) as socket:
            for _ in range(most):
                message = await receive(socket, 1)
                if "id" in message:
                    self.heard.append(message["id"])


class Stream(Reader):
    async def listen(self, most):
        query = {"last": self.heard[-1]} if self.heard else {"since": 0}
        async with Events(self.stack, self.key, **query) as events:
            for _ in range(most):
                insight_id, _, _ = await asyncio.wait_for(events.next(), 1)
                if insight_id:
                    self.heard.append(insight_id)


async def stream(stack, key, model, n):
    """A device's session of a minute, in some seconds."""
    async with ingest(stack, key, model, f"order-{n}") as socket:
        session = (await receive(socket))["session_id"]
        for sent, message in enumerate(frames(60)):
            await socket.send(message)
            if sent % 10 == 0:
                await asyncio.sleep(0.05)
    return session


async def kill(stack):
    await asyncio.sleep(0.7)
    stack.kill("publisher-1")


def history_of(stack, key, sessions):
    found = []
    with rest(stack, key) as http:
        for session in sessions:
            closed_session(stack, key, session, WAIT_S)
            found += [i["id"] for i in http.get(f"/v1/sessions/{session}/insights").json()]
    return sorted(found, key=place)


async def test_every_app_hears_the_history_in_one_order_though_a_publisher_dies(stack):
    key = stack.key()
    model = make_model(stack, key)
    readers = [kind(stack, key, seed) for seed, kind in enumerate([Socket, Stream] * 3)]
    listening = [asyncio.create_task(reader.run()) for reader in readers]
    try:
        *sessions, _ = await asyncio.gather(*(stream(stack, key, model, n) for n in range(12)),
                                            kill(stack))
        history = await asyncio.to_thread(history_of, stack, key, sessions)
        end = time.monotonic() + WAIT_S
        for reader in readers:
            reader.has_all = lambda reader=reader: (len(reader.heard) >= len(history)
                                                    or time.monotonic() > end)
        await asyncio.gather(*listening)
    finally:
        for reader in readers:
            reader.has_all = lambda: True
    assert {place(i)[1] for i in history} == set(range(PUBLISHERS))
    for reader in readers:
        if "publisher-away" in stack.log():  # it took longer than the feed waits
            assert set(reader.heard) <= set(history)
        else:
            assert reader.heard == history, [
                (n, place(a), place(b)) for n, (a, b) in enumerate(zip(reader.heard, history))
                if a != b][:5]
