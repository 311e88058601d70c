import json
from pathlib import Path

import pytest

from bitopro_margin_ext.sandbox.pytest_plugin import (  # noqa: F401 - also without the entry point
    bitopro_sandbox,
    bitopro_sandbox_server,
)
from tests.sandbox.trader import Trader

DATA = Path(__file__).parent / "data"


@pytest.fixture
def sandbox(bitopro_sandbox):  # noqa: F811
    return bitopro_sandbox


@pytest.fixture
def control(sandbox):
    return sandbox.control


@pytest.fixture
def trader(sandbox):
    return Trader(sandbox)


@pytest.fixture
def free(sandbox):
    """Rate limits are off, for tests that are not about them."""
    sandbox.exchange.set_switches({"rate_limits": False})


@pytest.fixture
def example():
    def read(name):
        return json.loads((DATA / f"{name}.json").read_text())

    return read
