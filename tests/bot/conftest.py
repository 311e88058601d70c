from collections.abc import Iterator
from pathlib import Path

import pytest

from bitopro_margin_ext.exchange import order_creation
from bitopro_margin_ext.sandbox.server import SandboxServer
from tests.bot.harness import BotHarness


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture(autouse=True)
def quick_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for an order that was not answered follow each other sooner."""
    monkeypatch.setattr(order_creation, "LOOKUP_PAUSES", (0.0, 0.05, 0.15))


@pytest.fixture
def harness(sandbox_server: SandboxServer, tmp_path: Path) -> Iterator[BotHarness]:
    made = BotHarness(sandbox_server, tmp_path)
    yield made
    made.close()
