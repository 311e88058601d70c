from collections.abc import Iterator
from pathlib import Path

import pytest

from bitopro_margin_ext.sandbox.server import SandboxServer
from tests.bot.conftest import quick_lookups
from tests.leverage.harness import LeverageHarness

__all__ = ["quick_lookups"]


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def harness(sandbox_server: SandboxServer, tmp_path: Path) -> Iterator[LeverageHarness]:
    made = LeverageHarness(sandbox_server, tmp_path)
    yield made
    made.close()
