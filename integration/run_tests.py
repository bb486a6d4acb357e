#!/usr/bin/python3
"""Runs make targets one after the other, shows their output, and sums up what they said.

    run_tests.py unit integration lint

Every target runs even when one before it failed. The last line is "N passed, N failed";
the exit status is 0 when nothing failed. What a target says of UNSTEADY tests is repeated at the
end. Output is kept in build/test-<target>.log.
"""
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

CRITERION = re.compile(r"Tested: \D*(\d+).*?Passing: \D*(\d+)", re.S)
PYTEST = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed)\b")
NOTED = re.compile(r"UNSTEADY |FAILED |ERROR |failed: ")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def run(target):
    """Shows and keeps what make says; (status, lines)."""
    log = Path("build") / f"test-{target}.log"
    log.parent.mkdir(exist_ok=True)
    make = subprocess.Popen([os.environ.get("MAKE", "make"), "--no-print-directory", target],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            errors="replace")
    lines = []
    with log.open("w") as file:
        for line in make.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            file.write(line)
            lines.append(COLOURS.sub("", line))
    return make.wait(), lines


def count(lines, status):
    """Tests by their outcome. A target that counts nothing is itself one test."""
    counts = Counter()
    for line in lines:
        match = CRITERION.search(line)
        if match:
            tested, passed = map(int, match.groups())
            counts += Counter(passed=passed, failed=tested - passed)
    if lines and re.search(r" in [\d.:]+s", lines[-1] if status == 0 else "".join(lines[-3:])):
        said = [found for line in lines[-3:] if (found := PYTEST.findall(line))]
        for n, outcome in said[-1] if said else ():  # the last sum: of what was run again too
            counts["failed" if outcome.startswith("error") else outcome] += int(n)
    if not counts:
        counts["failed" if status else "passed"] = 1
    elif status and not counts["failed"]:
        counts["failed"] = 1  # a sanitizer's report, or it was not even built
    return counts


def main(targets):
    began, total, rows, noted = time.monotonic(), Counter(), [], []
    for target in targets:
        print(f"\n==== {target}", flush=True)
        at = time.monotonic()
        status, lines = run(target)
        counts = count(lines, status)
        total += counts
        rows.append((target, time.monotonic() - at, counts))
        noted += [line for line in lines if NOTED.match(line)]
    print()
    sys.stdout.writelines(noted)
    for target, seconds, counts in rows:
        print(f"{target:12} {seconds:6.0f} s   "
              f"{counts['passed']} passed, {counts['failed']} failed")
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"{'all':12} {time.monotonic() - began:6.0f} s")
    print(f"{total['passed']} passed, {total['failed']} failed{skipped}")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
