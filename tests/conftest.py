"""For every room: how its processes are started, and in which order the tests run."""

import functools
import gc
import os
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # `nohup … &` and some build servers start us with SIGINT ignored, and children inherit that:
    # a bot or a guard that is sent one at the end of its test would never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Freqtrade is started dozens of times, and without its bytecode each start takes ten seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_create_context = ssl.create_default_context
_context_of = functools.cache(lambda cafile: _create_context(cafile=cafile))


def _context(*args: Any, **more: Any) -> ssl.SSLContext:
    """Each bot and asynchronous client of ccxt asks for its certificates, which takes 40 ms."""
    if not args and list(more) == ["cafile"]:
        return _context_of(more["cafile"])
    return _create_context(*args, **more)


ssl.create_default_context = _context

LONG_FIRST = ("stateful", "drill", "benchmarks", "leverage", "bot", "readme", "cli")
"""The rooms with long tests, the longest first: no worker is left with one when all others end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by their rooms; within a room they stay as they are."""
    here = Path(__file__).parent
    places = {room: place for place, room in enumerate(LONG_FIRST)}

    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return places.get(room, len(places))

    items.sort(key=place)


def pytest_sessionfinish() -> None:
    """Let finalizers run before Hypothesis parses sources for its summary.

    CPython 3.11's parser counts wrongly when the garbage collector calls it within itself, and a
    finalizer that logs a traceback does ("AST constructor recursion depth mismatch").
    """
    gc.collect()
