"""Connections to one edge of several. The kernel spreads them and knows who got which."""
import os
import re
import socket
import subprocess

from client import receive
from stack import until


def edge_of(stack, port):
    """The edge that holds the connection which comes from our port; None: not accepted yet."""
    rows = subprocess.run(
        ["ss", "-Htne", "state", "established", f"( sport = :{stack.port} and dport = :{port} )"],
        capture_output=True, text=True, check=True).stdout
    inode = re.search(r"ino:(\d+)", rows)
    if not inode or inode[1] == "0":
        return None  # still in the listening queue
    for name, pid in stack.processes().items():
        if name.startswith("edge") and holds(pid, inode[1]):
            return name
    return None


def holds(pid, inode):
    try:
        return any(os.readlink(fd.path) == f"socket:[{inode}]"
                   for fd in os.scandir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def connection_to(stack, edge):
    """A TCP connection that this edge has accepted."""
    for _ in range(64):
        peer = socket.create_connection((stack.host, stack.port), 5)
        port = peer.getsockname()[1]
        if until("an edge accepts the connection", lambda: edge_of(stack, port)) == edge:
            return peer
        peer.close()
    raise AssertionError(f"no connection reached {edge}")


async def open_on(stack, edge, connect):
    """A WebSocket on that edge and its first message. connect takes sock=."""
    opened = await connect(sock=connection_to(stack, edge))
    return opened, await receive(opened)
