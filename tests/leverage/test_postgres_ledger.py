"""The ledger of loans in a real PostgreSQL, beside the tables of the bot's own database.

``.ci/postgres`` starts the server and says where it is.
"""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from freqtrade.persistence import KeyValueStore, Trade
from sqlalchemy import text

from bitopro_margin_ext.bot.debt_lines import Line
from bitopro_margin_ext.bot.ledger_database import LedgerError
from bitopro_margin_ext.bot.loans_ledger import LoansLedger
from tests.bot.test_postgres import ADDRESS, Postgres
from tests.leverage.harness import BTC, LeverageHarness, trade_of, wait_until

DAY = 86400

pytestmark = pytest.mark.skipif(
    not ADDRESS, reason="no PostgreSQL: run the tests by .ci/postgres, as .ci/run does"
)


@pytest.fixture
def postgres(harness: LeverageHarness) -> Iterator[Postgres]:
    made = Postgres()
    yield made
    harness.close()
    harness._bots.clear()
    made.drop()


def intend(ledger: LoansLedger, amount: str = "0.1234567890123456789") -> int:
    return ledger.intend(
        "borrow", "BTC", Decimal(amount), BTC, sent=1.5,
        owed_before=Decimal(0), principal_before=Decimal(0), why="entry",
    )  # fmt: skip


def end_connections(postgres: Postgres) -> None:
    """End every connection, and wait until the server has: it only signals them."""
    connected = f"select 1 from pg_stat_activity where datname = '{postgres.name}'"
    postgres.terminate()
    wait_until(lambda: not postgres.do(connected, postgres._server))


def test_intents_and_shares_survive_a_reconnect(
    harness: LeverageHarness, postgres: Postgres
) -> None:
    ledger = LoansLedger(postgres.url)
    number = intend(ledger)
    done = intend(ledger, "2")
    share = Line(BTC, "BTC", Decimal("2.0000000001"), Decimal(2), Decimal(0))
    ledger.finish(done, "done", lines=[share], currency="BTC", serial="77")
    order = ledger.intend_order(
        pair=BTC, side="sell", kind="entry", net=Decimal(1), amount=Decimal(1),
        price=Decimal(60000), leverage=2.0, sent=1.5,
    )  # fmt: skip
    ledger.add_dust("BTC", Decimal("0.1"), Decimal(60000))
    ledger.write_meta("begun", "yes")
    ledger.close()
    ledger = LoansLedger(postgres.url)
    (intent,) = ledger.commands("intent")
    assert (intent["id"], intent["amount"]) == (number, Decimal("0.1234567890123456789"))
    assert ledger.lines() == [share]
    assert ledger.seen("borrow") == {"77"}
    (sent,) = ledger.sent_orders(BTC, "intent")
    assert sent["id"] == order
    assert ledger.dust() == {"BTC": (Decimal("0.1"), Decimal(6000))}
    assert ledger.meta("begun") == "yes"
    ledger.close()


def test_a_server_that_was_restarted_costs_no_intent(
    harness: LeverageHarness, postgres: Postgres
) -> None:
    ledger = LoansLedger(postgres.url)
    number = intend(ledger)
    end_connections(postgres)
    assert [one["id"] for one in ledger.commands("intent")] == [number]
    ledger.finish(number, "refused")
    # It is still held: the lock went with the connection, and was taken again.
    with pytest.raises(LedgerError, match="another bot holds"):
        LoansLedger(postgres.url)
    ledger.close()


def test_a_ledger_that_another_bot_took_meanwhile_is_not_written(
    harness: LeverageHarness, postgres: Postgres
) -> None:
    first = LoansLedger(postgres.url)
    intend(first)
    end_connections(postgres)
    second = LoansLedger(postgres.url)
    with pytest.raises(LedgerError, match="another bot holds"):
        intend(first)
    assert len(second.commands("intent")) == 1
    second.close()
    intend(first)
    first.close()


def test_a_second_bot_on_one_ledger_is_refused_with_one_line(
    harness: LeverageHarness, postgres: Postgres
) -> None:
    first = LoansLedger(postgres.url)
    with pytest.raises(LedgerError, match="another bot holds") as caught:
        LoansLedger(postgres.url)
    assert "\n" not in str(caught.value)
    # Looking at it is allowed meanwhile, and a database of the same server is another ledger.
    LoansLedger(postgres.url, hold=False).close()
    other = Postgres()
    LoansLedger(other.url).close()
    other.drop()
    first.close()
    LoansLedger(postgres.url).close()


def test_a_password_in_the_address_is_not_shown(
    harness: LeverageHarness, postgres: Postgres
) -> None:
    address = postgres.url.replace("postgres@", "postgres:hunter2hunter2@")
    first = LoansLedger(address)
    with pytest.raises(LedgerError) as caught:
        LoansLedger(address)
    assert "hunter2" not in str(caught.value)
    first.close()
    with pytest.raises(LedgerError) as caught:
        LoansLedger(address + "_missing")
    assert "hunter2" not in str(caught.value)


def test_a_rollback_of_the_bots_session_loses_no_intent(
    harness: LeverageHarness, postgres: Postgres
) -> None:
    bot = harness.bot(db_url=postgres.url)
    KeyValueStore.store_value("a_value", "before")
    Trade.session.execute(text("update \"KeyValueStore\" set string_value = 'lost'"))
    number = intend(bot.exchange.loans.ledger)
    Trade.rollback()
    assert KeyValueStore.get_string_value("a_value") == "before"
    (intent,) = bot.exchange.loans.ledger.commands("intent")
    assert intent["id"] == number
    tables = {row[0] for row in postgres.do("select tablename from pg_tables")}
    assert {"trades", "bitopro_margin_commands"} <= tables
    bot.exchange.loans.ledger.finish(number, "absent")


def test_a_short_goes_round_and_leaves_no_debt(
    harness: LeverageHarness, postgres: Postgres
) -> None:
    bot = harness.bot(db_url=postgres.url)
    harness.open(bot, "short", 2.0)
    assert harness.debt("BTC") > 0
    harness.control.advance(3 * DAY)
    harness.restart(bot)
    bot = harness.bot(db_url=postgres.url)
    bot.process()
    Trade.commit()
    Trade.session.remove()
    end_connections(postgres)
    bot.process()
    harness.exit(bot)
    trade = trade_of()
    assert not trade.is_open
    assert trade.funding_fees < 0
    harness.assert_settled(bot)
    states = {row[0] for row in postgres.do("select state from bitopro_margin_commands")}
    assert states == {"done"}
