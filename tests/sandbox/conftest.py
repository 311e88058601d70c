import pytest

from tests import data
from tests.sandbox.trader import Trader


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
    return data.example


@pytest.fixture
def patient(control):
    """Signatures of today stay good while the exchange's clock runs ahead."""
    control.switches(nonce_window_ms=10**12)
