"""The tables of the ledger of loans, as they stand in SQLite or in the bot's own server."""

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Column, Float, Integer, MetaData, String, Table
from sqlalchemy.types import TypeDecorator

_PREFIX: Final = "bitopro_margin_"


class _Amount(TypeDecorator[Decimal]):
    """An exact decimal, kept as text: no database rounds it."""

    impl = String(64)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else format(Decimal(value), "f")

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Decimal(value)


METADATA: Final = MetaData()

LINES: Final = Table(
    f"{_PREFIX}lines",
    METADATA,
    Column("currency", String(25), primary_key=True),
    Column("holder", String(120), primary_key=True),
    Column("owed", _Amount, nullable=False),
    Column("borrowed", _Amount, nullable=False),
    Column("paid", _Amount, nullable=False),
)

COMMANDS: Final = Table(
    f"{_PREFIX}commands",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(10), nullable=False),  # borrow, repay
    Column("currency", String(25), nullable=False),
    Column("amount", _Amount, nullable=False),
    Column("holder", String(120), nullable=False),
    Column("state", String(10), nullable=False),  # intent, done, refused, absent
    Column("sent", Float, nullable=False),  # seconds since the epoch
    Column("owed_before", _Amount),
    Column("principal_before", _Amount),
    Column("invoice", String(40)),
    Column("serial", String(40)),
    Column("why", String(255)),
)

SEEN: Final = Table(
    f"{_PREFIX}seen",
    METADATA,
    Column("kind", String(15), primary_key=True),  # borrow, repay, liquidation
    Column("serial", String(40), primary_key=True),
)

SENT_ORDERS: Final = Table(
    f"{_PREFIX}sent_orders",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("pair", String(25), nullable=False),
    Column("side", String(5), nullable=False),
    Column("kind", String(10), nullable=False),  # entry, exit, stoploss
    Column("net", _Amount, nullable=False),  # what Freqtrade asked for, in base
    Column("amount", _Amount, nullable=False),  # what was sent, in base
    Column("price", _Amount, nullable=False),
    Column("leverage", Float, nullable=False),
    Column("sent", Float, nullable=False),
    Column("order_id", String(120)),
    Column("state", String(10), nullable=False),  # intent, placed, refused, unknown, gone
)

BOOKINGS: Final = Table(
    f"{_PREFIX}bookings",
    METADATA,
    Column("pair", String(25), primary_key=True),
    Column("order_id", String(120), primary_key=True),
    Column("trade_id", Integer, nullable=False),
    Column("currency", String(25), nullable=False),
    Column("state", String(10), nullable=False),  # repaying, repaid, booked
    Column("net", _Amount, nullable=False),  # what Freqtrade sees filled, in base
    Column("received", _Amount, nullable=False),  # base that a buy-back brought, its fee deducted
    Column("average", _Amount, nullable=False),
    Column("fee_difference", _Amount, nullable=False),  # in quote: paid less what Freqtrade counts
    Column("cost", _Amount),  # in quote, what goes into Order.funding_fee, negated
    Column("opened", Float, nullable=False),
)

ENTRY_FEES: Final = Table(
    f"{_PREFIX}entry_fees",
    METADATA,
    Column("pair", String(25), primary_key=True),
    Column("order_id", String(120), primary_key=True),
    Column("fee", _Amount, nullable=False),  # in quote
)

DUST: Final = Table(
    f"{_PREFIX}dust",
    METADATA,
    Column("currency", String(25), primary_key=True),
    Column("amount", _Amount, nullable=False),
    Column("cost", _Amount, nullable=False),  # in quote
)

READINGS: Final = Table(
    f"{_PREFIX}readings",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("moment", Float, nullable=False),
    Column("ad_ratio", Float),
    Column("assets", Float, nullable=False),
    Column("debt", Float, nullable=False),
    Column("interest", Float, nullable=False),
)

META: Final = Table(
    f"{_PREFIX}meta",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("value", String(255), nullable=False),
)
