"""A real ``FreqtradeBot`` of this process on a world's exchange, killed and started at will."""

import contextlib
import functools
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode
from freqtrade.exceptions import FreqtradeException, OperationalException, TemporaryError
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.persistence import Order, Trade
from freqtrade.rpc.rpc import RPC

from bitopro_margin_ext.bot.pending_exits import rests
from bitopro_margin_ext.drill.bot_process import build_config
from bitopro_margin_ext.sandbox import API_KEY, API_SECRET, EMAIL

from .world import World

DEADLINE = 5.0
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where the databases lie, so that no commit waits for a disk."""


@functools.cache
def _base_config() -> dict[str, Any]:
    """What Freqtrade makes of the drill's config; read once, because it reads everything."""
    folder = Path(tempfile.mkdtemp(prefix="proof-"))
    handlers = list(logging.root.handlers)
    level = logging.root.level
    try:
        config = build_config(
            folder,
            rest_url="http://127.0.0.1:1/v3",
            scope="pair",
            deadline=DEADLINE,
            key=API_KEY,
            secret=API_SECRET,
        )
        # Its log is the drill's; here the plugin has been registered already.
        del config["log_config"]
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        arguments = {"config": [str(path)], "user_data_dir": str(folder)}
        found = Configuration(arguments, RunMode.LIVE).get_config()
    finally:
        shutil.rmtree(folder)
        logging.root.handlers, logging.root.level = handlers, level
    found["strategy"] = "ProofStrategy"
    found["strategy_path"] = str(Path(__file__).parent)
    # No indicator needs more candles, and each start reads them.
    found["exchange"]["_ft_has_params"] = {"ohlcv_candle_limit": 10}
    found["exchange"]["ccxt_config"]["login"] = EMAIL
    found["unfilledtimeout"] = {
        "entry": 60,
        "exit": 10,
        "exit_timeout_count": 1,
        "unit": "seconds",
    }
    return found


class BotRunner:
    """Starts, steps, kills and restarts one bot; its database lives as long as this object."""

    def __init__(
        self,
        world: World,
        scope: str,
        reasons: Sequence[str] = ("emergency_exit",),
        *,
        stream: bool = False,
    ) -> None:
        self.world = world
        self.folder = Path(tempfile.mkdtemp(prefix="proof-", dir=MEMORY))
        self.config = deepcopy(_base_config())
        self.config["user_data_dir"] = self.folder
        self.config["db_url"] = f"sqlite:///{self.folder}/trades.sqlite"
        self.config["exchange"]["ccxt_config"]["urls"]["api"]["rest"] = world.rest_url
        self.config["bitopro_margin"] |= {"scope": scope, "cancel_on": list(reasons)}
        self.config["bitopro_margin"]["stream"] = stream
        self.config["exchange"]["enable_ws"] = stream
        self.held_up: list[float] = []
        logging.disable(logging.CRITICAL)
        self._start()

    def _start(self) -> None:
        with self.world.only_network():
            self.bot = FreqtradeBot(deepcopy(self.config))
            self.bot.startup()
        self.strategy = self.bot.strategy

    def step(self) -> None:
        """One iteration, as the worker makes it: what the exchange does wrong does not stop it."""
        with self.world.only_network():
            try:
                self.bot.process()
            except (TemporaryError, OperationalException):
                Trade.rollback()

    def restart(self) -> None:
        """A new process on the same database, after a power cut; the strategy means the same."""
        before = self.strategy
        self._abandon()
        self._start()
        for name in ("wanted", "unwanted", "refused", "adjust", "due"):
            setattr(self.strategy, name, getattr(before, name))

    def force_exit(self, trade_id: int, amount: float) -> None:
        """The user's wish to sell so much of a trade at once."""
        with self.world.only_network(), contextlib.suppress(FreqtradeException):
            RPC(self.bot)._rpc_force_exit(str(trade_id), ordertype="market", amount=amount)
        Trade.rollback()

    def end(self) -> None:
        """Drop everything."""
        self._abandon()
        shutil.rmtree(self.folder, ignore_errors=True)
        logging.disable(logging.NOTSET)

    def _abandon(self) -> None:
        self.held_up += self.strategy.held_up
        Trade.session.rollback()
        engine = Trade.session.get_bind()
        Trade.session.remove()
        engine.dispose()
        self.bot.exchange.close()

    def all_held_up(self) -> list[float]:
        """How many seconds the emergency hook took, each time."""
        return self.held_up + self.strategy.held_up

    def exits_to_come(self) -> list[Any]:
        """The recorded exits for which nothing rests on the exchange."""
        Trade.session.expire_all()
        found = []
        for pending in self.strategy.emergency.exits.all():
            trade = Trade.session.get(Trade, pending.trade_id)
            if trade is not None and trade.is_open and not rests(trade, pending):
                found.append(pending)
        return found

    def refused_pairs(self) -> list[str]:
        """The pairs whose whole position has to go, and could not."""
        return [
            Trade.session.get(Trade, pending.trade_id).pair
            for pending in self.exits_to_come()
            if pending.failures and pending.is_whole
        ]

    # -- what the bot believes -----------------------------------------------------------------

    def orders(self) -> list[Order]:
        """Every order row, as another connection would read it."""
        Trade.session.expire_all()
        return list(Order.session.query(Order).all())

    def trades(self) -> list[Trade]:
        """Every open trade."""
        Trade.session.expire_all()
        return list(Trade.get_open_trades())
