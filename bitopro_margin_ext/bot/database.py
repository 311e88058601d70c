"""Freqtrade's database in an emergency: never wait long for a lock, never lose what is pending.

Freqtrade lets its sqlite wait five seconds for another connection's lock, at every statement, and
a write that fails takes with it whatever was not committed yet: the stoploss that another trade
got a moment ago, for one. Inside ``emergency_session`` a commit happens if the database can be
written at once, and is otherwise left to Freqtrade's next one.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from freqtrade.persistence import Trade
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 0.3
"""How long one statement of an emergency waits for another connection's lock."""

_waiting = threading.local()


class EmergencySession:
    """One thread's session during an emergency."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.lock_busy = False
        """Whether a commit was left out because another connection holds the database."""

    def commit(self) -> None:
        """Commit if nobody is in the way; otherwise everything stays pending."""
        self.lock_busy = not self._take_write_lock()
        if self.lock_busy:
            # Waiting once is enough: the exit comes first.
            _set_patience(self._session, 0.0)
            return
        type(self._session).commit(self._session)

    def recover(self) -> None:
        """After a failure: back to what is committed, unless that would lose what is pending."""
        if self.lock_busy and self._session.is_active:
            return
        try:
            self._session.rollback()
        except SQLAlchemyError:
            logger.exception("The database does not roll back.")

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


@contextmanager
def emergency_session() -> Iterator[EmergencySession]:
    """Bound the waiting of this thread's session; inside an outer scope, that one goes on."""
    session = Trade.session()
    outer = session.__dict__.get("commit")
    if outer is not None:
        yield outer.__self__
        return
    guarded = EmergencySession(session)
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


def _is_sqlite(session: Any) -> bool:
    return str(session.get_bind().dialect.name) == "sqlite"


def _set_patience(session: Any, seconds: float | None) -> None:
    """Bound the waiting of this thread's statements; None: as the user's database url says."""
    _waiting.seconds = seconds
    if not _is_sqlite(session):
        return
    pool = session.get_bind().pool
    if not event.contains(pool, "checkout", _on_checkout):
        event.listen(pool, "checkout", _on_checkout)
    if session.in_transaction() and session.is_active:
        proxied = session.connection().connection
        _on_checkout(proxied.dbapi_connection, proxied._connection_record, proxied)


def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
    usual = record.info.get("bitopro_margin_busy_ms")
    if usual is None:
        usual = connection.execute("PRAGMA busy_timeout").fetchone()[0]
        record.info["bitopro_margin_busy_ms"] = usual
    seconds = getattr(_waiting, "seconds", None)
    milliseconds = usual if seconds is None else min(usual, int(seconds * 1000))
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
