"""pytest fixtures: ``bitopro_sandbox`` gives every test a fresh exchange on a running server.

Nothing of the web framework is loaded until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import SandboxServer


@pytest.fixture(scope="session")
def bitopro_sandbox_server() -> Iterator[SandboxServer]:
    """Run one server for the whole session; tests want ``bitopro_sandbox`` instead."""
    from .server import SandboxServer

    with SandboxServer() as server:
        yield server


@pytest.fixture
def bitopro_sandbox(bitopro_sandbox_server: SandboxServer) -> SandboxServer:
    """Give a sandbox in its first state: default account, prices, switches, no faults, no log."""
    bitopro_sandbox_server.exchange.reset()
    return bitopro_sandbox_server
