"""Real Freqtrade bots in this process, with trades and open orders in a database on disk."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode, TradingMode
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.persistence import Order, Trade
from freqtrade.system import gc_set_threshold

from bitopro_margin_ext.drill.bot_process import STRATEGY, write_userfolder

from .children import EMAIL, KEY, SECRET
from .venue import CURRENCIES, PAIRS, Venue

HELD = 10.0
"""What each trade holds, in base."""


@contextmanager
def running_bot(venue: Venue) -> Iterator[FreqtradeBot]:
    """A bot as ``freqtrade trade`` makes it, live against the venue, in a folder of its own."""
    gc_set_threshold()
    with TemporaryDirectory() as folder:
        path = write_userfolder(
            Path(folder),
            rest_url=venue.rest_url,
            scope="all",
            deadline=120,
            key=KEY,
            secret=SECRET,
        )
        config = json.loads(path.read_text())
        config["exchange"] |= {
            "pair_whitelist": list(PAIRS),
            "ccxt_config": {
                "login": EMAIL,
                "urls": {"api": {"rest": venue.rest_url}},
                # The sandbox lends three currencies; the benchmark wants ten pairs.
                "options": {"fetchMargins": False, "marginCurrencies": list(CURRENCIES)},
            },
        }
        config["max_open_trades"] = len(PAIRS)
        path.write_text(json.dumps(config))
        arguments = {
            "command": "trade",
            "config": [str(path)],
            "user_data_dir": folder,
            "strategy": STRATEGY,
        }
        bot = FreqtradeBot(Configuration(arguments, RunMode.LIVE).get_config())
        try:
            yield bot
        finally:
            bot.cleanup()


def open_trades(bot: FreqtradeBot, resting: Sequence[Mapping[str, Any]]) -> list[Trade]:
    """A trade for each pair that has resting orders: bought once, with these exits open."""
    exits: dict[str, list[Mapping[str, Any]]] = {}
    for order in resting:
        exits.setdefault(_symbol(order), []).append(order)
    trades = [_trade(bot, pair, orders) for pair, orders in exits.items()]
    Trade.session.add_all(trades)
    Trade.commit()
    return trades


def _trade(bot: FreqtradeBot, pair: str, exits: Sequence[Mapping[str, Any]]) -> Trade:
    base, quote = pair.split("/")
    now = datetime.now(UTC)
    trade = Trade(
        pair=pair,
        base_currency=base,
        stake_currency=quote,
        exchange=bot.exchange.id,
        strategy=STRATEGY,
        timeframe=5,
        is_open=True,
        amount=HELD,
        amount_requested=HELD,
        stake_amount=HELD * 100,
        open_rate=100.0,
        open_date=now,
        fee_open=0.001,
        fee_close=0.001,
        leverage=1.0,
        is_short=False,
        trading_mode=TradingMode.MARGIN,
        amount_precision=8,
        price_precision=2,
        precision_mode=2,
    )
    entry = _structure(pair, "buy", f"entry-{base}", HELD, 100.0, "closed", HELD)
    trade.orders.append(Order.parse_from_ccxt_object(entry, pair, "buy"))
    for seeded in exits:
        amount, price = float(seeded["originalAmount"]), float(seeded["price"])
        order = _structure(pair, "sell", str(seeded["id"]), amount, price, "open", 0.0)
        trade.orders.append(Order.parse_from_ccxt_object(order, pair, "sell"))
    trade.recalc_open_trade_value()
    return trade


def _structure(
    pair: str, side: str, order_id: str, amount: float, price: float, status: str, filled: float
) -> dict[str, Any]:
    return {
        "id": order_id,
        "symbol": pair,
        "side": side,
        "type": "limit",
        "amount": amount,
        "price": price,
        "average": price if filled else None,
        "filled": filled,
        "remaining": amount - filled,
        "cost": filled * price,
        "status": status,
        "timestamp": int(datetime.now(UTC).timestamp() * 1000),
    }


def _symbol(order: Mapping[str, Any]) -> str:
    return str(order["pair"]).upper().replace("_", "/")
