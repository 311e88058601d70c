"""ccxt's own judges of its structures; an older ccxt does not ship them, and then none judges."""

import importlib
from collections.abc import Callable
from typing import Any


def _judge(kind: str, name: str = "") -> Callable[..., Any]:
    try:
        module = importlib.import_module(f"ccxt.test.exchange.base.test_{kind}")
    except ModuleNotFoundError:
        return lambda *arguments, **named: None
    judge: Callable[..., Any] = getattr(module, name or f"test_{kind}")
    return judge


check_balance = _judge("balance")
check_currency = _judge("currency")
check_interest = _judge("borrow_interest")
check_liquidation = _judge("liquidation")
check_market = _judge("market")
check_order = _judge("order")
check_rate = _judge("borrow_rate")
check_sequence = _judge("shared_methods", "assert_timestamp_order")
check_ticker = _judge("ticker")
check_trade = _judge("trade")
check_transfer = _judge("transfer")
