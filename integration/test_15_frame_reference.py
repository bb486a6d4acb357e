"""The frame decoder against a reference of a page, written from the description of the format
alone: every field, every refusal, word for word."""
import json
import random
import struct
import subprocess

import pytest

from stack import BIN, environment

HEAD = 12
# slot: (bit depth, channels).
SESSIONS = [
    {0: (16, 1)},
    {0: (1, 1), 1: (8, 2), 2: (9, 1), 3: (24, 3), 4: (25, 16), 5: (32, 16), 255: (16, 6)},
    {200: (12, 4)},
    {},
]
MESSAGES = 6000  # of each session


def decode(message, slots):
    """What a frame is and why it is refused: (fields or None, code, sentence)."""
    if len(message) < HEAD:
        return None, 1007, (f"frame too short: expected at least {HEAD} bytes, "
                            f"got {len(message)}")
    slot, t0, samples, flags = struct.unpack(">BqHB", message[:HEAD])
    payload = len(message) - HEAD
    fields = {"slot": slot, "t0": t0, "samples": samples, "flags": flags, "payload": payload}
    if slot not in slots:
        return fields, 4004, f"slot_id {slot} is not in this session's manifest"
    if samples == 0:
        return fields, 1007, f"frame on slot {slot} has 0 samples: expected at least 1"
    bits, channels = slots[slot]
    expected = samples * -(-bits // 8) * channels
    if payload != expected:
        return fields, 1007, (f"slot {slot}, {samples} samples: expected a payload of "
                              f"{expected} bytes, got {payload}")
    return fields, 0, ""


def edge_cases(slots):
    """Every length up to a little over a head, every extreme of every field, off by one."""
    for fill in (b"\0", b"\xff", b"\x80", b"\x7f"):
        for length in range(40):
            yield fill * length
    for slot in {*slots, 0, 1, 127, 128, 254, 255}:
        bits, channels = slots.get(slot, (16, 1))
        size = -(-bits // 8) * channels
        for t0 in (0, 1, -1, 2**63 - 1, -2**63, 1 << 32, 1700000000000):
            for samples in (0, 1, 2, 255, 256, 257):
                for wrong in (-1, 0, 1):
                    payload = max(0, samples * size + wrong)
                    yield struct.pack(">BqHB", slot, t0, samples, 0) + bytes(payload)
        yield struct.pack(">BqHB", slot, 5, 65535, 255) + bytes(65535 * size if size < 8 else 7)


def random_messages(rng, slots, n):
    known = list(slots) or [0]
    for _ in range(n):
        kind = rng.random()
        if kind < 0.2:
            yield rng.randbytes(rng.randrange(64))
            continue
        slot = rng.choice(known) if kind < 0.9 else rng.randrange(256)
        bits, channels = slots.get(slot, (16, 1))
        samples = rng.randrange(1, 20)
        payload = samples * -(-bits // 8) * channels
        if kind > 0.7:
            payload = max(0, payload + rng.randrange(-3, 4))
        yield (struct.pack(">BqHB", slot, rng.randrange(-2**63, 2**63), samples,
                           rng.randrange(256)) + rng.randbytes(payload))


@pytest.mark.parametrize("number", range(len(SESSIONS)))
def test_the_decoder_says_what_the_reference_says(number):
    slots, seed = SESSIONS[number], random.randrange(2**32)
    rng = random.Random(seed)
    messages = [*edge_cases(slots), *random_messages(rng, slots, MESSAGES)]
    first = " ".join(f"{slot},{bits},{channels}" for slot, (bits, channels) in slots.items())
    if 0 in slots:
        first += " 0,32,16"  # a second slot 0, which nothing may find
    text = first + "\n" + "".join(message.hex() + "\n" for message in messages)
    done = subprocess.run([BIN / "integration/frame_decode"], input=text, capture_output=True,
                          text=True, env=environment(), timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == len(messages) > 6000
    accepted = 0
    for message, answer in zip(messages, answers):
        got = json.loads(answer)
        fields, code, why = decode(message, slots)
        expected = {**(fields | {"same": True} if fields else {"slot": None}),
                    "code": code, "why": why}
        assert got == expected, f"seed {seed}: {message.hex()}"
        accepted += code == 0
    assert accepted > 2000 or not slots


def test_there_are_more_than_20000_messages():
    assert len(SESSIONS) * MESSAGES > 20000
