"""``reduceOnly`` on an account without positions: what an exit is, read off its balances."""

from collections.abc import Iterable
from typing import Any, Final

import ccxt
from ccxt.base.precise import Precise

from ..core.endpoints import BALANCES
from .account import balance_structure
from .flow import Flow, Params, call
from .margin_exchange import MarginExchange
from .structures import Order

TOLERANCE: Final = "1.1"
"""How much more than the debt a buy-back may be: the fee is taken in the bought coin, and interest
runs on while an order rests."""

Asked = tuple[Any, Params, Order]
"""The market, the body and the amount in base of an order."""


def require_exits(api: MarginExchange, orders: Iterable[Asked]) -> Flow[None]:
    """Refuse orders that the caller calls exits and that are none, before they are sent.

    An exit is a sell of a coin that the account holds, or a buy of one that it owes, of at most 1.1
    times what is owed (selling more than is held the exchange refuses by itself). Where the
    balances cannot be read the order goes out: getting out must not wait for a list. With
    ``options.checkReduceOnly`` False nothing is asked.

    :raises ccxt.InvalidOrder: for an order that would open or enlarge a position.
    """
    if not api.options["checkReduceOnly"]:
        return
    try:
        balances = balance_structure(api, (yield from call(api, BALANCES)))
    except (ccxt.OperationFailed, ccxt.ExchangeError):
        return
    for market, body, asked in orders:
        base = market["base"]
        account = balances.get(base) or {}
        if body["action"] == "sell":
            if not Precise.string_gt(_text(api, account.get("total")), "0"):
                raise _no_exit(api, f"the account holds no {base} to sell")
            continue
        owed = _text(api, account.get("debt"))
        if not Precise.string_gt(owed, "0"):
            raise _no_exit(api, f"the account owes no {base} to buy back")
        amount = asked["amount"]
        if amount is not None and Precise.string_gt(amount, Precise.string_mul(owed, TOLERANCE)):
            raise _no_exit(api, f"a buy of {amount} {base} is more than the {owed} that are owed")


def _text(api: MarginExchange, number: Any) -> str:
    return "0" if number is None else str(api.number_to_string(number))


def _no_exit(api: MarginExchange, reason: str) -> ccxt.InvalidOrder:
    return ccxt.InvalidOrder(f"{api.id} reduceOnly is for exits, and {reason}")
