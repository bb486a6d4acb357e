"""What others feel while somebody misbehaves: the time from a frame to the insight that it
makes due, through edge, publisher and back, and of a REST request; and a process's numbers."""
import asyncio
import re
import time

import httpx

from client import frame, pulse
from raw import Peer, percentile

STEP_S = 2  # of signal in one frame: each makes one hr due


class Probe:
    """A device and an app of an account of their own, so that nothing else is heard."""

    @classmethod
    async def start(cls, stack, make_model):
        self = cls()
        self.stack, self.key = stack, await asyncio.to_thread(stack.key)
        self.model = await asyncio.to_thread(make_model, stack, self.key)
        self.device = await Peer.ingest(stack, self.key, self.model, "probe")
        self.app = await Peer.subscribe(stack, self.key)
        self.at = 0
        self.http = httpx.AsyncClient(base_url=stack.url, headers=self.key.headers,
                                      trust_env=False, timeout=30)
        for _ in range(8):  # the first insight is due after some seconds of signal
            await self.send()
        await self.hear("hr")
        await asyncio.sleep(0.3)
        while not await self.nothing_left():
            pass
        return self

    async def nothing_left(self):
        try:
            await asyncio.wait_for(self.app.reader.read(65536), 0.2)
        except asyncio.TimeoutError:
            return True
        return False

    async def send(self):
        await self.device.send(frame(0, 1_750_000_000_000 + self.at * 1000,
                                     pulse(self.at % 20, STEP_S)))
        self.at += STEP_S

    async def hear(self, type):
        while (message := await self.app.receive(20)) is not None:
            if message["type"] == type:
                return message
        raise AssertionError(f"the probe's app was closed: {self.app.code} {self.app.reason}")

    async def once(self):
        began = time.perf_counter()
        await self.send()
        await self.hear("hr")
        insight = time.perf_counter()
        answer = await self.http.get("/v1/device-models")
        assert answer.status_code == 200
        return insight - began, time.perf_counter() - insight

    async def watch(self, done=None, rounds=20, every=0.02):
        """Latencies while done() is false, or so many: [(insight, REST)]."""
        found = []
        while len(found) < rounds if done is None else not done() or not found:
            found.append(await self.once())
            await asyncio.sleep(every)
        return found

    async def stop(self):
        assert (await self.device.close())[0] == 1000
        self.app.abort()
        await self.http.aclose()


def say(what, found):
    insight, answer = zip(*found)
    print(f"{what}: frame to insight p50 {1000 * percentile(insight, .5):.1f} ms, "
          f"p99 {1000 * percentile(insight, .99):.1f}; REST p50 "
          f"{1000 * percentile(answer, .5):.1f}, p99 {1000 * percentile(answer, .99):.1f}")


def kept(what, found):
    """Bounds for a shared machine and sanitized processes: a stall is seen, not a percent."""
    say(what, found)
    insight, answer = zip(*found)
    assert percentile(insight, .5) < 1 and percentile(answer, .5) < 1
    assert max(insight) < 3 and max(answer) < 3


def metrics(admin_port):
    """{"raeh_edge_net_websockets": {"edge-0": 3}} of every process."""
    text = httpx.get(f"http://127.0.0.1:{admin_port}/metrics", trust_env=False, timeout=20).text
    found = {}
    for name, process, value in re.findall(r'^(\w+)\{process="([^"]+)"\} (\S+)$', text, re.M):
        found.setdefault(name, {})[process] = float(value)
    return found
