import pytest

from engine import Engine, NoEngine, own_network
from composed import Composed


@pytest.fixture(scope="session")
def stack():
    """The stack of docker-compose.yml, once for all tests: in order they tell one story."""
    try:
        engine = Engine()
    except NoEngine as why:
        pytest.skip(f"no container engine: {why}")
    try:
        try:
            engine.start()
            engine.build()
            engine.stop()
            own_network()
            engine.start()
        except NoEngine as why:
            pytest.skip(f"no container engine: {why}")
        composed = Composed(engine)
        try:
            composed.up()
            yield composed
        finally:
            composed.down()
    finally:
        engine.close()


@pytest.fixture(scope="session")
def key(stack):
    return stack.key(stack.account())
