"""The stack of docker-compose.yml, asked as its operator and its clients do."""
import json
import os
import signal
import subprocess
from collections import Counter

from engine import ROOT, STATE
from stack import Key, until

SERVICES = ("auth", "router", "publisher-0", "edge-0", "edge-1")
RECORDING = ROOT / "integration/recordings/bidmc_01.csv"
HEALTHY_S = 90


class Edge:
    """One published edge, as client.py wants a stack."""
    ca = None

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.ws_url = f"ws://127.0.0.1:{port}"


class Composed:
    def __init__(self, engine):
        self.engine = engine
        self.killed = Counter()
        self.edges = (Edge(8080), Edge(8081))
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith("RAEH_")}

    def up(self):
        self.killed.clear()
        self.engine.compose("up", "-d", "--no-build")
        for service in SERVICES:
            self.healthy(service)

    def down(self):
        logs = self.engine.compose("logs", "--no-color", check=False).stdout
        (STATE / "stack.log").write_text(logs)
        self.engine.compose("down", "-v", "--remove-orphans")

    # ---- its containers ----

    def container(self, service):
        return until(f"{service} runs", lambda: self.engine.containers().get(service), 30, 0.2)

    def state(self, service):
        return self.container(service)["State"]

    def check(self):
        """Every container runs, and none died that no test has killed."""
        restarts = {service: container["RestartCount"]
                    for service, container in self.engine.containers().items()}
        assert restarts == {service: self.killed[service] for service in SERVICES}

    def healthy(self, service, pid=None):
        """Running and healthy; with pid: in another process than that."""
        def good():
            state = self.state(service)
            return (state["Running"] and state["Pid"] != pid and
                    state["Health"]["Status"] == "healthy")
        try:
            until(f"{service} is healthy", good, HEALTHY_S, 0.3)
        except AssertionError as error:
            logs = self.engine.compose("logs", "--no-color", "--tail=30", service).stdout
            raise AssertionError(f"{error}\n{self.state(service)}\n{logs}") from None

    def kill(self, service):
        """As a crash would: its first process, from outside. Answers that process's pid."""
        pid = self.state(service)["Pid"]
        self.killed[service] += 1
        os.kill(pid, signal.SIGKILL)
        return pid

    # ---- the operator ----

    def raeh(self, *args):
        return json.loads(self.engine.execute("auth", "raeh", *args).stdout)

    def account(self):
        return self.raeh("account", "create", "--email", "someone@example.org")["account_id"]

    def key(self, account):
        made = self.raeh("key", "create", "--account", account, "--label", "test")
        return Key(made["id"], made["key"], account)

    # ---- a device ----

    def replay(self, key, edge, *args):
        """`raeh replay` of this machine, outside of the containers; started."""
        return subprocess.Popen(
            [ROOT / "build/bin/raeh", "replay", RECORDING, "--url", edge.url, "--json", *args],
            env=self.env | {"RAEH_KEY": key.key}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
