"""Peers that are cheap, so that there may be thousands, or rude, which no library allows.

A frame of ours is masked with the mask 0, so its payload is on the wire as it is.
"""
import asyncio
import json
import os
import re
import socket as sockets
import struct
from urllib.parse import urlencode

from edges import connection_to

ANSWER_S = 30
BINARY, TEXT, CLOSE, PING, PONG = 0x82, 0x81, 0x88, 0x89, 0x8a


def upgrade(path, **query):
    return (f"GET {path}?{urlencode(query)} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()


def ingest_upgrade(key, model, device):
    return upgrade("/stream/ingest", api_key=key.key, device_id=device,
                   device_model_id=model["id"])


def subscribe_upgrade(key):
    return upgrade("/stream/subscribe", api_key=key.key)


def ws(payload, head=BINARY):
    """One whole message of a client."""
    n = len(payload)
    size = (bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else
            b"\xff" + struct.pack(">Q", n))
    return bytes([head]) + size + bytes(4) + payload


class Peer:
    """One WebSocket. Answers pings while it reads."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.code, self.reason = None, None

    @classmethod
    async def connect(cls, stack, request, edge=None, receive_buffer=None):
        if edge:
            socket = connection_to(stack, edge)
        else:
            socket = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)
            if receive_buffer:
                socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_buffer)
            socket.setblocking(False)
            await asyncio.get_running_loop().sock_connect(socket, (stack.host, stack.port))
        reader, writer = await asyncio.open_connection(sock=socket)
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S)
        assert b" 101 " in head, head
        return cls(reader, writer)

    @classmethod
    async def ingest(cls, stack, key, model, device, **kwargs):
        peer = await cls.connect(stack, ingest_upgrade(key, model, device), **kwargs)
        peer.session = (await peer.receive())["session_id"]
        return peer

    @classmethod
    async def subscribe(cls, stack, key, **kwargs):
        peer = await cls.connect(stack, subscribe_upgrade(key), **kwargs)
        assert (await peer.receive()) == {"status": "subscribed"}
        return peer

    async def message(self):
        """The next message of the server's, as (head byte, payload); ends with its close."""
        head, size = await self.reader.readexactly(2)
        if size == 126:
            size, = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            size, = struct.unpack(">Q", await self.reader.readexactly(8))
        return head, await self.reader.readexactly(size)

    async def receive(self, seconds=ANSWER_S):
        """The next text as JSON; None once it is closed (code and reason tell how)."""
        while self.code is None:
            try:
                head, payload = await asyncio.wait_for(self.message(), seconds)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.code, self.reason = 1006, ""
                break
            if head == TEXT:
                return json.loads(payload)
            if head == PING:
                self.writer.write(ws(payload, PONG))
            if head == CLOSE:
                self.code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                self.reason = payload[2:].decode()
        return None

    async def closed(self, seconds=ANSWER_S):
        """Reads to the end: (code, reason)."""
        async def read():
            while await self.receive(seconds) is not None:
                pass
        await asyncio.wait_for(read(), seconds)
        return self.code, self.reason

    async def send(self, payload):
        """Waits while the server does not read."""
        self.writer.write(ws(payload))
        await self.writer.drain()

    def say_close(self, code=1000):
        self.writer.write(ws(struct.pack(">H", code), CLOSE))

    async def close(self, code=1000, seconds=ANSWER_S):
        self.say_close(code)
        ended = await self.closed(seconds)
        self.writer.close()
        return ended

    def abort(self):
        self.writer.transport.abort()


async def many(n, connect, at_once=64):
    """connect(0) … connect(n - 1), at most so many at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(i):
        async with gate:
            return await connect(i)

    return await asyncio.gather(*(one(i) for i in range(n)))


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]
