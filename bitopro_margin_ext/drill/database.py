"""Freqtrade's database as the drill reads it: from outside, and without Freqtrade."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OrderRow:
    """What the bot believes of one order; amounts in base."""

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
    """What the bot believes of one trade; the amount is in base."""

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
                # Not created yet, or locked for longer than we wait: the next look will tell.
                return []
