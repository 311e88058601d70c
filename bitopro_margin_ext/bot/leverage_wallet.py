"""The margin account as Freqtrade's wallets of a leveraged account must show it. Pure.

Freqtrade adds up the free balance of every currency and, for each position, its equity: collateral
plus profit. So what is behind a position, its base or its debt, must not stand in a currency too.
What remains is what is free: the sum of it all is the account's equity, whatever else the user
holds or owes.
"""

from collections.abc import Iterable
from typing import Any


def shown_balances(balances: dict[str, Any], trades: Iterable[Any], stake: str) -> dict[str, Any]:
    """Balances (ccxt, with ``debt``) less what Freqtrade counts with its positions.

    A debt is taken off its currency, so one that is larger than what is held shows as negative.
    """
    shown = {
        currency: {**row, "free": _number(row, "total") - _number(row, "debt")}
        for currency, row in balances.items()
        if isinstance(row, dict)
    }
    nothing = {"free": 0.0, "used": 0.0, "total": 0.0}
    tied_up = 0.0
    for trade in trades:
        base = shown.setdefault(trade.safe_base_currency, dict(nothing))
        quote = shown.setdefault(stake, dict(nothing))
        held, collateral = trade.amount or 0.0, trade.stake_amount or 0.0
        tied_up += collateral
        entries = [order for order in trade.open_orders if order.ft_order_side == trade.entry_side]
        # Executed by an order that goes on: Freqtrade counts it when the order has ended.
        filled = sum(order.safe_filled for order in entries)
        if trade.is_short:
            base["free"] += held + filled
            quote["free"] -= collateral * (trade.leverage + 1 if held else 1.0)
            if held:
                quote["free"] -= sum(order.stake_amount for order in entries)
            quote["free"] -= sum(order.safe_filled * order.safe_price for order in entries)
        else:
            base["free"] -= held + filled
            if held:
                quote["free"] += collateral * (trade.leverage - 1)
            for order in entries:
                price = order.safe_placement_price
                # Borrowed for the whole order, and locked by what is left of it.
                quote["free"] += order.safe_amount * price * (1 - 1 / trade.leverage)
                quote["free"] -= order.safe_remaining * price
    for currency, row in shown.items():
        if currency == stake:
            row["used"] = tied_up
        row["total"] = row["free"] + (tied_up if currency == stake else 0.0)
    return {**balances, **shown}


def _number(row: dict[str, Any], name: str) -> float:
    return float(row.get(name) or 0.0)
