"""The way of one call stays short: how often control moves between files is held to the aims."""

import pytest

import bitopro_margin_ext
from bitopro_margin_ext.sandbox.server import SandboxServer
from tests.benchmarks.moves_between_files import AIMS, TRIPS


@pytest.mark.parametrize("trip", ["cancel_all_orders", "cancel_and_confirm"])
def test_a_trip_moves_between_few_files(bitopro_sandbox: SandboxServer, trip: str) -> None:
    bitopro_margin_ext.register()
    # The first one imports and makes what is there once; threads may meet in the others.
    _, *trips = (TRIPS[trip](bitopro_sandbox).files for _ in range(4))
    shortest = min(trips, key=len)
    assert len(shortest) <= AIMS[trip], " > ".join(shortest)
