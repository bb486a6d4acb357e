"""A container engine of our own: dockerd with all its state under build/compose and its sockets
in a temporary directory. It touches nothing of the host's firewall, and nothing outlives it but
images, so that the next run finds them built.

The image is built in the host's network, for packages; the stack runs in a network namespace of
this very process (own_network), so that its networks and published ports are nobody else's."""
import ctypes
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "build" / "compose"
NEEDED = ("dockerd", "docker", "docker-compose", "mmdebstrap", "iptables", "ip")
IMAGE = "raeh-test"
BASE = "raeh-test-base:trusting"
# It trusts what this machine trusts, npm too: packages may come through a proxy of its own.
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
TRUST = (f"--customize-hook=copy-in {BUNDLE} {BUNDLE.parent}",
         f'--customize-hook=echo cafile={BUNDLE} >"$1/root/.npmrc"')
START_S, STOP_S, BUILD_S = 60, 60, 3000
CLONE_NEWNET = 0x40000000


class NoEngine(Exception):
    """Why none can be had here."""


def own_network():
    """This process, and what it starts from now on, gets a network of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise NoEngine(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Engine:
    def __init__(self):
        missing = [name for name in NEEDED if not shutil.which(name)]
        if missing:
            raise NoEngine(f"not installed: {' '.join(missing)}")
        if os.geteuid() != 0:
            raise NoEngine("only root can start one")
        STATE.mkdir(parents=True, exist_ok=True)
        self.directory = tempfile.TemporaryDirectory(prefix="raeh-engine-")
        self.path = Path(self.directory.name)
        self.host = f"unix://{self.path}/docker.sock"
        self.env = os.environ | {"DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0",
                                 "DOCKER_CONFIG": str(self.path / "config"),
                                 "COMPOSE_PROJECT_NAME": "raeh", "RAEH_IMAGE": IMAGE}
        self.daemon = None

    def start(self):
        self.log = STATE / "dockerd.log"
        with open(self.log, "wb") as log:
            self.daemon = subprocess.Popen(
                ["dockerd", "--data-root", STATE / "docker", "--exec-root", self.path / "run",
                 "--pidfile", self.path / "pid", "-H", self.host, "--iptables=false",
                 "--ip6tables=false", "--bridge=none", "--storage-driver=overlay2"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + START_S
        while self.docker("info", check=False).returncode != 0:
            if self.daemon.poll() is not None or time.monotonic() > end:
                self.stop()
                raise NoEngine(f"dockerd does not start: {self.log.read_text()[-1500:]}")
            time.sleep(0.2)

    def stop(self):
        """SIGTERM: it ends its containers and its containerd."""
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(STOP_S)
        self.daemon = None

    def close(self):
        self.stop()
        self.unmount()
        self.directory.cleanup()

    def unmount(self):
        """What dockerd leaves mounted: the name of its network namespace, and after a crash more."""
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed(mounts):
            if mount.startswith((f"{self.path}/", f"{STATE}/docker/")):
                subprocess.run(["umount", mount], check=True)

    # ---- commands ----

    def docker(self, *args, check=True, timeout=120, **kwargs):
        done = subprocess.run(["docker", *map(str, args)], env=self.env, capture_output=True,
                              text=True, timeout=timeout, **kwargs)
        assert not check or done.returncode == 0, f"docker {args}: {done.stdout}{done.stderr}"
        return done

    def compose(self, *args, check=True, timeout=180):
        done = subprocess.run(["docker-compose", "-f", ROOT / "docker-compose.yml", *args],
                              env=self.env, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, (
            f"docker-compose {args}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def containers(self):
        """Those that run, by their service."""
        ids = self.docker("ps", "-q", "--filter", "label=com.docker.compose.project=raeh").stdout
        found = json.loads(self.docker("inspect", *ids.split()).stdout) if ids else []
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def execute(self, service, *args, check=True):
        return self.compose("exec", "-T", service, *args, check=check)

    # ---- images ----

    def build(self):
        """The image of the working tree. Layers that are still good are taken as they are."""
        if self.docker("image", "inspect", BASE, check=False).returncode != 0:
            tar = self.path / "base.tar"
            made = subprocess.run(["mmdebstrap", "--variant=minbase",
                                   "--include=ca-certificates",
                                   *(TRUST if BUNDLE.exists() else ()), "trixie", tar],
                                  capture_output=True, text=True)
            if made.returncode != 0:
                raise NoEngine(f"no base image: {made.stderr[-1500:]}")
            self.docker("import", tar, BASE, timeout=600)
            tar.unlink()
        proxies = [flag for name in ("http_proxy", "https_proxy") if name in os.environ
                   for flag in ("--build-arg", name)]
        with open(STATE / "build.log", "wb") as log:
            built = subprocess.run(["docker", "build", "--network=host", "--force-rm", *proxies,
                                    "--build-arg", f"BASE={BASE}", "-t", IMAGE, ROOT],
                                   env=self.env, stdout=log, stderr=subprocess.STDOUT,
                                   timeout=BUILD_S)
        assert built.returncode == 0, (STATE / "build.log").read_text()[-4000:]
