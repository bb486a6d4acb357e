import asyncio
import inspect
import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from stack import Stack  # noqa: E402

TEST_S = 180  # a module may say otherwise


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """An async test runs in a loop of its own."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    wanted = inspect.signature(test).parameters
    given = {name: pyfuncitem.funcargs[name] for name in wanted}
    seconds = getattr(pyfuncitem.module, "TEST_S", TEST_S)
    asyncio.run(asyncio.wait_for(test(**given), seconds))
    return True


def pytest_runtest_logreport(report):
    """For run-integration: what failed, and whether it may be tried again ("soft")."""
    path = os.environ.get("RAEH_FAILED")
    if path and report.failed:
        hard = re.search("Sanitizer|runtime error|a process reported|deaths of children", report.longreprtext)
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{'hard' if hard else 'soft'} {report.nodeid}\n")


@pytest.fixture(scope="module")
def stack(request):
    """One stack a module. Its settings are the module's STACK = dict(args=[…], edges=2 …)."""
    settings = dict(getattr(request.module, "STACK", {}))
    stack = Stack(*settings.pop("args", ()), **settings).start()
    yield stack
    stack.close()


@pytest.fixture(autouse=True)
def healthy(request):
    """After each test of a stack: nothing has died of it."""
    stack = request.getfixturevalue("stack") if "stack" in request.fixturenames else None
    yield
    if stack:
        stack.check()


@pytest.fixture(scope="module")
def key(stack):
    return stack.key()


@pytest.fixture(scope="module")
def model(stack, key):
    from client import make_model
    return make_model(stack, key)
