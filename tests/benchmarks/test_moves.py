"""How often control moves between our files on the way of an emergency may not grow again."""

import pytest

from bitopro_margin_ext import register
from bitopro_margin_ext.sandbox.server import SandboxServer
from tests.benchmarks import moves_between_files as moves

IN_THE_BOTS_ROOM = 25


@pytest.fixture(scope="module")
def before_exit() -> list[str]:
    register()
    with SandboxServer() as server:
        moves.of_before_exit(server)  # what is imported and made once
        return moves.of_before_exit(server).files


def test_the_bots_part_of_an_emergency_stays_short(before_exit: list[str]) -> None:
    found = [name for name in before_exit if name.startswith("bot/")]
    assert len(found) <= IN_THE_BOTS_ROOM, " > ".join(found)


def test_each_trip_is_half_of_what_it_was() -> None:
    """The least of a few runs: two calls that go out at once may come back in any order."""
    register()
    with SandboxServer() as server:
        for name, trip in moves.TRIPS.items():
            least = min(len(trip(server).files) for _ in range(5))
            assert least <= moves.AIMS[name], name
