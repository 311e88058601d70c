"""At which price the exchange liquidates, and what a liquidation did to a position. Pure.

The exchange looks at one ratio of the whole account, assets by debts (adRatio). The price of a pair
at which it falls to the threshold follows from what the account holds and owes of the pair's base;
every other currency is taken at its mark price.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from ..core.parse_account import parse_liquidation
from .debt_lines import UNIT
from .leverage_amounts import dec

PREFIX: Final = "liquidation-"
"""How the ids of orders begin that stand for what the exchange sold or bought by force."""


@dataclass(slots=True)
class Holdings:
    """What an account has and owes, by currency, and what these are worth in quote."""

    assets: dict[str, float] = field(default_factory=dict)
    debts: dict[str, float] = field(default_factory=dict)
    marks: dict[str, float] = field(default_factory=dict)

    def add(self, currency: str, asset: float = 0.0, debt: float = 0.0) -> None:
        """Put amounts on top of what there is."""
        self.assets[currency] = self.assets.get(currency, 0.0) + asset
        self.debts[currency] = self.debts.get(currency, 0.0) + debt

    def value(self, amounts: Mapping[str, float], without: str | None = None) -> float:
        """What amounts are worth in quote; a currency without a price is worth nothing."""
        return sum(
            amount * self.marks.get(currency, 0.0)
            for currency, amount in amounts.items()
            if currency != without
        )

    @property
    def ratio(self) -> float | None:
        """Assets by debts; None without a debt."""
        debts = self.value(self.debts)
        return self.value(self.assets) / debts if debts > 0 else None


def liquidation_price(holdings: Holdings, base: str, threshold: float, is_short: bool) -> float:
    """The price of a base at which the account's ratio is the threshold; 0.0 where there is none.

    For a long the ratio falls with the price, for a short it falls as the price rises: an account
    where the other direction is the dangerous one has no such price for the trade.
    """
    slope = holdings.assets.get(base, 0.0) - threshold * holdings.debts.get(base, 0.0)
    rest = threshold * holdings.value(holdings.debts, without=base) - holdings.value(
        holdings.assets, without=base
    )
    if slope == 0 or (slope > 0) == is_short:
        return 0.0
    return max(0.0, rest / slope)


def with_buffer(price: float, open_rate: float, is_short: bool, buffer: float) -> float:
    """Freqtrade's own safety distance, so that its exit goes out before the exchange's."""
    if not price:
        return 0.0
    distance = abs(open_rate - price) * buffer
    return max(0.0, price - distance if is_short else price + distance)


def simulated_holdings(collateral: float, stake: str, trades: Iterable[Any]) -> Holdings:
    """What the account of a dry run or a backtest holds: its collateral and its open trades.

    Other prices than the one asked about are not known here: each trade counts at its open rate.
    """
    holdings = Holdings(marks={stake: 1.0})
    holdings.add(stake, asset=collateral)
    for trade in trades:
        base, value = trade.safe_base_currency, trade.amount * trade.open_rate
        if trade.is_short:
            holdings.add(base, debt=trade.amount)
            holdings.add(stake, asset=value)
        else:
            holdings.add(base, asset=trade.amount)
            holdings.add(stake, asset=-value / trade.leverage, debt=trade.borrowed)
        holdings.marks[base] = trade.open_rate
    return holdings


@dataclass(frozen=True, slots=True)
class ForcedTrade:
    """What a liquidation did to one currency of the account: sold it, or bought it for a debt."""

    serial: str
    base: str
    side: str
    amount: Decimal
    value: Decimal
    """In quote."""
    timestamp: int | None


def forced_trades(
    rows: Iterable[Mapping[str, Any]], quote: str, marks: Mapping[str, float]
) -> list[ForcedTrade]:
    """What the exchange sold and bought, from the rows of ``user-liquidations``.

    A debt that was repaid from what the account held of the same currency traded nothing. Where an
    asset was sold for a debt that is not the quote currency, two positions changed: both are valued
    at the mark prices.
    """
    found = []
    for row in rows:
        asset, debt = row["assetCurrency"], row["debtCurrency"]
        sold, bought = dec(row["assetAmount"]), dec(row["debtAmount"])
        if asset is None or not sold or not bought:
            continue
        serial, moment = str(row["serial"]), row["timestamp"]
        if asset != quote:
            value = bought if debt == quote else sold * dec(marks.get(asset, 0.0))
            found.append(ForcedTrade(serial, asset, "sell", sold, value, moment))
        if debt != quote:
            value = sold if asset == quote else bought * dec(marks.get(debt, 0.0))
            found.append(ForcedTrade(serial, debt, "buy", bought, value, moment))
    return found


def forced_order(trade: ForcedTrade, pair: str) -> dict[str, Any]:
    """An order structure that stands for a forced trade, closed, its fee within the price."""
    price = float(trade.value / trade.amount)
    amount = float(trade.amount)
    fee = {"currency": pair.split("/")[1].split(":")[0], "cost": 0.0, "rate": 0.0}
    return {
        "id": f"{PREFIX}{trade.serial}",
        "clientOrderId": None,
        "symbol": pair,
        "type": "market",
        "side": trade.side,
        "price": price,
        "average": price,
        "amount": amount,
        "filled": amount,
        "remaining": 0.0,
        "cost": amount * price,
        "status": "closed",
        "timestamp": trade.timestamp,
        "lastTradeTimestamp": trade.timestamp,
        "datetime": None,
        "fee": fee,
        "fees": [fee],
        "trades": [],
        "info": {},
    }


def liquidation_rows(api: Any) -> list[dict[str, Any]]:
    """The rows of ``user-liquidations`` with their serial, currencies as unified codes."""
    rows = []
    for line in api.fetch_my_liquidations():
        row = parse_liquidation(line["info"])
        row["serial"] = str(line["info"].get("serial"))
        for name in ("debtCurrency", "assetCurrency"):
            row[name] = None if row[name] is None else str(api.safe_currency_code(row[name]))
        rows.append(row)
    return rows


def is_repayment_of_liquidation(row: Any, forced: list[dict[str, Any]]) -> bool:
    """Whether a listed repayment is the one that a liquidation made."""
    return any(
        one["debtCurrency"] == row["currency"]
        and abs(dec(one["debtAmount"]) - dec(row["amount"])) <= UNIT
        and abs((one["timestamp"] or 0) - (row["timestamp"] or 0)) <= 5000
        for one in forced
    )
