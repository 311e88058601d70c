"""Where the ledger of loans stands: its tables, its engine, and the hold that one bot has on it."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from ..core.errors import BitoproMarginError

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
KEEP_READINGS_SECONDS: Final = 400 * 86_400.0


class LedgerError(BitoproMarginError):
    """The ledger of loans cannot be used; the text says what to do."""


def ledger_url(db_url: str, user_data_dir: Path | str) -> str:
    """Where the ledger of a bot's database is: beside a SQLite file, inside any other server."""
    url = make_url(db_url)
    if url.get_backend_name() != "sqlite":
        return db_url
    if not url.database or url.database == ":memory:":
        return f"sqlite:///{Path(user_data_dir) / 'bitopro_margin.loans.sqlite'}"
    database = Path(url.database)
    return f"sqlite:///{database.with_name(f'{database.stem}.loans.sqlite')}"


def ledger_file(url: str) -> str | None:
    """The file of a ledger; None where it is in a server."""
    parsed = make_url(url)
    return parsed.database if parsed.get_backend_name() == "sqlite" else None


class LedgerDatabase:
    """One bot's ledger, held against every other bot until ``close``.

    Without ``hold`` it is only looked at, or a fact is set, while a bot may be running.

    :raises LedgerError: when another bot holds it, or it cannot be written.
    """

    def __init__(self, url: str, *, hold: bool = True) -> None:
        self.url = url
        self._engine = _engine(url)
        self._hold: Any = None
        self._lock_connection: Connection | None = None
        self._lock_guard = threading.Lock()
        self._locks = False
        try:
            if hold:
                self._take_hold()
            self._locks = self._lock_connection is not None
            METADATA.create_all(self._engine)
        except SQLAlchemyError as error:
            self.close()
            raise LedgerError(
                f"the ledger of loans {_shown(self._engine)} cannot be opened:"
                f" {type(error).__name__}. Check that its folder is writable"
            ) from None
        except LedgerError:
            self.close()
            raise

    def close(self) -> None:
        """Let another bot have it."""
        if self._hold is not None:
            self._hold.close()
            self._hold = None
        self._locks = False
        if self._lock_connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._lock_connection.close()
            self._lock_connection = None
        self._engine.dispose()

    def _take_hold(self) -> None:
        busy = LedgerError(
            f"another bot holds the ledger of loans {_shown(self._engine)}: two bots on one ledger"
            " would repay each other's loans. Give each its own db_url"
        )
        if self._engine.dialect.name == "sqlite":
            import fcntl

            lock_file = Path(f"{self._engine.url.database}.lock")
            self._hold = lock_file.open("a")
            try:
                # Released by the system however the process ends.
                fcntl.flock(self._hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise busy from None
        elif self._engine.dialect.name == "postgresql":
            name = hashlib.sha256(b"bitopro_margin_loans").digest()
            key = int.from_bytes(name[:8], "big", signed=True)
            # Released by the server when this connection ends, however the process does.
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            asked = text("SELECT pg_try_advisory_lock(:key)")
            if not connection.execute(asked, {"key": key}).scalar():
                connection.close()
                raise busy
            self._lock_connection = connection

    def _keep_hold(self) -> None:
        """Take the lock again that a server has released with its connection."""
        with self._lock_guard:
            if not self._locks:
                return
            if self._lock_connection is not None:
                try:
                    self._lock_connection.execute(text("SELECT 1"))
                    return
                except SQLAlchemyError:
                    lost, self._lock_connection = self._lock_connection, None
                    with contextlib.suppress(SQLAlchemyError):
                        lost.invalidate()
                        lost.close()
            self._take_hold()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """One transaction, while no other bot holds the ledger.

        :raises LedgerError: when it cannot be read or written; nothing of it is kept then.
        """
        try:
            self._keep_hold()
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LedgerError(
                f"the ledger of loans {_shown(self._engine)} cannot be used now:"
                f" {type(error).__name__}"
            ) from error


def _engine(url: str) -> Engine:
    """An engine that bounds what the ledger may wait for, and finds a restarted server again."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        engine = create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sync_fully)
        return engine
    wait = {} if "connect_timeout" in parsed.query else {"connect_timeout": 3}
    engine = create_engine(url, pool_pre_ping=True, connect_args=wait)
    event.listen(engine, "connect", _wait_briefly)
    return engine


def _wait_briefly(connection: Any, _record: Any) -> None:
    """An exit is noted here before it is sent: no lock of another session may keep it in."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")
        cursor.execute("SET statement_timeout = '5s'")
    connection.commit()


def _sync_fully(connection: Any, _record: Any) -> None:
    """An intent is on the disk before the command leaves, whatever happens to the machine."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 2000")


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
