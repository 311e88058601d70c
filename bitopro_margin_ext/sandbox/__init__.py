"""A local exchange that speaks as BitoPro's pages say, for tests and drills.

It is an independent witness: nothing of the client is imported here, so a mistake in the client's
signing or parsing cannot hide behind the same mistake on this side. Importing this package is
cheap; the web framework is loaded when a server is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .control_client import SandboxControl
    from .server import SandboxServer
    from .state import Exchange

# What a fresh sandbox has before anybody changes it.
HOST: Final = "127.0.0.1"
PORT: Final = 8650
API_KEY: Final = "sandbox-key"
API_SECRET: Final = "sandbox-secret"  # noqa: S105 - a published test credential, not a secret
EMAIL: Final = "sandbox@example.com"
REST_PREFIX: Final = "/v3"
STREAM_PREFIX: Final = "/ws/v1/pub"
CONTROL_PREFIX: Final = "/_sandbox"

__all__ = ["Exchange", "SandboxControl", "SandboxServer"]

_HOMES = {
    "Exchange": ".state",
    "SandboxControl": ".control_client",
    "SandboxServer": ".server",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(_HOMES[name], __name__), name)
