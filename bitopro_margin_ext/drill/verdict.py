"""Hold the exchange's truth against what the bot has recorded, order by order."""

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class OrderRow:
    """What the bot has recorded of one order; amounts in base."""

    order_id: str
    trade_id: int
    pair: str
    side: str
    status: str
    is_open: bool
    filled: float
    cancel_reason: str | None


@dataclass(frozen=True, slots=True)
class TradeRow:
    """What the bot has recorded of one trade; the amount is in base."""

    trade_id: int
    pair: str
    is_open: bool
    amount: float
    exit_reason: str | None


class BotDatabase:
    """Reads the sqlite file of a bot that may be writing to it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def orders(self) -> dict[str, OrderRow]:
        """Every order row, by order id."""
        rows = self._select(
            "select order_id, ft_trade_id, ft_pair, ft_order_side, status, ft_is_open,"
            " coalesce(filled, 0), ft_cancel_reason from orders"
        )
        return {
            row[0]: OrderRow(row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], row[7])
            for row in rows
        }

    def trades(self) -> list[TradeRow]:
        """Every trade row."""
        rows = self._select("select id, pair, is_open, amount, exit_reason from trades")
        return [TradeRow(row[0], row[1], bool(row[2]), row[3], row[4]) for row in rows]

    def _select(self, statement: str) -> list[tuple]:  # type: ignore[type-arg]
        if not self._path.exists():
            return []
        with contextlib.closing(
            sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=5)
        ) as connection:
            try:
                return connection.execute(statement).fetchall()
            except sqlite3.OperationalError:
                # Not created yet, or locked for longer than we wait: the next look will show.
                return []


_STATES = {
    -1: "open",
    0: "open",
    1: "open",
    2: "closed",
    3: "canceled",
    4: "canceled",
    6: "canceled",
}

FILL_TOLERANCE = 1e-9
NET_FILL_SHORTFALL = (0.002, 1e-4)
"""Of an entry with leverage, which the bot records less its fee in base, cut to the step of an
amount: at most this fraction, and this much."""


@dataclass(frozen=True, slots=True)
class Row:
    """One order, on both sides."""

    order: str
    pair: str
    side: str
    owner: str
    exchange: str
    freqtrade: str
    cancel_reason: str
    agrees: bool


@dataclass
class Verdict:
    """The end of a scenario; ``remaining``: an order placed by hand still rests in scope."""

    scenario: str
    scope: str
    rows: list[Row] = field(default_factory=list)
    position_closed: bool = False
    remaining: bool = False
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0.0
    log: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every row agrees, the position is closed and nothing else is wrong."""
        everything = all(row.agrees for row in self.rows)
        return bool(self.rows) and everything and self.position_closed and not self.complaints

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {**asdict(self), "agrees": self.agrees}


def compare_orders(
    truth: Iterable[Mapping[str, Any]],
    recorded: Mapping[str, OrderRow],
    *,
    leveraged: bool = False,
) -> list[Row]:
    """A row for every margin order that the exchange ever had, oldest first.

    The bot may have deleted the row of an order only together with a trade that never filled; of
    orders that were placed by hand it must have none.
    """
    return [_compare(order, recorded.get(str(order["id"])), leveraged) for order in truth]


def _compare(order: Mapping[str, Any], row: OrderRow | None, leveraged: bool) -> Row:
    state = _STATES[int(order["status"])]
    filled = float(order["executedAmount"])
    by_hand = bool(order["by_hand"])
    text = f"{state} (filled {order['executedAmount']} of {order['originalAmount']})"
    if row is None:
        deleted = state == "canceled" and filled == 0
        forgotten = "deleted: never filled" if deleted else "MISSING"
        if by_hand:
            forgotten = "not the bot's"
        agrees = by_hand or deleted
        return _row(order, text, forgotten, "", agrees)
    recorded = f"{row.status} (filled {row.filled:.10g}{', open' if row.is_open else ''})"
    agrees = (
        not by_hand
        and row.status == state
        and row.is_open == (state == "open")
        # An open order's fills reach the bot when it looks; only ends are compared to the last bit.
        and (state == "open" or _same_fill(order, row.filled, filled, leveraged))
    )
    return _row(order, text, recorded, row.cancel_reason or "", agrees)


def _same_fill(order: Mapping[str, Any], noted: float, filled: float, leveraged: bool) -> bool:
    if leveraged and str(order["action"]).upper() == "BUY":
        fraction, step = NET_FILL_SHORTFALL
        return -FILL_TOLERANCE <= filled - noted <= fraction * filled + step
    return abs(noted - filled) <= FILL_TOLERANCE


def _row(order: Mapping[str, Any], exchange: str, freqtrade: str, reason: str, agrees: bool) -> Row:
    kind = " stop" if order["stopPrice"] else ""
    return Row(
        order=str(order["id"]),
        pair=str(order["pair"]).upper().replace("_", "/"),
        side=str(order["action"]).lower() + kind,
        owner="by hand" if order["by_hand"] else "bot",
        exchange=exchange,
        freqtrade=freqtrade,
        cancel_reason=reason,
        agrees=agrees,
    )


def empty_trades(trades: Iterable[TradeRow], orders: Mapping[str, OrderRow]) -> list[TradeRow]:
    """Open trades that hold nothing and have no open order: they would hold a slot for ever."""
    waiting = {order.trade_id for order in orders.values() if order.is_open}
    return [
        trade
        for trade in trades
        if trade.is_open and not trade.amount and trade.trade_id not in waiting
    ]
