"""The durable record of the bot's loans: written before anything is sent, on its own connection.

Freqtrade's session rolls back when an order fails, and an intent to borrow must not be lost with
it. So the ledger has an engine of its own: a small SQLite file named after the bot's database, or
tables of their own in the same server when ``db_url`` is no SQLite. One bot at a time holds it.
"""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Connection,
    delete,
    insert,
    select,
    update,
)

from .debt_lines import Line
from .ledger_database import (
    BOOKINGS,
    COMMANDS,
    DUST,
    ENTRY_FEES,
    KEEP_READINGS_SECONDS,
    LINES,
    META,
    READINGS,
    SEEN,
    SENT_ORDERS,
    LedgerDatabase,
)


class LoansLedger(LedgerDatabase):
    """The rows of one bot's ledger: shares of debts, commands, exits, and how the account stood."""

    # -- shares --------------------------------------------------------------------------------

    def lines(self, currency: str | None = None) -> list[Line]:
        """The shares of the debt in a currency (None: in all)."""
        wanted = select(LINES).order_by(LINES.c.currency, LINES.c.holder)
        if currency is not None:
            wanted = wanted.where(LINES.c.currency == currency)
        with self._transaction() as connection:
            return [
                Line(row.holder, row.currency, row.owed, row.borrowed, row.paid)
                for row in connection.execute(wanted)
            ]

    def write_lines(self, currency: str, lines: list[Line]) -> None:
        """Replace the shares of a currency, at once."""
        with self._transaction() as connection:
            _write_lines(connection, currency, lines)

    # -- commands ------------------------------------------------------------------------------

    def intend(
        self,
        kind: str,
        currency: str,
        amount: Decimal,
        holder: str,
        *,
        sent: float,
        owed_before: Decimal,
        principal_before: Decimal,
        why: str,
    ) -> int:
        """Write down a command before it is sent; its number."""
        with self._transaction() as connection:
            result = connection.execute(
                insert(COMMANDS).values(
                    kind=kind,
                    currency=currency,
                    amount=amount,
                    holder=holder,
                    state="intent",
                    sent=sent,
                    owed_before=owed_before,
                    principal_before=principal_before,
                    why=why[:255],
                )
            )
            return int((result.inserted_primary_key or (0,))[0])

    def finish(
        self,
        command: int,
        state: str,
        *,
        lines: list[Line] | None = None,
        currency: str = "",
        amount: Decimal | None = None,
        invoice: str | None = None,
        serial: str | None = None,
    ) -> None:
        """Write what became of a command, and the shares after it, in one transaction."""
        values: dict[str, Any] = {"state": state}
        for name, value in (("amount", amount), ("invoice", invoice), ("serial", serial)):
            if value is not None:
                values[name] = value
        with self._transaction() as connection:
            connection.execute(update(COMMANDS).where(COMMANDS.c.id == command).values(**values))
            if serial is not None:
                kind = connection.execute(
                    select(COMMANDS.c.kind).where(COMMANDS.c.id == command)
                ).scalar_one()
                _see(connection, kind, serial)
            if lines is not None:
                _write_lines(connection, currency, lines)

    def commands(self, *states: str, since: float = 0.0) -> list[Mapping[str, Any]]:
        """Commands in these states (none: all), oldest first."""
        wanted = select(COMMANDS).where(COMMANDS.c.sent >= since).order_by(COMMANDS.c.id)
        if states:
            wanted = wanted.where(COMMANDS.c.state.in_(states))
        with self._transaction() as connection:
            return [row._asdict() for row in connection.execute(wanted)]

    def claim(self, command: int, serial: str) -> None:
        """A listed loan or repayment is this command of ours."""
        with self._transaction() as connection:
            connection.execute(
                update(COMMANDS).where(COMMANDS.c.id == command).values(serial=serial)
            )
            kind = connection.execute(
                select(COMMANDS.c.kind).where(COMMANDS.c.id == command)
            ).scalar_one()
            _see(connection, kind, serial)

    def seen(self, kind: str) -> set[str]:
        """Serials of a list that have been read before."""
        with self._transaction() as connection:
            found = connection.execute(select(SEEN.c.serial).where(SEEN.c.kind == kind))
            return set(found.scalars())

    def read_lists(
        self, currency_lines: Mapping[str, list[Line]], serials: Mapping[str, set[str]]
    ) -> None:
        """Take in newly listed serials together with the shares that follow from them."""
        with self._transaction() as connection:
            for kind, new in serials.items():
                for serial in new:
                    _see(connection, kind, serial)
            for currency, lines in currency_lines.items():
                _write_lines(connection, currency, lines)

    # -- exits ---------------------------------------------------------------------------------

    def intend_order(self, **values: Any) -> int:
        """Write down an order before it is sent: gross, and what of it is the position's."""
        with self._transaction() as connection:
            result = connection.execute(insert(SENT_ORDERS).values(state="intent", **values))
            return int((result.inserted_primary_key or (0,))[0])

    def finish_order(self, number: int, state: str, order_id: str | None = None) -> None:
        """Write what became of the sending of an order."""
        values = {"state": state} | ({} if order_id is None else {"order_id": order_id})
        with self._transaction() as connection:
            connection.execute(
                update(SENT_ORDERS).where(SENT_ORDERS.c.id == number).values(**values)
            )

    def sent_orders(self, pair: str | None = None, *states: str) -> list[Mapping[str, Any]]:
        """The orders sent for a pair (None: for all), newest first."""
        wanted = select(SENT_ORDERS).order_by(SENT_ORDERS.c.id.desc()).limit(500)
        if pair is not None:
            wanted = wanted.where(SENT_ORDERS.c.pair == pair)
        if states:
            wanted = wanted.where(SENT_ORDERS.c.state.in_(states))
        with self._transaction() as connection:
            return [row._asdict() for row in connection.execute(wanted)]

    def booking(self, pair: str, order_id: str) -> Mapping[str, Any] | None:
        """What is known of the repayment that an exit order brings."""
        wanted = select(BOOKINGS).where(BOOKINGS.c.pair == pair, BOOKINGS.c.order_id == order_id)
        with self._transaction() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else row._asdict()

    def bookings(self, *states: str) -> list[Mapping[str, Any]]:
        """Bookings in these states (none: all), oldest first."""
        wanted = select(BOOKINGS).order_by(BOOKINGS.c.opened)
        if states:
            wanted = wanted.where(BOOKINGS.c.state.in_(states))
        with self._transaction() as connection:
            return [row._asdict() for row in connection.execute(wanted)]

    def open_booking(
        self,
        currency: str,
        lines: list[Line],
        *,
        dust: tuple[str, Decimal, Decimal] | None = None,
        **values: Any,
    ) -> None:
        """Begin to settle an exit: its part of the debt becomes a line of its own.

        ``dust``: what of the position cannot be sold, as currency, amount and its cost in quote.
        """
        with self._transaction() as connection:
            connection.execute(
                insert(BOOKINGS).values(
                    state="repaying", currency=currency, opened=time.time(), **values
                )
            )
            _write_lines(connection, currency, lines)
            if dust is not None:
                _add_dust(connection, *dust)

    def finish_booking(
        self,
        pair: str,
        order_id: str,
        cost: Decimal,
        lines: list[Line],
        currency: str,
        dust: tuple[Decimal, Decimal] | None = None,
    ) -> None:
        """An exit's part is repaid: note what it has cost, and what it left over."""
        key = (BOOKINGS.c.pair == pair, BOOKINGS.c.order_id == order_id)
        with self._transaction() as connection:
            connection.execute(update(BOOKINGS).where(*key).values(state="repaid", cost=cost))
            _write_lines(connection, currency, lines)
            if dust is not None:
                connection.execute(delete(DUST).where(DUST.c.currency == currency))
                amount, paid = dust
                row = {"currency": currency, "amount": amount, "cost": paid}
                connection.execute(insert(DUST).values(**row))

    def mark_booked(self, pair: str, order_id: str) -> None:
        """The cost of an exit stands in Freqtrade's database."""
        key = (BOOKINGS.c.pair == pair, BOOKINGS.c.order_id == order_id)
        with self._transaction() as connection:
            connection.execute(update(BOOKINGS).where(*key).values(state="booked"))

    def write_entry_fee(
        self,
        pair: str,
        order_id: str,
        fee: Decimal,
        dust: tuple[str, Decimal, Decimal] | None = None,
    ) -> None:
        """Note what an entry has really paid as a fee, in quote, and what it left as dust."""
        key = (ENTRY_FEES.c.pair == pair, ENTRY_FEES.c.order_id == order_id)
        with self._transaction() as connection:
            connection.execute(delete(ENTRY_FEES).where(*key))
            connection.execute(insert(ENTRY_FEES).values(pair=pair, order_id=order_id, fee=fee))
            if dust is not None:
                _add_dust(connection, *dust)

    def entry_fees(self, pair: str) -> dict[str, Decimal]:
        """What the entries of a pair have paid, by order id."""
        with self._transaction() as connection:
            found = connection.execute(select(ENTRY_FEES).where(ENTRY_FEES.c.pair == pair))
            return {row.order_id: row.fee for row in found}

    def dust(self) -> dict[str, tuple[Decimal, Decimal]]:
        """What buy-backs have left over, by currency: amount, and its cost in quote."""
        with self._transaction() as connection:
            found = connection.execute(select(DUST))
            return {row.currency: (row.amount, row.cost) for row in found}

    def add_dust(self, currency: str, amount: Decimal, price: Decimal) -> None:
        """Put something bought without a trade into the dust, at its price in quote."""
        with self._transaction() as connection:
            _add_dust(connection, currency, amount, amount * price)

    def collect(self, name: str, currency: str, amount: Decimal, cost: Decimal) -> None:
        """Put a purchase into the dust, and forget the fact that it was made."""
        with self._transaction() as connection:
            if amount:
                _add_dust(connection, currency, amount, cost)
            connection.execute(delete(META).where(META.c.name == name))

    def use_dust(self, currency: str, amount: Decimal) -> Decimal:
        """Take something out of the dust; what it has cost on average, in quote."""
        held, paid = self.dust().get(currency, (Decimal(0), Decimal(0)))
        if amount <= 0 or held <= 0:
            return Decimal(0)
        used = min(amount, held)
        cost = paid * used / held
        with self._transaction() as connection:
            _add_dust(connection, currency, -used, -cost)
        return cost

    # -- the account over time -----------------------------------------------------------------

    def write_reading(
        self, ad_ratio: float | None, assets: float, debt: float, interest: float
    ) -> None:
        """Note how the account stands, for the plot."""
        now = time.time()
        with self._transaction() as connection:
            old = READINGS.c.moment < now - KEEP_READINGS_SECONDS
            connection.execute(delete(READINGS).where(old))
            connection.execute(
                insert(READINGS).values(
                    moment=now, ad_ratio=ad_ratio, assets=assets, debt=debt, interest=interest
                )
            )

    def readings(self, since: float = 0.0) -> list[Mapping[str, Any]]:
        """How the account stood, oldest first."""
        wanted = select(READINGS).where(READINGS.c.moment >= since).order_by(READINGS.c.moment)
        with self._transaction() as connection:
            return [row._asdict() for row in connection.execute(wanted)]

    def meta(self, name: str) -> str | None:
        """A fact about the ledger itself."""
        with self._transaction() as connection:
            found = connection.execute(select(META.c.value).where(META.c.name == name)).scalar()
        return None if found is None else str(found)

    def metas(self, prefix: str) -> dict[str, str]:
        """The facts whose names begin with this, by name."""
        with self._transaction() as connection:
            wanted = select(META).where(META.c.name.startswith(prefix))
            return {row.name: str(row.value) for row in connection.execute(wanted)}

    def write_meta(self, name: str, value: str | None) -> None:
        """Set a fact about the ledger itself, or forget it."""
        with self._transaction() as connection:
            connection.execute(delete(META).where(META.c.name == name))
            if value is not None:
                connection.execute(insert(META).values(name=name, value=value))


def _write_lines(connection: Connection, currency: str, lines: list[Line]) -> None:
    connection.execute(delete(LINES).where(LINES.c.currency == currency))
    for line in lines:
        connection.execute(
            insert(LINES).values(
                currency=currency,
                holder=line.holder,
                owed=line.owed,
                borrowed=line.borrowed,
                paid=line.paid,
            )
        )


def _add_dust(connection: Connection, currency: str, amount: Decimal, cost: Decimal) -> None:
    held = connection.execute(select(DUST).where(DUST.c.currency == currency)).first()
    connection.execute(delete(DUST).where(DUST.c.currency == currency))
    if held is not None:
        amount, cost = held.amount + amount, held.cost + cost
    connection.execute(insert(DUST).values(currency=currency, amount=amount, cost=cost))


def _see(connection: Connection, kind: str, serial: str) -> None:
    connection.execute(delete(SEEN).where(SEEN.c.kind == kind, SEEN.c.serial == serial))
    connection.execute(insert(SEEN).values(kind=kind, serial=serial))
