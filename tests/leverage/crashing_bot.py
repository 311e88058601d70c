"""A bot with leverage that kills itself at a given point, as a power cut would."""

import os
import signal
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bitopro_margin_ext.sandbox.control_client import SandboxControl
from tests.leverage.harness import BTC, LeverageHarness, wire

SECONDS = 60
"""After which a bot that has not reached its point is ended, and its test fails."""


def crash(
    harness: LeverageHarness,
    point: str,
    side: str,
    leverage: float,
    *,
    pair: str = BTC,
    folder: Path | None = None,
) -> None:
    """Let a child process live until it is killed: a real end without any clean-up.

    ``folder``: where it has its database and its ledger, if not where the harness has them.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        try:
            _live(harness, point, side, leverage, pair, folder or harness.folder)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"it ended by itself: {status}"
    assert os.WTERMSIG(status) == signal.SIGKILL


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _live(
    parent: LeverageHarness, point: str, side: str, leverage: float, pair: str, folder: Path
) -> None:
    # Nothing that is connected is shared with the parent.
    harness = LeverageHarness.__new__(LeverageHarness)
    harness.server = SimpleNamespace(rest_url=parent.server.rest_url)  # type: ignore[assignment]
    harness.control = SandboxControl(parent.server.url)
    harness.folder, harness._bots = folder, []
    bot = harness.bot()
    api = bot.exchange._api

    def before(name: str) -> None:
        own = getattr(api, name)
        setattr(api, name, lambda *a, **k: _die() or own(*a, **k))

    def after(name: str) -> None:
        own = getattr(api, name)

        def call(*args: Any, **kwargs: Any) -> None:
            own(*args, **kwargs)
            _die()

        setattr(api, name, call)

    if point in ("before create_order", "after create_order"):
        (before if point.startswith("before") else after)("create_order")
        bot.strategy.enter[BTC] = side
        bot.strategy.levers[BTC] = leverage
        bot.process()
        return
    harness.open(bot, side, leverage, pair)
    if point == "when open":
        _die()
    harness.control.advance(86400)
    if point == "after repay":
        after("repay_cross_margin")
    else:
        (before if point.startswith("before") else after)("create_order")
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    for order in harness.truth(pair=wire(BTC), open=True, by_hand=False):
        harness.control.fill(order["id"])
    bot.process()
