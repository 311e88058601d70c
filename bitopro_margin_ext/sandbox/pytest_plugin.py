"""pytest fixtures: ``bitopro_sandbox`` gives every test a fresh exchange on a running server.

Nothing of the web framework is loaded until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import SandboxServer

URL_VARIABLE = "BITOPRO_SANDBOX_URL"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers", "bitopro_sandbox(**switches): switches of the sandbox exchange for this test"
    )


@pytest.fixture(scope="session")
def bitopro_sandbox_server() -> Iterator[SandboxServer]:
    """Run one server for the whole session; tests want ``bitopro_sandbox`` instead."""
    try:
        from .server import SandboxServer
    except ModuleNotFoundError as error:
        pytest.fail(
            f"the fixture bitopro_sandbox needs {error.name}: "
            "pip install 'bitopro-margin-ext[sandbox]'",
            pytrace=False,
        )
    with SandboxServer() as server:
        yield server


@pytest.fixture
def bitopro_sandbox(
    bitopro_sandbox_server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> SandboxServer:
    """Give a sandbox in its first state: default account, prices, switches, no faults, no log.

    While the test runs ``BITOPRO_SANDBOX_URL`` is its address, so ``set_sandbox_mode(True)`` of the
    ccxt classes leads there. The marker of the same name sets switches.
    """
    bitopro_sandbox_server.exchange.reset()
    monkeypatch.setenv(URL_VARIABLE, bitopro_sandbox_server.url)
    for marker in request.node.iter_markers("bitopro_sandbox"):
        bitopro_sandbox_server.exchange.set_switches(marker.kwargs)
    return bitopro_sandbox_server
