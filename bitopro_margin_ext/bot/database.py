"""Freqtrade's database in an emergency: never wait long for a lock, never lose what is pending.

Freqtrade bounds sqlite's waiting for another connection's lock at five seconds, at every statement,
and a server's not at all. A write that fails takes with it whatever was not committed yet: the
stoploss that another trade got a moment ago, for one. Inside ``emergency_session`` a statement
waits ``PATIENCE_SECONDS``, and a commit happens if the database can be written; otherwise what is
pending stays in memory, and is left to Freqtrade's next commit.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from freqtrade.persistence import Trade
from sqlalchemy import event, inspect
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from . import freqtrade_internals

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 0.3
"""How long one statement of an emergency waits for another connection's lock."""
STATEMENT_SECONDS: Final = 2.0
"""How long a server may work on one statement of an emergency."""
CONNECT_SECONDS: Final = 2
"""How long a server may take to accept a connection in an emergency (whole seconds: libpq's)."""

_waiting = threading.local()
"""``seconds``: this thread's patience in an emergency, None outside of one; ``refusal``: why the
server gave it no connection in this one."""


class Records(Protocol):
    """What an emergency has to write beside Freqtrade's rows, in the custom data of trades."""

    changed: set[int]
    """The trades whose records the database does not have as they are."""

    def write(self) -> None:
        """Put what has changed into the custom data of its trades."""


class EmergencySession:
    """One thread's session during an emergency. The records go with whatever is committed next."""

    def __init__(self, session: Any, records: Records | None = None) -> None:
        self._session = session
        self.records = records
        self._collecting = False
        self.lock_busy = False
        """Whether a commit was left out, because the database could not be written."""
        self._given_up = False

    def commit(self) -> None:
        """Commit if the database can be written now; otherwise everything stays pending."""
        if self._collecting:
            if self._session.deleted:
                self._session.flush()
            return
        if self._given_up or not self._is_pending():
            return
        self.lock_busy = not self._take_write_lock()
        if self.lock_busy:
            # Waiting once is enough: the exit comes first.
            _set_patience(self._session, 0.0)
            return
        pending = _Pending(self._session)
        try:
            self._commit_now()
        except SQLAlchemyError as error:
            roll_back(self._session)
            pending.restore(self._session)
            if self.records is not None and self.records.changed:
                logger.error(f"An exit that must come could not be noted in the database: {error}")
                self.records = None
                self.commit()
                return
            logger.error(f"The database cannot be written, and is left for later: {error}")
            # Not tried again in this emergency: a full disk is no lock that is let go.
            self.lock_busy = self._given_up = True

    def recover(self) -> None:
        """After a failure: back to what is committed, unless that would lose what is pending."""
        try:
            rollback_custom_data()
            if self.lock_busy and self._session.is_active:
                return
            roll_back(self._session)
        except SQLAlchemyError:
            logger.exception("The database does not roll back.")

    def in_one_transaction(self, work: Callable[[], None]) -> bool:
        """Do the work as one commit, with every commit in it left out; nothing of it, if it fails.

        :returns: False when the database cannot be written now; nothing is done then.
        :raises Exception: what the work, or its commit, has raised; it is rolled back then.
        """
        if self._has_changes():
            # What is pending from before is no part of it.
            self.commit()
        if self._given_up or self._has_changes():
            return False
        self.lock_busy = not self._take_write_lock()
        if self.lock_busy:
            return False
        self._collecting = True
        event.listen(self._session, "do_orm_execute", self._flush_before)
        try:
            with joined_custom_data(self._session.connection()):
                work()
            self._commit_now()
        except BaseException:
            roll_back(self._session)
            raise
        finally:
            event.remove(self._session, "do_orm_execute", self._flush_before)
            self._collecting = False
        return True

    def _flush_before(self, _query: Any) -> None:
        """Have a query read what a commit that was left out would have written.

        Not in the middle of a removal, as SQLAlchemy's own autoflush would: what the flush has
        removed would be removed again with what it belongs to.
        """
        if not self._session.deleted:
            self._session.flush()

    def _is_pending(self) -> bool:
        return self._has_changes() or bool(self.records is not None and self.records.changed)

    def _has_changes(self) -> bool:
        """Whether this session has anything that the database has not."""
        session = self._session
        if session.new or session.deleted or any(map(session.is_modified, session.dirty)):
            return True
        if not session.in_transaction() or not session.is_active:
            return False
        # A server's transaction that has only read cannot be told from one that has written.
        raw = session.connection().connection.dbapi_connection
        return bool(getattr(raw, "in_transaction", True))

    def _commit_now(self) -> None:
        records = self.records
        changed = set() if records is None else set(records.changed)
        if records is not None and changed:
            self._session.flush()
            with joined_custom_data(self._session.connection()):
                records.write()
        type(self._session).commit(self._session)
        if records is not None:
            records.changed -= changed
        if _is_sqlite(self._session):
            # What follows runs on a connection that is bounded already.
            with contextlib.suppress(SQLAlchemyError):
                self._session.connection()

    def _take_write_lock(self) -> bool:
        if not _is_sqlite(self._session):
            return True
        try:
            raw = self._session.connection().connection.dbapi_connection
            # Behind SQLAlchemy's back: a failure that it saw would cost what is pending.
            if not raw.in_transaction:
                raw.execute("BEGIN IMMEDIATE")
        except Exception as error:
            if not self.lock_busy:
                logger.error(f"The database cannot be written now, and is left for later: {error}")
            return False
        return True


class _Pending:
    """What a session holds and has not written yet, put back after a failure has rolled it away.

    A rollback lets everything be read again, and a database that is gone cannot be read.
    """

    def __init__(self, session: Any) -> None:
        self._loaded = [(row, dict(inspect(row).dict)) for row in session]
        self._new = list(session.new)
        self._deleted = list(session.deleted)
        self._changed = [(row, _changes(row)) for row in session.dirty]

    def restore(self, session: Any) -> None:
        """Make the same changes again, on what was loaded before."""
        changed = {id(row): changes for row, changes in self._changed}
        for row, loaded in self._loaded:
            if row not in session:
                continue
            own = changed.get(id(row), {})
            mapper = inspect(row).mapper
            for name in set(mapper.column_attrs.keys()) & loaded.keys() - own.keys():
                set_committed_value(row, name, loaded[name])
            for name in set(mapper.relationships.keys()) & loaded.keys():
                value = loaded[name]
                if isinstance(value, list):
                    value = [one for one in value if one not in self._new]
                set_committed_value(row, name, value)
            for name, value in own.items():
                setattr(row, name, value)
        for row in self._new:
            # A number that the database gave in vain.
            row.id = None
            session.add(row)
            trade = getattr(row, "trade", None)
            if trade is not None and row not in trade.orders:
                trade.orders.append(row)
        for row in self._deleted:
            session.delete(row)


def _changes(row: Any) -> dict[str, Any]:
    state = inspect(row)
    unmodified = state.unmodified
    return {
        attribute.key: getattr(row, attribute.key)
        for attribute in state.mapper.column_attrs
        if attribute.key not in unmodified
    }


@contextmanager
def emergency_session(records: Records | None = None) -> Iterator[EmergencySession]:
    """Bound the waiting of this thread's session; inside an outer scope, that one goes on."""
    session = Trade.session()
    outer = session.__dict__.get("commit")
    if outer is not None:
        guarded: EmergencySession = outer.__self__
        guarded.records = guarded.records or records
        yield guarded
        return
    guarded = EmergencySession(session, records)
    # A transaction that it has left open since it read would know no bound.
    rollback_custom_data()
    # What is loaded stays: reading it again would need the lock that another may hold.
    expire, session.expire_on_commit = session.expire_on_commit, False
    session.commit = guarded.commit
    _set_patience(session, PATIENCE_SECONDS)
    try:
        yield guarded
    finally:
        del session.commit
        session.expire_on_commit = expire
        _set_patience(session, None)


def rollback_custom_data() -> None:
    """End this thread's transaction of custom data: Freqtrade leaves one that failed as it is."""
    registry = freqtrade_internals.custom_data().session.registry
    if registry.has():
        roll_back(registry())


def roll_back(session: Any) -> None:
    """Roll back, also when the connection is lost: that is said once, and then it is done.

    :raises SQLAlchemyError: when it is not done the second time either.
    """
    try:
        session.rollback()
    except SQLAlchemyError:
        session.rollback()


@contextmanager
def joined_custom_data(connection: Any) -> Iterator[None]:
    """Let this thread's custom data of trades be written by a transaction that is under way.

    Freqtrade writes it on a connection of its own: deleting a trade would wait for itself.
    """
    registry = freqtrade_internals.custom_data().session.registry
    own = registry() if registry.has() else None
    if own is not None:
        # It may have read, and would keep what it has seen.
        roll_back(own)
    joined = Session(bind=connection, autoflush=True, join_transaction_mode="rollback_only")
    registry.set(joined)
    try:
        yield
    finally:
        joined.close()
        registry.clear()
        if own is not None:
            registry.set(own)


def _dialect(session: Any) -> str:
    return str(session.get_bind().dialect.name)


def _is_sqlite(session: Any) -> bool:
    return _dialect(session) == "sqlite"


def _set_patience(session: Any, seconds: float | None) -> None:
    """Bound the waiting of this thread's statements; None: as the user's database url says."""
    _waiting.seconds = seconds
    if seconds is None or seconds == PATIENCE_SECONDS:
        _waiting.refusal = None
    engine = session.get_bind()
    if _is_sqlite(session):
        if not event.contains(engine.pool, "checkout", _on_checkout):
            event.listen(engine.pool, "checkout", _on_checkout)
        if session.in_transaction() and session.is_active:
            proxied = session.connection().connection
            _on_checkout(proxied.dbapi_connection, proxied._connection_record, proxied)
    elif _dialect(session) == "postgresql":
        if not event.contains(engine, "begin", _on_begin):
            event.listen(engine, "begin", _on_begin)
            event.listen(engine, "do_connect", _on_connect)
        if session.in_transaction() and session.is_active:
            _bound_transaction(session, seconds)


def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
    usual = record.info.get("bitopro_margin_busy_ms")
    if usual is None:
        usual = connection.execute("PRAGMA busy_timeout").fetchone()[0]
        record.info["bitopro_margin_busy_ms"] = usual
    seconds = getattr(_waiting, "seconds", None)
    milliseconds = usual if seconds is None else min(usual, int(seconds * 1000))
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def heal_connections() -> None:
    """See that a connection lives before it is used: a server that was restarted ends no bot."""
    engine = Trade.session.get_bind()
    if engine.dialect.name == "sqlite" or event.contains(engine.pool, "checkout", _on_use):
        return
    event.listen(engine.pool, "checkout", _on_use)


def _on_use(connection: Any, _record: Any, _proxy: Any) -> None:
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.close()
        # psycopg has begun a transaction with it.
        connection.rollback()
    except Exception as error:
        raise DisconnectionError() from error


# -- PostgreSQL: bounds of the transaction, which end with it --------------------------------------


def _on_begin(connection: Any) -> None:
    seconds = getattr(_waiting, "seconds", None)
    if seconds is not None:
        _set_local(connection, seconds)


def _on_connect(dialect: Any, _record: Any, args: Any, parameters: dict[str, Any]) -> Any:
    if getattr(_waiting, "seconds", None) is None:
        return None
    if _waiting.refusal is not None:
        # One attempt an emergency: each would wait anew.
        raise _waiting.refusal
    try:
        return dialect.connect(*args, **{"connect_timeout": CONNECT_SECONDS, **parameters})
    except Exception as error:
        _waiting.refusal = error
        raise


def _bound_transaction(session: Any, seconds: float | None) -> None:
    """Bound a transaction that has begun already; None: as the server and the url say."""
    pending = _Pending(session)
    try:
        _set_local(session.connection(), seconds)
    except SQLAlchemyError as error:
        # A connection that was terminated is noticed here: what follows begins a new one.
        logger.error(f"The database connection is lost: {error}")
        roll_back(session)
        pending.restore(session)


def _set_local(connection: Any, seconds: float | None) -> None:
    for name, bound in (("lock_timeout", seconds), ("statement_timeout", STATEMENT_SECONDS)):
        # Zero would be no bound at all.
        value = "DEFAULT" if seconds is None else f"'{max(1, round((bound or 0) * 1000))}ms'"
        connection.exec_driver_sql(f"SET LOCAL {name} = {value}")
