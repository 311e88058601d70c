"""A bot with leverage that kills itself at a given point, as a power cut would."""

import os
import signal
import sys
from pathlib import Path
from typing import Any


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, rest_url: str, point: str, *plan: str) -> None:
    from types import SimpleNamespace

    import requests

    from tests.leverage.harness import BTC, LeverageHarness, wire

    wishes = dict(wish.split("=") for wish in plan)
    control = __import__(
        "bitopro_margin_ext.sandbox.control_client", fromlist=["SandboxControl"]
    ).SandboxControl(rest_url.rsplit("/", 1)[0])
    assert requests
    harness = LeverageHarness.__new__(LeverageHarness)
    harness.server = SimpleNamespace(rest_url=rest_url)  # type: ignore[assignment]
    harness.control, harness.folder, harness._bots = control, Path(folder), []
    bot = harness.bot()
    api = bot.exchange._api
    side, leverage = wishes["side"], float(wishes["leverage"])

    def before(name: str) -> None:
        own = getattr(api, name)
        setattr(api, name, lambda *a, **k: die() or own(*a, **k))

    def after(name: str) -> None:
        own = getattr(api, name)

        def call(*args: Any, **kwargs: Any) -> None:
            own(*args, **kwargs)
            die()

        setattr(api, name, call)

    if point in ("before create_order", "after create_order"):
        (before if point.startswith("before") else after)("create_order")
        bot.strategy.enter[BTC] = side
        bot.strategy.levers[BTC] = leverage
        bot.process()
        return
    harness.open(bot, side, leverage, wishes.get("pair", BTC))
    if point == "when open":
        die()
    control.advance(86400)
    if point == "after repay":
        after("repay_cross_margin")
    else:
        (before if point.startswith("before") else after)("create_order")
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    for order in harness.truth(pair=wire(BTC), open=True, by_hand=False):
        control.fill(order["id"])
    bot.process()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(*sys.argv[1:])
