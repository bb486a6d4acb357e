"""What a device and an app do, with other people's clients: httpx and websockets."""
import asyncio
import inspect
import json
import math
import ssl
import struct
import time
from urllib.parse import urlencode

import httpx
import websockets

from stack import until

# websockets renamed the argument for headers in its new client (14).
_HEADERS = ("additional_headers"
            if "additional_headers" in inspect.signature(websockets.connect).parameters
            or int(websockets.__version__.split(".")[0]) >= 14 else "extra_headers")

PPG = {"modality": "ppg_green", "sample_rate_hz": 100}
ANSWER_S = 20


def rest(stack, key=None, **kwargs):
    headers = key.headers if key else {}
    return httpx.Client(base_url=stack.url, headers=headers, trust_env=False, timeout=ANSWER_S,
                        verify=stack.ca or True, **kwargs)


def make_model(stack, key, channels=(PPG,), name=None):
    """Registers a device model and answers the whole object."""
    body = {"name": name or f"model {time.time_ns()}", "modality_channels": list(channels)}
    with rest(stack, key) as http:
        answer = http.post("/v1/device-models", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def frame(slot, t0_ms, samples, count=None, flags=0):
    """One frame of 16-bit samples."""
    count = len(samples) if count is None else count
    return (struct.pack(">BqHB", slot, t0_ms, count, flags) +
            struct.pack(f"<{len(samples)}h", *samples))


def pulse(start_s, seconds, rate=100, bpm=72.0):
    """A synthetic pulse wave: sharp beats, dicrotic wave, breathing at 15 a minute."""
    samples = []
    for n in range(round(start_s * rate), round((start_s + seconds) * rate)):
        t = n / rate
        phase = (t * bpm / 60) % 1
        beat = math.exp(-((phase - 0.2) / 0.08) ** 2) + 0.4 * math.exp(-((phase - 0.5) / 0.1) ** 2)
        samples.append(int(8000 * beat * (1 + 0.1 * math.sin(2 * math.pi * t / 4)) - 3000))
    return samples


def frames(seconds, t0_ms=None, slot=0, frame_s=0.2, rate=100, bpm=72.0):
    t0_ms = int(time.time() * 1000) if t0_ms is None else t0_ms
    for n in range(round(seconds / frame_s)):
        yield frame(slot, t0_ms + round(n * frame_s * 1000), pulse(n * frame_s, frame_s, rate, bpm))


def tls(stack):
    return {"ssl": ssl.create_default_context(cafile=stack.ca)} if stack.ca else {}


def connect(stack, path, key=None, headers=None, sock=None, **query):
    """A WebSocket; the key goes into the query, as a browser would send it. sock: over this
    connection."""
    if key:
        query["api_key"] = key.key
    kwargs = {_HEADERS: headers} if headers else {}
    if sock:
        kwargs["sock"] = sock
    return websockets.connect(f"{stack.ws_url}{path}?{urlencode(query)}", open_timeout=ANSWER_S,
                              ping_interval=None, close_timeout=5, **kwargs, **tls(stack))


def ingest(stack, key, model, device="watch-1", **query):
    return connect(stack, "/stream/ingest", key, device_id=device, device_model_id=model["id"],
                   **query)


def subscribe(stack, key, **query):
    return connect(stack, "/stream/subscribe", key, **query)


async def receive(socket, seconds=ANSWER_S):
    """The next message, as JSON."""
    return json.loads(await asyncio.wait_for(socket.recv(), seconds))


async def closed(socket, seconds=ANSWER_S):
    """Reads until the server has closed; (code, reason)."""
    async def read():
        while True:
            await socket.recv()
    try:
        await asyncio.wait_for(read(), seconds)
    except websockets.ConnectionClosed as end:
        if end.rcvd is None:
            return 1006, ""
        assert len(end.rcvd.reason.encode()) <= 123
        return end.rcvd.code, end.rcvd.reason


def is_open(socket):
    """Neither side has closed, as far as is known here."""
    return socket.state.name == "OPEN"


async def close_of(connection, seconds=ANSWER_S):
    """Opens the connection and waits for what the server closes it with."""
    async with connection as socket:
        return await closed(socket, seconds)


async def insights(socket, n, seconds=60, type=None):
    """n insights (of the type) as they come."""
    got = []
    end = time.monotonic() + seconds
    while len(got) < n:
        message = await receive(socket, max(0.1, end - time.monotonic()))
        if "type" in message and type in (None, message["type"]):
            got.append(message)
    return got


async def stream(stack, key, model, seconds, device="watch-1", **kwargs):
    """A whole session at full speed; its id."""
    async with ingest(stack, key, model, device) as socket:
        session = (await receive(socket))["session_id"]
        for message in frames(seconds, **kwargs):
            await socket.send(message)
    return session


def session_of(stack, key, session):
    with rest(stack, key) as http:
        answer = http.get(f"/v1/sessions/{session}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def closed_session(stack, key, session, seconds=20):
    """The session's row once it is closed."""
    def row():
        found = session_of(stack, key, session)
        return found if found["status"] == "closed" else None
    return until("the session is closed", row, seconds)
