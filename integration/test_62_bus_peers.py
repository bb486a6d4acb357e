"""Strangers at the sockets of the bus, DATA/run/*.ipc: peers that die in the middle of a
handshake or a message, that send what is none, or that never read. Nobody else notices."""
import asyncio
import os
import random
import socket as sockets
import stat
import struct

import pytest

from client import make_model
from fleet import wait_ready
from probe import Probe, kept
from raw import Peer, descriptors, resident_kb
from stack import until

STACK = {"edges": 2, "publishers": 2}
LONG = os.environ.get("RAEH_LONG") == "1"
ROUNDS = 400 if LONG else 40
TEST_S = 300
HEAD = struct.Struct("=IiI")  # length, err, id


def addresses(stack):
    return sorted((stack.data / "run").glob("*.ipc"))


def visit(path, *parts, read=False):
    """Connects, sends the parts, and is gone."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as peer:
        peer.settimeout(2)
        peer.connect(str(path))
        try:
            for part in parts:
                peer.sendall(part)
            return peer.recv(65536) if read else b""
        except (ConnectionError, TimeoutError):
            return b""


def rude(rng):
    """Beginnings of a message, and things that are none."""
    yield ()
    for n in (1, 4, 11, 12):
        yield (HEAD.pack(100, 0, 1)[:n],)
    yield HEAD.pack(100, 0, 1), b"half of it"
    yield (HEAD.pack(0, 0, 1),)
    yield HEAD.pack(50, 0, 7), rng.randbytes(50)
    yield HEAD.pack(20, 0, 0), rng.randbytes(20)
    yield HEAD.pack(0xffffffff, 0, 1), rng.randbytes(1000)
    yield HEAD.pack(4 * 2**20 + 1, -1, 1), rng.randbytes(1000)
    yield (rng.randbytes(100_000),)


def test_only_its_owner_may_come_near(stack):
    assert stat.S_IMODE((stack.data / "run").stat().st_mode) == 0o700
    names = {path.stem for path in addresses(stack)}
    assert {"auth", "auth.lease", "auth.admin", "router", "publisher-0", "publisher-1", "edge-0",
            "edge-1"} <= names


async def test_peers_that_die_at_any_moment_stop_nothing(stack, key, model):
    probe = await Probe.start(stack, make_model)
    before = stack.processes()
    rng = random.Random(1)
    visits = 0

    def come_and_go():
        nonlocal visits
        for _ in range(ROUNDS):
            for path in addresses(stack):
                for parts in rude(rng):
                    visit(path, *parts)
                    visits += 1

    task = asyncio.create_task(asyncio.to_thread(come_and_go))
    found = await probe.watch(task.done)
    await task
    print(f"{visits} visits")
    kept("strangers on the bus", found)
    assert stack.processes() == before
    doomed = await asyncio.to_thread(stack.key, key.account)
    app = await Peer.subscribe(stack, doomed)
    receipt = await asyncio.to_thread(stack.admin, "key", "revoke", doomed.id)
    assert receipt["edges_acked"] == 2 and receipt["elapsed_ms"] < 25000
    assert (await app.closed())[0] == 4001
    await probe.stop()


async def test_strangers_that_stay_cost_a_descriptor_each_and_leave_nothing(stack, key):
    """They hold half a message, or listen and never read, while services die and come back."""
    probe = await Probe.start(stack, make_model)
    used = {name: descriptors(pid) for name, pid in stack.processes().items()}
    memory = {name: resident_kb(pid) for name, pid in stack.processes().items()}
    held = []
    for path in addresses(stack):
        for n in range(20):
            peer = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
            peer.connect(str(path))
            peer.sendall((b"", HEAD.pack(4 * 2**20, 0, 1), HEAD.pack(100, 0, 1) + b"x")[n % 3])
            held.append(peer)
    found = await probe.watch(rounds=60)
    kept(f"{len(held)} strangers that stay", found)
    grown = {name: resident_kb(pid) - memory[name] for name, pid in stack.processes().items()}
    print(f"RSS grew by {grown} kB")
    assert max(grown.values()) < 128 * 1024
    for peer in held:
        peer.close()
    await asyncio.to_thread(
        until, "their descriptors are given back",
        lambda: all(descriptors(pid) <= used[name] + 4
                    for name, pid in stack.processes().items()), 20)
    await probe.stop()


async def test_the_sockets_of_the_bus_are_removed_under_it(stack, key):
    """Somebody cleans up too much: a service that starts again is found again."""
    wait_ready(stack)
    probe = await Probe.start(stack, make_model)
    for path in addresses(stack):
        if path.stem in ("router", "publisher-0"):
            path.unlink()
    for name in ("router", "publisher-0"):
        before = stack.kill(name)
        await asyncio.to_thread(stack.wait_restarted, name, before)
    await asyncio.to_thread(wait_ready, stack)
    kept("after the sockets were removed", await probe.watch(rounds=5))
    await probe.stop()
