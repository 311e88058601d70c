"""Everything of Freqtrade's that is not public API, touched here and nowhere else.

Each use has its reason, and ``check_classes`` and ``check_bot`` see at start-up that it is all
there: a Freqtrade that changed must stop with one line, not fail in the middle of an emergency.
"""

import functools
import inspect
import json
import operator
import threading
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from ..core.errors import BitoproMarginError

SUPPORTED: Final = "2025.11.2 or later"
"""The versions of Freqtrade that the suite has passed on."""

CLASS_MEMBERS: Final = (
    # (class, member, parameters that we pass, why)
    ("freqtrade.freqtradebot:FreqtradeBot", "handle_cancel_enter", "trade order order_obj reason",
     "maps a cancelled entry as Freqtrade would, and deletes a trade that never filled"),
    ("freqtrade.freqtradebot:FreqtradeBot", "handle_cancel_exit", "trade order order_obj reason",
     "maps a cancelled exit as Freqtrade would"),
    ("freqtrade.freqtradebot:FreqtradeBot", "update_trade_state", "trade order_id action_order",
     "maps a filled order and a cancelled stoploss"),
    ("freqtrade.freqtradebot:FreqtradeBot", "execute_trade_exit",
     "trade limit exit_check ordertype sub_trade_amt",
     "sends an exit that must come, and is the only place where every exit passes with its reason"),
    ("freqtrade.freqtradebot:FreqtradeBot", "create_stoploss_order", "trade stop_price",
     "a stop must not take the place of an exit that must come"),
    ("freqtrade.freqtradebot:FreqtradeBot", "handle_stoploss_on_exchange", "trade",
     "maps a stoploss that filled before the sweep reached it"),
    ("freqtrade.freqtradebot:FreqtradeBot", "execute_entry",
     "pair stake_amount price is_short ordertype enter_tag trade mode leverage_",
     "writes the rows of an entry whose creation was not answered"),
    ("freqtrade.freqtradebot:FreqtradeBot", "get_valid_enter_price_and_stake", "",
     "says what an entry's row will hold"),
    ("freqtrade.freqtradebot:FreqtradeBot", "handle_similar_open_order", "trade",
     "would cancel other orders when an entry is adopted"),
    ("freqtrade.freqtradebot:FreqtradeBot", "_notify_exit", "trade order_type sub_trade order",
     "the message about an exit whose creation was not answered"),
    ("freqtrade.persistence:Trade", "set_custom_data", "key value",
     "exits that must come are kept there"),
    ("freqtrade.persistence.custom_data:_CustomData", "query_cd", "key",
     "exits that must come are found there after a restart, whatever state their trades are in"),
    ("freqtrade.strategy.interface:IStrategy", "ft_check_timed_out", "trade order current_time",
     "the only call before the cancel of a timed-out exit order"),
    ("freqtrade.strategy.interface:IStrategy", "ft_bot_start", "",
     "the first call with the bot complete, whose exceptions stop the start"),
    ("freqtrade.exchange:Exchange", "cancel_order_with_result", "order_id pair amount",
     "answers for an order that the sweep has cancelled"),
    ("freqtrade.exchange:Exchange", "cancel_stoploss_order_with_result", "order_id pair amount",
     "the same for a stoploss"),
    ("freqtrade.exchange:Exchange", "create_order", "pair side amount leverage initial_order",
     "keeps an exit from being larger than the position"),
    ("freqtrade.exchange:Exchange", "create_stoploss", "pair amount stop_price side leverage",
     "the same for a stoploss"),
    ("freqtrade.exchange:Exchange", "_get_params", "side ordertype",
     "the way of a clientId into an order"),
    ("freqtrade.exchange:Exchange", "_get_stop_params", "side ordertype stop_price",
     "the same for a stoploss"),
    ("freqtrade.exchange:Exchange", "cancel_order", "order_id pair",
     "does without the host's pauses in an emergency"),
    ("freqtrade.exchange:Exchange", "fetch_order", "order_id pair",
     "answers for an order whose end is known"),
    ("freqtrade.exchange:Exchange", "get_rate", "pair refresh side is_short",
     "spares the network while orders are mapped"),
    ("freqtrade.exchange:Exchange", "close", "",
     "the base closes even what a refused start has not made"),
    ("freqtrade.exchange:Exchange", "fetch_ticker", "pair",
     "does without the host's pauses in an emergency"),
    ("freqtrade.exchange:Exchange", "fetch_l2_order_book", "pair", "the same"),
    ("freqtrade.exchange:Exchange", "get_trades_for_order", "order_id pair", "the same"),
    ("freqtrade.exchange:Exchange", "fetch_orders", "pair since",
     "finds an exit order that a crash kept out of the database"),
    ("freqtrade.exchange:Exchange", "get_balances", "",
     "spares the network while orders are mapped"),
    ("freqtrade.exchange:Exchange", "get_liquidation_price", "pair open_rate",
     "the base raises in margin mode"),
    ("freqtrade.exchange:Exchange", "_supported_trading_mode_margin_pairs", None,
     "how an exchange class lists its trading modes"),
    ("freqtrade.exchange:Exchange", "_ft_has_default", None,
     "how an exchange class lists its differences"),
    ("freqtrade.exchange:Exchange", "_ft_has_futures", None,
     "how an exchange class lists its differences with leverage"),
    ("freqtrade.exchange:Exchange", "_fetch_funding_rate_history", "pair timeframe limit since_ms",
     "download-data wants funding rates of a leveraged account"),
    ("freqtrade.exchange:Exchange", "get_funding_fees", "pair amount is_short open_date",
     "interest is booked as funding fees"),
    ("freqtrade.exchange:Exchange", "calculate_funding_fees",
     "amount is_short open_date close_date", "interest in backtests"),
    ("freqtrade.exchange:Exchange", "market_is_future", "market", "which pairs have leverage"),
    ("freqtrade.exchange:Exchange", "fetch_positions", "pair", "open trades as positions"),
    ("freqtrade.exchange:Exchange", "reload_markets", "force", "the first call of an iteration"),
    ("freqtrade.persistence:Order", "funding_fee", None, "what an exit's loan has cost"),
    ("freqtrade.persistence:Trade", "funding_fee_running", None,
     "older versions overwrite an order's funding fee with it"),
    ("freqtrade.persistence:Trade", "recalc_trade_from_orders", "is_closing",
     "a late cost changes a profit"),
    ("freqtrade.persistence:LocalTrade", "bt_trades_open", None,
     "backtests do not say whose interest they ask for"),
)  # fmt: skip


class UnsupportedFreqtradeError(BitoproMarginError):
    """This Freqtrade lacks something that the plugin stands on."""

    def __init__(self, missing: str, why: str) -> None:
        import freqtrade

        super().__init__(
            f"bitopro_margin_ext does not know Freqtrade {freqtrade.__version__}: it has no"
            f" {missing} ({why}). Supported: {SUPPORTED}"
        )


def check_classes() -> None:
    """See that every member that we override or call is there and takes what we pass.

    :raises UnsupportedFreqtradeError: naming the first that is not.
    """
    import importlib

    for path, name, parameters, why in CLASS_MEMBERS:
        module, cls = path.split(":")
        member = getattr(getattr(importlib.import_module(module), cls), name, None)
        if member is None:
            raise UnsupportedFreqtradeError(f"{cls}.{name}", why)
        if parameters is None:
            continue
        accepted = inspect.signature(member).parameters
        for parameter in parameters.split():
            if parameter not in accepted:
                raise UnsupportedFreqtradeError(f"parameter {parameter!r} of {cls}.{name}", why)


def bot_of(strategy: Any) -> Any:
    """The bot that runs this strategy, or None outside live and dry-run trading.

    A strategy is not given its bot, but only the bot's own handlers leave a trade exactly as
    Freqtrade would; the way there is the data provider's link to the RPC manager.
    """
    provider = getattr(strategy, "dp", None)
    manager = getattr(provider, "_DataProvider__rpc", None)
    return getattr(getattr(manager, "_rpc", None), "_freqtrade", None)


def exchange_of(strategy: Any) -> Any:
    """The exchange of the bot that runs this strategy, or None."""
    return getattr(bot_of(strategy), "exchange", None)


def exit_lock(bot: Any) -> Any:
    """The lock under which the bot handles exits and forced exits; it cannot be re-entered."""
    return bot._exit_lock


def wrap_method(bot: Any, name: str, around: Callable[..., Any]) -> None:
    """Have every caller of a method of this bot go through ``around(method, *arguments)``.

    A strategy is not asked before partial exits, liquidations and stops.
    """
    setattr(bot, name, functools.partial(around, getattr(bot, name)))


def custom_data_of_trades(key: str) -> list[tuple[int, Callable[[], Any]]]:
    """What all trades have under this key, as trade id and a function that decodes the value.

    The public way goes through each ``Trade``, and one that cannot be loaded would hide the rest.

    :raises SQLAlchemyError: when the table cannot be read.
    """
    return [
        (row.ft_trade_id, functools.partial(json.loads, row.cd_value))
        for row in custom_data().query_cd(key=key)
        if row.cd_key == key
    ]


@functools.cache
def custom_data() -> Any:
    """The class of the custom data of trades: it has sessions of its own."""
    from freqtrade.persistence.custom_data import _CustomData

    return _CustomData


ccxt_api: Final[Callable[[Any], Any]] = operator.attrgetter("_api")
"""The blocking ccxt object of an exchange: the sweep's calls are no methods of Freqtrade's."""


def ccxt_async_api(exchange: Any) -> Any:
    """The asynchronous ccxt object of an exchange, for what is fetched inside its event loop."""
    return exchange._api_async


def funding_rate_columns() -> int:
    """How many numbers stand behind the moment in a row of funding rates: it was a candle once."""
    from freqtrade.exchange import Exchange

    return 1 if hasattr(Exchange, "_add_funding_columns") else 5


def dry_run_orders(exchange: Any) -> MutableMapping[str, Any]:
    """The simulated orders: Freqtrade cancels them one by one only, and forgets their fills."""
    orders: MutableMapping[str, Any] = exchange._dry_run_open_orders
    return orders


def notify_exit(bot: Any, trade: Any, order_type: str, order: Any, partial: bool) -> None:
    """The bot's own message about an exit order that was placed."""
    bot._notify_exit(trade, order_type, sub_trade=partial, order=order)


def check_bot(strategy: Any) -> None:
    """See that the instance attributes are there too, once there are instances.

    :raises UnsupportedFreqtradeError: naming the first that is not.
    """
    bot = bot_of(strategy)
    if bot is None:
        raise UnsupportedFreqtradeError(
            "way from a strategy to its bot", "the bot's handlers do the mapping"
        )
    for owner, name, why in (
        (bot, "_exit_lock", "an exit must not run beside another"),
        (bot, "rpc", "the user is told what was cancelled"),
        (bot.exchange, "_api", "the sweep calls ccxt"),
        (bot.exchange, "_dry_run_open_orders", "a dry run cancels simulated orders"),
    ):
        if not hasattr(owner, name):
            raise UnsupportedFreqtradeError(f"{type(owner).__name__}.{name}", why)


def send_aside(manager: Any, messages: list[Any]) -> None:
    """Send messages from a thread: a webhook that hangs must not hold up an exit."""

    def send() -> None:
        for message in messages:
            manager.send_msg(message)

    threading.Thread(target=send, name="bitopro-margin-messages", daemon=True).start()
