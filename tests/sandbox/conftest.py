import json
from pathlib import Path

import pytest

from tests.sandbox.trader import Trader

DATA = Path(__file__).parent / "data"


@pytest.fixture
def sandbox(bitopro_sandbox):
    return bitopro_sandbox


@pytest.fixture
def control(sandbox):
    return sandbox.control


@pytest.fixture
def trader(sandbox):
    return Trader(sandbox)


@pytest.fixture
def example():
    def read(name):
        return json.loads((DATA / f"{name}.json").read_text())

    return read


@pytest.fixture
def patient(control):
    """Signatures of today stay good while the exchange's clock runs ahead."""
    control.switches(nonce_window_ms=10**12)
