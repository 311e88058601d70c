"""A bot on a real PostgreSQL: locks, lost connections, a read-only server, and restarts.

``.ci/postgres`` starts the server and says where it is.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from freqtrade.persistence import Order, Trade

from bitopro_margin_ext.bot.database import roll_back
from tests.bot.harness import BTC, CANCEL_ALL, ETH, BotHarness, cancel_pair, trade_of
from tests.bot.test_crash import restart_after, run_and_kill
from tests.bot.test_faults import disagreements, never_sold_more_than_bought
from tests.bot.test_one_transaction import count, killed_at, many_open_orders, map_all, swept

ADDRESS = os.environ.get("BITOPRO_MARGIN_TEST_POSTGRES", "")
DEADLINE = 3.0
SLACK = 1.5

pytestmark = pytest.mark.skipif(
    not ADDRESS, reason="no PostgreSQL: run the tests by .ci/postgres, as .ci/run does"
)


class Postgres:
    """One database of the server, and whoever else is connected to it."""

    def __init__(self) -> None:
        self.name = f"bot_{uuid4().hex[:12]}"
        self.url = ADDRESS.rpartition("/")[0] + f"/{self.name}"
        self.do(f"create database {self.name}", self._server)

    @property
    def _server(self) -> str:
        return ADDRESS.replace("+psycopg", "")

    @property
    def address(self) -> str:
        return self.url.replace("+psycopg", "")

    def connect(self, address: str | None = None, **more: Any) -> Any:
        import psycopg

        return psycopg.connect(address or self.address, **more)

    def do(self, statement: str, address: str | None = None) -> list[Any]:
        with self.connect(address, autocommit=True) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    @contextmanager
    def locked(self, statement: str) -> Iterator[None]:
        """Another session holds a lock meanwhile."""
        other = self.connect()
        try:
            other.execute(statement)
            yield
        finally:
            other.rollback()
            other.close()

    def terminate(self) -> None:
        """End every connection to the database, as a restart of the server does."""
        self.do(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            f" where datname = '{self.name}' and pid <> pg_backend_pid()",
            self._server,
        )

    @contextmanager
    def down(self) -> Iterator[None]:
        """No connection is left, and none is accepted."""
        self.do(f"alter database {self.name} allow_connections false", self._server)
        self.terminate()
        try:
            yield
        finally:
            self.do(f"alter database {self.name} allow_connections true", self._server)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Every transaction that begins now is read-only, as on a standby."""
        setting = f"alter database {self.name} set default_transaction_read_only"
        self.do(f"{setting} = on")
        self.terminate()
        try:
            yield
        finally:
            self.do(
                f"alter database {self.name} set default_transaction_read_only = off", self._server
            )
            self.terminate()

    def drop(self) -> None:
        self.terminate()
        self.do(f"drop database {self.name}", self._server)


@pytest.fixture
def postgres(harness: BotHarness) -> Iterator[Postgres]:
    made = Postgres()
    yield made
    harness.close()
    harness._bots.clear()
    made.drop()


def out_by_the_deadline(harness: BotHarness, bot: Any, trade: Any) -> None:
    """An emergency on BTC: swept, and the exit sent, whatever the database does."""
    mark, began = harness.mark, time.monotonic()
    bot.emergency_exit(trade, 60000.0)
    took = time.monotonic() - began
    assert cancel_pair(BTC) in harness.lines(mark), "not swept"
    assert [order for order in harness.sells(BTC) if order["type"] == "MARKET"], "not out"
    assert took < DEADLINE + SLACK, f"held up for {took:.1f} s"


def agree_again(harness: BotHarness, bot: Any) -> None:
    for _ in range(3):
        bot.process()
    assert disagreements(harness) == []
    assert not trade_of(BTC).is_open
    never_sold_more_than_bought(harness)
    exits = [order for order in harness.sells(BTC) if not order["stopPrice"]]
    assert len(exits) == 1, "sold more than once"


LOCKS = {
    "the trades": "select * from trades for update",
    "the orders": "select * from orders for update",
    "custom data": "lock table trade_custom_data in exclusive mode",
    "a table whole": "lock table orders in exclusive mode",
}


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_of_another_session_does_not_keep_the_exit_in(
    harness: BotHarness, postgres: Postgres, lock: str
) -> None:
    bot = harness.bot(deadline=DEADLINE, db_url=postgres.url)
    harness.control.set_balances({"BTC": "5"})
    harness.hold(bot)
    trade = trade_of(BTC)
    Trade.commit()
    with postgres.locked(LOCKS[lock]):
        out_by_the_deadline(harness, bot, trade)
    agree_again(harness, bot)


def test_the_lock_of_one_trade_keeps_no_other_exit_in(
    harness: BotHarness, postgres: Postgres
) -> None:
    bot = harness.bot(deadline=DEADLINE, scope="all", db_url=postgres.url)
    harness.hold(bot, ETH)
    harness.hold(bot, BTC)
    Trade.commit()
    with postgres.locked(f"select * from trades where pair = '{ETH}' for update"):
        began = time.monotonic()
        bot.emergency_exit(trade_of(BTC), 60000.0)
        assert time.monotonic() - began < DEADLINE + SLACK
        assert CANCEL_ALL in harness.lines()
    agree_again(harness, bot)


def test_connections_that_were_terminated_keep_nothing_in(
    harness: BotHarness, postgres: Postgres
) -> None:
    bot = harness.bot(deadline=DEADLINE, db_url=postgres.url)
    harness.hold(bot)
    trade = trade_of(BTC)
    assert trade.amount
    postgres.terminate()
    began = time.monotonic()
    bot.emergency_exit(trade, 60000.0)
    assert time.monotonic() - began < DEADLINE + SLACK
    assert cancel_pair(BTC) in harness.lines()
    assert [order for order in harness.sells(BTC) if order["type"] == "MARKET"]
    agree_again(harness, bot)


def test_a_database_that_is_gone_keeps_neither_the_sweep_nor_the_exit_in(
    harness: BotHarness, postgres: Postgres
) -> None:
    bot = harness.bot(deadline=DEADLINE, db_url=postgres.url)
    harness.hold(bot)
    trade = trade_of(BTC)
    assert trade.amount
    with postgres.down():
        out_by_the_deadline(harness, bot, trade)
    roll_back(Trade.session)
    agree_again(harness, bot)


def test_a_server_that_was_restarted_between_iterations_ends_no_bot(
    harness: BotHarness, postgres: Postgres
) -> None:
    bot = harness.bot(db_url=postgres.url)
    harness.hold(bot)
    Trade.commit()
    Trade.session.remove()
    postgres.terminate()
    bot.process()
    assert trade_of(BTC).is_open


def test_a_server_that_is_read_only_keeps_neither_the_sweep_nor_the_exit_in(
    harness: BotHarness, postgres: Postgres
) -> None:
    bot = harness.bot(deadline=DEADLINE, db_url=postgres.url)
    harness.hold(bot)
    trade = trade_of(BTC)
    with postgres.read_only():
        out_by_the_deadline(harness, bot, trade)
        roll_back(Trade.session)
    agree_again(harness, bot)


def test_bounds_end_with_the_emergency(harness: BotHarness, postgres: Postgres) -> None:
    bot = harness.bot(db_url=postgres.url)
    harness.hold(bot)
    bot.emergency_exit(trade_of(BTC), 60000.0)
    from sqlalchemy import text

    for name in ("lock_timeout", "statement_timeout"):
        assert Trade.session.execute(text(f"show {name}")).scalar() == "0"


def test_all_ends_are_one_commit_and_a_kill_leaves_nothing_half_believed(
    harness: BotHarness, postgres: Postgres
) -> None:
    bot = many_open_orders(harness, db_url=postgres.url)
    ends = swept(harness, bot)

    def rows() -> list[Any]:
        return [
            postgres.do(f"select * from {table} order by id")
            for table in ("orders", "trades", "trade_custom_data")
        ]

    before = rows()
    for number in (2, 5, 9, 14):
        assert killed_at(number, "before_cursor_execute", lambda: map_all(bot, ends))
        assert rows() == before
    assert count("commit", lambda: map_all(bot, ends)) <= 3
    assert rows() != before
    bot.process()
    assert disagreements(harness) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_kill_the_position_is_closed_once(
    harness: BotHarness, postgres: Postgres, when: str
) -> None:
    bot = harness.bot(scope="all", db_url=postgres.url)
    harness.control.set_balances({"BTC": "5"})
    entry = harness.enter(bot, ETH, fill="0.4")
    harness.enter(bot, BTC)
    harness.control.reject_stops(1)
    harness.control.add_fault(
        "delay", seconds=60, when=when, method="DELETE", path="*/margin/orders/all"
    )
    run_and_kill(harness, bot, "DELETE", "*/margin/orders/all")
    bot = restart_after(harness, db_url=postgres.url)
    agree_again(harness, bot)
    assert not harness.control.order(entry)["open"]
    assert Order.session.query(Order).filter(Order.ft_is_open.is_(True)).count() <= 1
