"""docs/guides: every snippet runs as it is written (those of proxy.md: test_99_proxies.py)."""
import asyncio
import json
import re
import shutil
import subprocess
import sys
import textwrap
import threading

import pytest

from client import frame, rest, stream
from stack import BIN, ROOT, until

GUIDES = ROOT / "docs/guides"


def snippets(guide, language):
    text = (GUIDES / guide).read_text()
    return [textwrap.dedent(block)
            for block in re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.M | re.S)]


def run(stack, script, folder, **env):
    done = subprocess.run(["bash", "-euc", "set -o pipefail\n" + script], cwd=folder, text=True,
                          env=stack.env | {"RAEH_URL": stack.url} | env, capture_output=True,
                          timeout=60)
    assert done.returncode == 0, script + done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(stack, tmp_path):
    """As a checkout with a stack that runs: build/bin, data."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build/bin").symlink_to(BIN)
    (tmp_path / "data").symlink_to(stack.data)
    return tmp_path


def test_firmware_packs_the_frame_that_the_contract_has(tmp_path):
    source, = snippets("firmware.md", "c")
    (tmp_path / "frame.c").write_text(source)
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-o", "frame", "frame.c"],
                   cwd=tmp_path, check=True, timeout=60)
    said = subprocess.run([tmp_path / "frame"], capture_output=True, text=True, timeout=20).stdout
    assert bytes.fromhex(said) == frame(0, 1_760_000_000_000, [0, 1, -1, 32767, -32768])


def test_the_app_goes_on_when_its_edge_has_died(stack, key, model, tmp_path):
    program, = snippets("app.md", "python")
    (tmp_path / "app.py").write_text(program)
    app = subprocess.Popen([sys.executable, "-u", "app.py"], cwd=tmp_path, text=True,
                           env=stack.env | {"RAEH_URL": stack.url, "RAEH_KEY": key.key},
                           stdout=subprocess.PIPE)
    said = []
    reader = threading.Thread(target=lambda: [said.append(line) for line in app.stdout])
    reader.start()

    def says_more_than(lines):
        asyncio.run(stream(stack, key, model, 20, "guide"))  # the app may not be connected yet
        return len(said) > lines

    try:
        until("the app prints insights", lambda: says_more_than(2), 60, every=0.5)
        edge = stack.kill("edge-0")
        stack.wait_restarted("edge-0", edge)
        stack.wait_ready()
        until("it does so again", lambda lines=len(said): says_more_than(lines + 2), 60, every=0.5)
    finally:
        app.kill()
        app.wait()
        reader.join()
    for line in said:
        assert re.fullmatch(r"(hr|rr) [\d.]+ (bpm|brpm) (excellent|acceptable|unfit)\n", line)


@pytest.mark.parametrize("n", range(2))
def test_what_the_app_s_guide_asks_is_answered(stack, key, folder, n):
    said = run(stack, snippets("app.md", "sh")[n], folder, RAEH_KEY=key.key)
    if n == 0:
        assert '{"status":"subscribed"}' in said
    else:
        assert said.startswith("[")


def test_the_keys_guide_from_the_first_line_to_the_last(stack, folder):
    said = run(stack, "\n".join(snippets("keys.md", "sh")), folder)
    assert said.endswith("{'ingest': 0, 'subscribe': 0}\n"), said
    assert '"disabled":true' in said and '"disabled":false' in said


def test_a_copy_of_the_data_is_as_good(stack, key, folder):
    """The upgrade's way back: stop, copy, and start on the copy."""
    stack.stop()
    run(stack, snippets("upgrading.md", "sh")[0].replace("cp -a data", "cp -aL data"), folder)
    shutil.rmtree(stack.data)
    shutil.copytree(folder / "data.before", stack.data, copy_function=shutil.copy2)
    stack.restart()
    with rest(stack, key) as http:
        assert http.get("/v1/device-models").status_code == 200


def test_from_the_hosted_product(stack, key, folder):
    said = run(stack, snippets("from-the-hosted-product.md", "sh")[0], folder, RAEH_KEY=key.key)
    assert isinstance(json.loads(said), list)


def test_every_link_of_the_guides_leads_somewhere():
    for guide in GUIDES.glob("*.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)", guide.read_text()):
            assert (guide.parent / target).exists(), (guide.name, target)
