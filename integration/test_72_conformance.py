"""RFC 6455 at /echo, by a client that speaks bytes: what a library would never send.

The Autobahn test suite is not packaged for Debian; the cases here follow its chapters."""
import os
import socket
import struct

import pytest

STACK = {"args": ["--echo"]}
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
WAIT_S = 10
GREEK = "κόσμε"
MASK = b"\x12\x34\x56\x78"


def frame(opcode, payload=b"", fin=True, rsv=0, masked=True, form=None):
    """form: bytes of the extended length (0, 2, 8); None: the shortest."""
    if form is None:
        form = 0 if len(payload) < 126 else 2 if len(payload) < 65536 else 8
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask = 0x80 if masked else 0
    if form == 0:
        head += bytes([mask | len(payload)])
    elif form == 2:
        head += bytes([mask | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", len(payload))
    if masked:
        key = (MASK * (len(payload) // 4 + 1))[:len(payload)]
        n = len(payload)
        payload = MASK + (int.from_bytes(payload, "big") ^
                          int.from_bytes(key, "big")).to_bytes(n, "big")
    return head + payload


class Client:
    """One WebSocket. Answers nothing by itself."""

    def __init__(self, stack, key, extra=""):
        self.socket = socket.create_connection((stack.host, stack.port), WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""
        self.send(f"GET /echo?api_key={key.key} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n".encode())
        while b"\r\n\r\n" not in self.left:
            self.left += self._some()
        self.head, self.left = self.left.split(b"\r\n\r\n", 1)
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in self.head  # RFC 6455, 1.3

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _some(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        return data

    def _take(self, n):
        while len(self.left) < n:
            self.left += self._some()
        data, self.left = self.left[:n], self.left[n:]
        return data

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next frame: (opcode, payload). Whole, unmasked, in the shortest form."""
        first, second = self._take(2)
        assert first & 0x70 == 0 and second & 0x80 == 0, (first, second)
        size = second
        if second == 126:
            size, = struct.unpack(">H", self._take(2))
            assert size >= 126
        elif second == 127:
            size, = struct.unpack(">Q", self._take(8))
            assert size >= 65536
        assert first & 0x80, "a fragment, though nothing asks for one"
        return first & 0x0f, self._take(size)

    def echo(self, *expected):
        for opcode, payload in expected:
            got = self.receive()
            assert got == (opcode, payload), (got[0], got[1][:100])

    def closed(self):
        """The close frame's code; then nothing more comes and the connection ends."""
        opcode, payload = self.receive()
        assert opcode == CLOSE, (opcode, payload[:100])
        code = struct.unpack(">H", payload[:2])[0] if payload else 1005
        payload[2:].decode()
        try:
            assert self._take(1) == b"", "bytes behind the close frame"
        except (EOFError, ConnectionResetError):
            pass
        return code


@pytest.fixture
def client(stack, key):
    with Client(stack, key) as client:
        yield client


# ---- 1: messages and the forms of their lengths ----

@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 300_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_each_length_form_comes_back(client, opcode, size):
    payload = b"*" * size if opcode == TEXT else os.urandom(size)
    client.send(frame(opcode, payload))
    client.echo((opcode, payload))


def test_a_message_that_comes_byte_by_byte_comes_back(client):
    for byte in frame(TEXT, b"slowly"):
        client.send(bytes([byte]))
    client.echo((TEXT, b"slowly"))


def test_many_messages_in_one_write_come_back_in_order(client):
    client.send(b"".join(frame(TEXT, str(n).encode()) for n in range(200)))
    client.echo(*((TEXT, str(n).encode()) for n in range(200)))


@pytest.mark.parametrize("data", [
    frame(BINARY, b"x" * 5, form=2),
    frame(BINARY, b"x" * 125, form=2),
    frame(BINARY, b"x" * 5, form=8),
    frame(BINARY, b"x" * 65535, form=8),
    b"\x82\xff" + b"\xff" * 8 + MASK,
    b"\x82\xff" + struct.pack(">Q", 1 << 63) + MASK,
], ids=["5-in-16", "125-in-16", "5-in-64", "65535-in-64", "all-ones", "top-bit"])
def test_a_length_not_in_its_shortest_form_is_a_protocol_error(client, data):
    client.send(data)
    assert client.closed() == 1002


def test_a_message_over_the_bound_is_too_big(client):
    client.send(b"\x82\xff" + struct.pack(">Q", 1 << 40) + MASK)
    assert client.closed() == 1009


def test_fragments_over_the_bound_together_are_too_big(client):
    piece = b"x" * 400_000
    client.send(frame(BINARY, piece, fin=False) + frame(CONTINUATION, piece, fin=False) +
                frame(CONTINUATION, piece))
    assert client.closed() == 1009


# ---- 2: pings and pongs ----

@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe\xfd", b"x" * 125])
def test_a_ping_is_answered_with_its_payload(client, payload):
    client.send(frame(PING, payload))
    client.echo((PONG, payload))


def test_ten_pings_at_once_are_answered_in_order(client):
    client.send(b"".join(frame(PING, b"%d" % n) for n in range(10)))
    client.echo(*((PONG, b"%d" % n) for n in range(10)))


def test_ten_pings_byte_by_byte_are_answered_in_order(client):
    for byte in b"".join(frame(PING, b"%d" % n) for n in range(10)):
        client.send(bytes([byte]))
    client.echo(*((PONG, b"%d" % n) for n in range(10)))


def test_an_unasked_pong_is_ignored(client):
    client.send(frame(PONG, b"nobody asked") + frame(PONG) + frame(PING, b"p"))
    client.echo((PONG, b"p"))


# ---- 3: reserved bits ----

@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_a_reserved_bit_is_a_protocol_error(client, opcode, rsv):
    payload = b"" if opcode == CLOSE else b"x"
    client.send(frame(TEXT, b"before") + frame(opcode, payload, rsv=rsv))
    client.echo((TEXT, b"before"))
    assert client.closed() == 1002


# ---- 4: opcodes ----

@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_reserved_opcode_is_a_protocol_error(client, opcode, payload):
    client.send(frame(TEXT, b"before") + frame(opcode, payload) + frame(PING))
    client.echo((TEXT, b"before"))
    assert client.closed() == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_an_unmasked_frame_is_a_protocol_error(client, opcode):
    client.send(frame(opcode, b"", masked=False))
    assert client.closed() == 1002


# ---- 5: fragments ----

def test_fragments_become_one_message(client):
    client.send(frame(TEXT, b"one ", fin=False) + frame(CONTINUATION, b"two ", fin=False) +
                frame(CONTINUATION, b"three"))
    client.echo((TEXT, b"one two three"))


def test_empty_fragments_become_an_empty_message(client):
    client.send(frame(BINARY, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION))
    client.echo((BINARY, b""))


def test_a_ping_between_fragments_is_answered_before_the_message(client):
    client.send(frame(TEXT, b"one ", fin=False) + frame(PING, b"p1") +
                frame(CONTINUATION, b"two", fin=False) + frame(PONG, b"x") + frame(PING, b"p2"))
    client.echo((PONG, b"p1"), (PONG, b"p2"))
    client.send(frame(CONTINUATION))
    client.echo((TEXT, b"one two"))


def test_a_close_between_fragments_closes(client):
    client.send(frame(TEXT, b"one ", fin=False) + frame(CLOSE, struct.pack(">H", 1000)))
    assert client.closed() == 1000


@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_of_nothing_is_a_protocol_error(client, fin):
    client.send(frame(CONTINUATION, b"x", fin=fin) + frame(TEXT, b"y"))
    assert client.closed() == 1002


def test_a_continuation_behind_the_last_fragment_is_a_protocol_error(client):
    client.send(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b") +
                frame(CONTINUATION, b"c"))
    client.echo((TEXT, b"ab"))
    assert client.closed() == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_new_message_between_fragments_is_a_protocol_error(client, opcode, fin):
    client.send(frame(TEXT, b"a", fin=False) + frame(opcode, b"b", fin=fin))
    assert client.closed() == 1002


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_fragmented_control_frame_is_a_protocol_error(client, opcode):
    client.send(frame(opcode, b"", fin=False))
    assert client.closed() == 1002


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("size", [126, 65536])
def test_a_control_frame_over_125_bytes_is_a_protocol_error(client, opcode, size):
    payload = struct.pack(">H", 1000) + b"x" * (size - 2) if opcode == CLOSE else b"x" * size
    client.send(frame(opcode, payload)[:600])
    assert client.closed() == 1002


# ---- 6: UTF-8 ----

VALID = [GREEK, "\0", "\x7f", "\x80", "߿", "ࠀ", "￿", "\U00010000", "\U0010ffff",
         "﷐", "퟿", "", "a" * 1000 + GREEK]
INVALID = [b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", b"\x80", b"\xbf",
           b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf",
           b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80",
           b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xce",
           b"\xe2\x82", b"\xf0\x9f\x98", b"a\xffb", b"\xc3\x28", b"\xe2\x28\xa1"]


@pytest.mark.parametrize("text", VALID, ids=ascii)
def test_valid_text_comes_back_however_it_is_cut(client, text):
    data = text.encode()
    client.send(frame(TEXT, data))
    client.echo((TEXT, data))
    if len(data) > 20:
        return
    pieces = [frame(TEXT if n == 0 else CONTINUATION, data[n:n + 1], fin=False)
              for n in range(len(data))] or [frame(TEXT, fin=False)]
    client.send(b"".join(pieces) + frame(CONTINUATION))
    client.echo((TEXT, data))


@pytest.mark.parametrize("data", INVALID, ids=lambda data: data.hex()[:24])
def test_invalid_text_is_1007(client, data):
    client.send(frame(TEXT, data))
    assert client.closed() == 1007


@pytest.mark.parametrize("data", INVALID, ids=lambda data: data.hex()[:24])
def test_invalid_text_is_1007_when_it_comes_in_fragments(client, data):
    client.send(frame(TEXT, b"good ", fin=False) +
                b"".join(frame(CONTINUATION, data[n:n + 1], fin=False)
                         for n in range(len(data))) + frame(CONTINUATION, b""))
    assert client.closed() == 1007


def test_any_bytes_are_good_in_a_binary_message(client):
    for data in INVALID:
        client.send(frame(BINARY, data))
        client.echo((BINARY, data))


# ---- 7: closing ----

def test_a_close_is_answered_with_its_code_and_nothing_follows(client):
    client.send(frame(CLOSE, struct.pack(">H", 1000) + GREEK.encode()) + frame(TEXT, b"late") +
                frame(PING, b"late"))
    assert client.closed() == 1000


def test_an_empty_close_is_answered(client):
    client.send(frame(CLOSE))
    assert client.closed() in (1000, 1005)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000,
                                  3999, 4000, 4999])
def test_a_close_code_that_may_be_sent_is_taken(client, code):
    client.send(frame(CLOSE, struct.pack(">H", code)))
    assert client.closed() == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
                                  65535])
def test_a_close_code_that_may_not_be_sent_is_a_protocol_error(client, code):
    client.send(frame(CLOSE, struct.pack(">H", code)))
    assert client.closed() == 1002


def test_a_close_of_one_byte_is_a_protocol_error(client):
    client.send(frame(CLOSE, b"\x03"))
    assert client.closed() == 1002


def test_a_close_whose_reason_is_no_text_is_refused(client):
    client.send(frame(CLOSE, struct.pack(">H", 1000) + b"\xff\xfe"))
    assert client.closed() in (1002, 1007)


def test_the_longest_reason_is_taken(client):
    client.send(frame(CLOSE, struct.pack(">H", 1000) + b"x" * 123))
    assert client.closed() == 1000


# ---- who may ----

def test_it_is_for_those_with_a_key_alone(stack, key):
    class Nobody:
        key = "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"

    with Client(stack, Nobody) as client:
        client.send(frame(TEXT, b"hello"))
        assert client.closed() == 4001
