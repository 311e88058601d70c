"""What the tests of the bot stand on: real ``FreqtradeBot`` objects on a real sandbox."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.persistence import Order, Trade
from freqtrade.rpc.rpc import RPCHandler

import bitopro_margin_ext
from bitopro_margin_ext.bot import positions
from bitopro_margin_ext.core.rate_limit import limits_of
from bitopro_margin_ext.drill.bot_process import build_config
from bitopro_margin_ext.sandbox import API_KEY, API_SECRET
from bitopro_margin_ext.sandbox.server import SandboxServer

STRATEGIES = Path(__file__).with_name("strategies")
BTC, ETH = "BTC/USDT", "ETH/USDT"

CANCEL_ALL = "DELETE /v3/margin/orders/all"


def cancel_pair(pair: str) -> str:
    return f"DELETE /v3/margin/orders/{wire(pair)}"


def wire(pair: str) -> str:
    return pair.lower().replace("/", "_")


class Recorder(RPCHandler):
    """A way to the user, like Telegram, that keeps what it is told."""

    def __init__(self, rpc: Any, config: Any) -> None:
        super().__init__(rpc, config)
        self.messages: list[Any] = []

    def cleanup(self) -> None:
        pass

    def send_msg(self, msg: Any) -> None:
        self.messages.append(msg)


class BotHarness:
    """One sandbox, and the bots that trade on it, one at a time."""

    def __init__(self, server: SandboxServer, folder: Path) -> None:
        self.server = server
        self.control = server.control
        self.folder = folder
        self._bots: list[Any] = []
        self._restart()

    def _restart(self) -> None:
        self.server.exchange.reset()
        # The sandbox is new, and so is its limit.
        limits_of(self.server.url).clear()
        self.control.switches(rate_limits=False)
        self.control.set_prices({"btc_usdt": "60000", "eth_usdt": "3000"})
        self.control.set_balances({"USDT": "100000", "BTC": "0", "ETH": "0"})

    def afresh(self) -> None:
        """A new exchange for a second bot that lives through the same story."""
        for bot in self._bots:
            close(bot)
        self._bots.clear()
        for old in self.folder.glob("*.sqlite*"):
            old.unlink()
        self._restart()

    def config(self, strategy: str = "Guarded", **changes: Any) -> dict[str, Any]:
        config = build_config(
            self.folder,
            rest_url=self.server.rest_url,
            scope=changes.pop("scope", "pair"),
            deadline=changes.pop("deadline", 10.0),
            key=API_KEY,
            secret=API_SECRET,
        )
        del config["log_config"]
        config["exchange"]["enable_ws"] = False
        # No strategy here needs more candles.
        config["exchange"]["_ft_has_params"] = {"ohlcv_candle_limit": 20}
        # ccxt's pauses between requests, and on closing, are no subject here.
        config["exchange"]["ccxt_config"] |= {"rateLimit": 1, "timeout_on_exit": 0}
        config |= {"strategy": strategy, "strategy_path": str(STRATEGIES)}
        # What times out is said by the strategy.
        config["unfilledtimeout"] |= {"exit": 600}
        for name, value in changes.items():
            known = config.get(name)
            config[name] = {**known, **value} if isinstance(known, dict) else value
        return config

    def bot(self, strategy: str = "Guarded", **changes: Any) -> Any:
        """A bot that has started, as the worker starts it, and has made no iteration."""
        bitopro_margin_ext.register()
        path = self.folder / "config.json"
        path.write_text(json.dumps(self.config(strategy, **changes)))
        arguments = {"config": [str(path)], "user_data_dir": str(self.folder)}
        mode = RunMode.DRY_RUN if changes.get("dry_run") else RunMode.LIVE
        bot = FreqtradeBot(Configuration(arguments, mode).get_config())
        self._bots.append(bot)
        recorder = Recorder(bot.rpc._rpc, {"recorder": {"allow_custom_messages": True}})
        bot.rpc.registered_modules.append(recorder)
        bot.messages = recorder.messages
        bot.startup()
        return bot

    def close(self) -> None:
        for bot in self._bots:
            close(bot)

    # -- what happened -------------------------------------------------------------------------

    def lines(self, after: int = 0) -> list[str]:
        """The private requests since a line of the log, as ``METHOD path``."""
        return [
            f"{line['method']} {line['path']}"
            for line in self.control.requests(after)
            if "/margin/" in line["path"]
        ]

    @property
    def mark(self) -> int:
        """The number of the last line of the request log."""
        found = self.control.requests()
        return found[-1]["n"] if found else 0

    def truth(self, **what: Any) -> list[dict[str, Any]]:
        """The true margin orders with these fields."""
        return [
            order
            for order in self.control.orders(kind="margin")
            if all(order[name] == value for name, value in what.items())
        ]

    def sells(self, pair: str = BTC, **what: Any) -> list[dict[str, Any]]:
        return self.truth(pair=wire(pair), action="SELL", by_hand=False, **what)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Let every write of the bot's rows fail as one on a full disk does."""
        path = self.folder / "trades.sqlite"
        names = [f"{table}_{verb}" for table in ("orders", "trades", "trade_custom_data")
                 for verb in ("INSERT", "UPDATE", "DELETE")]  # fmt: skip
        with sqlite3.connect(path) as connection:
            for name in names:
                table, verb = name.rsplit("_", 1)
                connection.execute(
                    f"create trigger {name} before {verb} on {table}"
                    " begin select raise(abort, 'database or disk is full'); end"
                )
        yield
        with sqlite3.connect(path) as connection:
            for name in names:
                connection.execute(f"drop trigger {name}")

    # -- common beginnings ---------------------------------------------------------------------

    def enter(self, bot: Any, pair: str, fill: str | None = "1") -> str:
        """Have the bot enter a pair; the id of its entry, filled to a fraction."""
        bot.strategy.enter.add(pair)
        before = {order["id"] for order in self.truth()}
        bot.process()
        entry = next(
            order["id"]
            for order in self.truth(pair=wire(pair), action="BUY", by_hand=False)
            if order["id"] not in before
        )
        if fill is not None:
            self.control.fill(entry, fraction=fill)
        return str(entry)

    def hold(self, bot: Any, pair: str = BTC) -> str:
        """A position with its stoploss on the exchange; the id of the stoploss."""
        self.enter(bot, pair)
        bot.process()
        return str(self.sells(pair, open=True)[-1]["id"])

    def leave(self, bot: Any, pair: str = BTC) -> str:
        """A position whose exit order rests above the market; the id of that order."""
        self.hold(bot, pair)
        bot.strategy.leave[pair] = "told_to"
        bot.process()
        exits = [order for order in self.sells(pair, open=True) if not order["stopPrice"]]
        return str(exits[-1]["id"])


def close(bot: Any) -> None:
    bot.config["cancel_open_orders_on_exit"] = False
    bot.cleanup()
    Trade.session.remove()
    Trade.session.get_bind().dispose()


def order_row(order_id: str, pair: str = BTC) -> Any:
    Trade.session.expire_all()
    return positions.find_order(pair, order_id)


def trade_of(pair: str = BTC) -> Any:
    """The last trade of a pair, open or not."""
    Trade.session.expire_all()
    found = Trade.get_trades([Trade.pair == pair]).all()
    return found[-1] if found else None


def wait_until(done: Callable[[], Any], seconds: float = 10.0) -> Any:
    ends = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)
    return found


# The reason is ours on purpose, and no two runs have the same clock.
# The exchange names its orders afresh in each story.
APART = {"ft_cancel_reason", "exit_order_status", "id", "ft_trade_id", "strategy", "order_id"}


def rows_of(pair: str) -> list[dict[str, Any]]:
    trade = trade_of(pair)
    found = [] if trade is None else [trade, *trade.orders]
    orphans = list(Order.session.query(Order).filter(Order.ft_pair == pair))
    assert len(orphans) == max(0, len(found) - 1), "order rows without their trade"
    return [
        {
            column.key: getattr(row, column.key)
            for column in row.__table__.columns
            if column.key not in APART and not isinstance(getattr(row, column.key), datetime)
        }
        for row in found
    ]


def differences(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[Any]:
    assert len(found) == len(expected)
    return [
        (name, one.get(name), other.get(name))
        for one, other in zip(found, expected, strict=True)
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name)
    ]
