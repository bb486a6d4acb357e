"""Every close code of the contract, with a reason that a device can log."""
import asyncio
import os
import re
import signal
import struct
import time

import pytest

from client import (close_of, closed, closed_session, connect, frame, frames, ingest, is_open,
                    make_model, receive, rest, session_of, subscribe)
from stack import Stack

STACK = {"edges": 2, "args": ["--idle-timeout-s", "2", "--echo"]}
NOBODY = "018f0000-0000-7000-8000-000000000000"


async def refused(stack, key, model, *messages, device="closes"):
    """Sends the messages after the handshake: (code, reason), and the session's row."""
    async with ingest(stack, key, model, device) as socket:
        session = (await receive(socket))["session_id"]
        for message in messages:
            await socket.send(message)
        code, reason = await closed(socket)
    row = closed_session(stack, key, session)
    assert (row["close_code"], row["close_reason"]) == (code, reason)
    return code, reason, row


async def test_1000_when_the_device_says_so(stack, key, model):
    async with ingest(stack, key, model) as socket:
        session = (await receive(socket))["session_id"]
        await socket.send(frame(0, 1000, [1] * 20))
        await socket.close(1000, "battery is low")
        assert socket.close_code == 1000
    row = closed_session(stack, key, session)
    assert (row["close_code"], row["frames"]) == (1000, 1)


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_the_code_of_the_device_is_answered_and_kept(stack, key, model, code):
    async with ingest(stack, key, model) as socket:
        session = (await receive(socket))["session_id"]
        await socket.close(code)
        assert socket.close_code == code
    assert closed_session(stack, key, session)["close_code"] == code


async def test_1001_when_no_frame_comes(stack, key, model):
    began = time.monotonic()
    code, reason, row = await refused(stack, key, model, frame(0, 1000, [1] * 20))
    assert code == 1001 and "idle" in reason
    assert 1.5 < time.monotonic() - began  # the limit is 2 s
    assert row["frames"] == 1


async def test_a_device_that_sends_now_and_then_is_not_idle(stack, key, model):
    async with ingest(stack, key, model) as socket:
        await receive(socket)
        for n in range(5):
            await asyncio.sleep(0.9)
            await socket.send(frame(0, 1000 * n, [1] * 20))
        assert is_open(socket)


async def test_pings_of_a_device_are_answered_but_do_not_keep_it_open(stack, key, model):
    async with ingest(stack, key, model) as socket:
        await receive(socket)
        began = time.monotonic()
        code = None
        while code is None and time.monotonic() - began < 8:
            try:
                await asyncio.wait_for(await socket.ping(), 2)
                await asyncio.sleep(0.3)
            except Exception:
                code, reason = await closed(socket)
        assert code == 1001 and "idle" in reason


async def test_an_app_is_never_idle(stack, key):
    async with subscribe(stack, key) as app:
        await receive(app)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(app.recv(), 4)


async def test_1003_on_a_text_message(stack, key, model):
    for text in ("", "hello", "{\"slot\":0}"):
        code, reason, _ = await refused(stack, key, model, text)
        assert code == 1003 and "binary" in reason


@pytest.mark.parametrize("message, words", [
    (b"", ["12", "0"]),
    (b"\x00" * 11, ["12", "11"]),
    (frame(0, 1, [], count=0), ["slot 0", "0 samples"]),
    (frame(0, 1, [1] * 20, count=0), ["slot 0", "0 samples"]),
    (frame(0, 1, [1] * 20)[:-1], ["slot 0", "20 samples", "40", "39"]),
    (frame(0, 1, [1] * 20) + b"\x00", ["slot 0", "20 samples", "40", "41"]),
    (frame(0, 1, [1] * 20, count=65535), ["slot 0", "65535 samples", "131070", "40"]),
    (frame(0, 1, [], count=1), ["slot 0", "1 samples", "2", "0"]),
], ids=["empty", "head", "none", "none-but-bytes", "short", "long", "much", "no-payload"])
async def test_1007_on_a_frame_that_does_not_fit_its_slot(stack, key, model, message, words):
    good = frame(0, 1000, [1] * 20)
    code, reason, row = await refused(stack, key, model, good, message, good)
    assert code == 1007
    for word in words:
        assert re.search(rf"\b{word}\b", reason), reason
    assert row["frames"] == 1  # what came before is kept, what came after is not


async def test_1007_counts_the_bytes_of_the_depth_and_the_channels(stack, key):
    model = make_model(stack, key, [{"modality": "acc_3axis", "sample_rate_hz": 50,
                                     "bit_depth": 17}])
    message = struct.pack(">BqHB", 0, 1, 10, 0) + bytes(10 * 2 * 3)
    code, reason, _ = await refused(stack, key, model, message)
    assert code == 1007 and "90" in reason and "60" in reason


async def test_1009_on_a_message_over_the_limit(stack, key, model):
    code, reason, _ = await refused(stack, key, model, bytes(1024 * 1024 + 1))
    assert code == 1009 and reason


async def test_1009_on_too_many_fragments(stack, key, model):
    async def fragments():
        for _ in range(5000):
            yield b"\x00"

    async with ingest(stack, key, model) as socket:
        await receive(socket)
        try:
            await socket.send(fragments())
        except Exception:
            pass  # it is closed before all is sent
        code, reason = await closed(socket)
    assert code == 1009 and reason


@pytest.mark.parametrize("query, words", [
    ({}, ["device_id"]),
    ({"device_id": ""}, ["device_id"]),
    ({"device_id": "x" * 129}, ["device_id", "128"]),
    ({"device_id": "Ω" * 65}, ["device_id", "128"]),
    ({"device_id": "a\x00b"}, ["device_id"]),
    ({"device_id": "a\nb"}, ["device_id", "control"]),
    ({"device_id": "a\x7fb"}, ["device_id", "control"]),
    ({"device_id": "a\x85b"}, ["device_id", "control"]),
    ({"device_id": b"\xff"}, ["device_id", "UTF-8"]),
    ({"device_id": b"\xed\xa0\x80"}, ["device_id", "UTF-8"]),
    ({"device_id": "x", "device_model_id": None}, ["device_model_id"]),
    ({"device_id": "x", "device_model_id": ""}, ["device_model_id"]),
    ({"device_id": "x", "device_model_id": "seven"}, ["device_model_id", "UUID"]),
    ({"device_id": "x", "device_model_id": NOBODY}, ["device_model_id"]),
    ({"device_id": "x", "device_model_id": NOBODY[:-1]}, ["device_model_id"]),
    ({"device_id": "x", "device_model_id": "x" * 4000}, ["device_model_id"]),
], ids=lambda value: repr(value)[:50])
async def test_4004_on_a_query_that_names_no_device(stack, key, model, query, words):
    query = {"device_model_id": model["id"]} | query
    query = {name: value for name, value in query.items() if value is not None}
    code, reason = await close_of(connect(stack, "/stream/ingest", key, **query))
    assert code == 4004
    for word in words:
        assert word in reason, reason


async def test_4004_on_a_model_without_channels(stack, key):
    code, reason = await close_of(ingest(stack, key, make_model(stack, key, [])))
    assert code == 4004 and "channels" in reason


async def test_4004_on_a_model_that_was_deleted(stack, key):
    model = make_model(stack, key)
    with rest(stack, key) as http:
        assert http.delete(f"/v1/device-models/{model['id']}").status_code == 204
    code, reason = await close_of(ingest(stack, key, model))
    assert code == 4004 and "device_model_id" in reason


async def test_4004_on_a_slot_that_is_not_in_the_manifest(stack, key, model):
    for slot in (1, 255):
        good, bad = frame(0, 1000, [1] * 20), frame(slot, 1000, [1] * 20)
        code, reason, row = await refused(stack, key, model, good, bad)
        assert code == 4004 and str(slot) in reason and row["frames"] == 1


async def test_4009_on_the_older_of_two_connections(stack, key, model):
    async with ingest(stack, key, model, "twice") as old:
        session = (await receive(old))["session_id"]
        async with ingest(stack, key, model, "twice") as new:
            assert (await receive(new))["session_id"] != session
            code, reason = await closed(old)
            assert code == 4009 and "superseded" in reason
            await new.send(frame(0, 1, [1] * 20))
    row = closed_session(stack, key, session)
    assert (row["close_code"], row["close_reason"]) == (code, reason)


async def test_1013_while_the_router_is_away(stack, key, model):
    pid = stack.pid("router")
    os.kill(pid, signal.SIGSTOP)
    try:
        code, reason = await close_of(ingest(stack, key, model, "away"))
        assert code == 1013 and reason
    finally:
        os.kill(pid, signal.SIGCONT)
    async with ingest(stack, key, model, "away") as socket:
        assert "session_id" in await receive(socket)


async def test_1013_while_auth_is_away(stack, key):
    fresh = stack.key(key.account)
    pid = stack.pid("auth")
    os.kill(pid, signal.SIGSTOP)
    try:
        code, reason = await close_of(subscribe(stack, fresh))
        assert code == 1013 and reason
    finally:
        os.kill(pid, signal.SIGCONT)
    stack.wait_ready()
    async with subscribe(stack, fresh) as app:
        assert await receive(app) == {"status": "subscribed"}


async def test_the_code_is_read_by_a_device_that_sends_without_looking(stack, key, model):
    """It is closed while megabytes of its frames are on their way."""
    async with ingest(stack, key, model) as socket:
        await receive(socket)
        await socket.send("text")
        try:
            for message in frames(2000, frame_s=2):
                await socket.send(message)
        except Exception:
            pass
        code, reason = await closed(socket)
    assert code == 1003 and reason


async def test_1002_and_1007_on_what_is_no_websocket(stack, key, model):
    """Bytes that break RFC 6455, behind a good handshake."""
    for bad, expected in (
            (b"\x82\x01\x00", {1002}),                       # not masked
            (b"\xc2\x80" + bytes(4), {1002}),                # a reserved bit
            (b"\x83\x80" + bytes(4), {1002}),                # a reserved opcode
            (b"\x80\x80" + bytes(4), {1002}),                # goes on with nothing
            (b"\x09\x80" + bytes(4), {1002}),                # a ping in parts
            (b"\x89\xfe\x00\x7e" + bytes(130), {1002}),      # a ping too long
            (b"\x88\x81" + bytes(5), {1002}),                # half a close code
            (b"\x88\x82" + bytes(4) + struct.pack(">H", 1005), {1002}),
            (b"\x81\x82" + bytes(4) + b"\xff\xff", {1007, 1003}),  # text that is no UTF-8
            (b"\x82\xff" + b"\xff" * 8 + bytes(4), {1002, 1009}),  # 2^64 - 1 bytes
            (b"\x82\xff" + struct.pack(">Q", 2**40) + bytes(4), {1009})):
        assert await raw_code(stack, key, model, bad) in expected, bad


async def raw_code(stack, key, model, data):
    """The close code that the server answers these bytes with, seen on the wire."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    writer.write((f"GET /stream/ingest?device_id=raw&device_model_id={model['id']}"
                  f"&api_key={key.key} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b" 101 " in answer and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    writer.write(data)
    try:
        while True:
            head = await asyncio.wait_for(reader.readexactly(2), 10)
            size = head[1]
            if size == 126:
                size = struct.unpack(">H", await reader.readexactly(2))[0]
            body = await reader.readexactly(size)
            if head[0] == 0x88:
                return struct.unpack(">H", body[:2])[0]
    finally:
        writer.close()


async def test_echo_gives_every_message_back(stack, key):
    async with connect(stack, "/echo", key) as socket:
        for message in ("", "text Ω", b"", b"\x00\xff" * 1000, "x" * 100_000):
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), 10) == message
    assert (await close_of(connect(stack, "/echo")))[0] == 4001


async def test_1001_to_everybody_when_the_server_stops():
    """A drain: every socket is told, every frame that an edge held is kept."""
    stack = Stack(edges=2).start()
    try:
        key = stack.key()
        model = make_model(stack, key)
        devices = [await ingest(stack, key, model, f"drain-{n}") for n in range(6)]
        apps = [await subscribe(stack, key) for _ in range(4)]
        sessions = [(await receive(device))["session_id"] for device in devices]
        for app in apps:
            await receive(app)
        os.kill(stack.pid("publisher-0"), signal.SIGSTOP)  # so that an edge holds the frames
        for device in devices:
            for message in frames(4):
                await device.send(message)
        await asyncio.sleep(1)
        stack.process.send_signal(signal.SIGTERM)
        os.kill(stack.pid("publisher-0"), signal.SIGCONT)
        for socket in devices + apps:
            code, reason = await closed(socket)
            assert code == 1001 and reason
        assert await asyncio.to_thread(stack.process.wait, 30) == 0
        stack.restart()
        for session in sessions:
            row = session_of(stack, key, session)
            assert (row["frames"], row["status"], row["close_code"]) == (20, "closed", 1001)
    finally:
        stack.close()
