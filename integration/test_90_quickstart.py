"""README.md: its quickstart runs as it is written, in both languages."""
import os
import re
import signal
import subprocess
import sys

import pytest

from client import rest
from stack import BIN, ROOT, until

README = (ROOT / "README.md").read_text()


def snippet(language):
    block, = re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)
    return block


@pytest.fixture(scope="module")
def quickstart(stack, tmp_path_factory):
    """The shell lines, with the programs and the directory of this stack; RAEH_KEY."""
    folder = tmp_path_factory.mktemp("quickstart")
    (folder / "build").mkdir()
    (folder / "build/bin").symlink_to(BIN)
    (folder / "data").symlink_to(stack.data)
    done = subprocess.run(["bash", "-euc", snippet("sh") + "\nprintf %s \"$RAEH_KEY\""],
                          cwd=folder, env=stack.env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("language, command", [
    ("python", [sys.executable, "-u"]), ("javascript", ["node"])])
def test_the_quickstart_prints_live_heart_rates(stack, quickstart, tmp_path, language, command):
    script = tmp_path / {"python": "quickstart.py", "javascript": "quickstart.js"}[language]
    script.write_text(snippet(language))
    env = stack.env | {"RAEH_KEY": quickstart, "RAEH_URL": stack.url,
                       "NODE_PATH": str(ROOT / "integration/node/node_modules")}
    process = subprocess.Popen([*command, script], env=env, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(6)]
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert lines[0].startswith("streaming as session "), (lines, errors)
    session = lines[0].split()[-1]
    for line in lines[2:]:
        match = re.fullmatch(r"hr ([\d.]+) bpm \((excellent|acceptable|unfit)\)\n", line)
        assert match, (lines, errors)
        assert abs(float(match[1]) - 72) < 3, lines
    with rest(stack) as http:
        headers = {"Authorization": f"Bearer {quickstart}"}
        row = until("the session is closed", lambda: closed_row(http, session, headers))
    assert row["device_id"] == "my-watch" and row["frames"] > 20


def closed_row(http, session, headers):
    row = http.get(f"/v1/sessions/{session}", headers=headers).json()
    return row if row["status"] == "closed" else None


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_every_target_that_the_readme_names_is_one():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z]+)", README)) - {"an"}:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_readme_is_one_page():
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S)
    assert len(prose.splitlines()) < 80
