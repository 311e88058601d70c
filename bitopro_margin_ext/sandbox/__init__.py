"""A local exchange that speaks as BitoPro's pages say, for tests and drills.

It is an independent witness: nothing of the client is imported here, so a mistake in the client's
signing or parsing cannot hide behind the same mistake on this side. Importing this package is
cheap; the web framework is loaded when a server is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitopro_margin_ext.sandbox.control import SandboxControl
    from bitopro_margin_ext.sandbox.server import SandboxServer
    from bitopro_margin_ext.sandbox.state import Exchange

__all__ = ["Exchange", "SandboxControl", "SandboxServer"]

_HOMES = {
    "Exchange": "bitopro_margin_ext.sandbox.state",
    "SandboxControl": "bitopro_margin_ext.sandbox.control",
    "SandboxServer": "bitopro_margin_ext.sandbox.server",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
