"""Who owes what of a currency: one line a holder, whose sum is what the exchange says. Pure.

The exchange knows one debt a currency. Every trade's part of it, an exit's part that is being
repaid, and the user's own debt are *shares* of that sum: interest is spread over them in proportion
to what each owed before, so the order in which the exchange books a repayment (interest first or
last), compounding and rounding drop out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Any, Final

USER: Final = "user"
"""The holder of what was borrowed by hand, or before the bot came: never repaid by the bot."""
CRUMBS: Final = "crumbs"
"""The bot's holder of what is smaller than the exchange takes back: repaid when it has grown."""
UNCLEAR: Final = "unclear"
"""The holder of what no listed loan or repayment explains yet; it can be negative."""
ZERO: Final = Decimal(0)
UNIT: Final = Decimal("1e-8")
"""The smallest amount of a loan."""
_FINE: Final = Decimal("1e-18")


@dataclass(frozen=True, slots=True)
class Line:
    """One holder's share of the debt in a currency.

    ``owed`` is what is left to repay, ``borrowed`` and ``paid`` what has been borrowed and repaid
    for this holder so far: together they say what the loan has cost (``interest``).
    """

    holder: str
    currency: str
    owed: Decimal = ZERO
    borrowed: Decimal = ZERO
    paid: Decimal = ZERO

    @property
    def interest(self) -> Decimal:
        """What the loan has cost so far, paid or accrued."""
        return self.owed + self.paid - self.borrowed

    @property
    def outstanding(self) -> Decimal:
        """The borrowed sum that has not been paid back, interest left out."""
        return self.borrowed - self.paid

    @property
    def is_bots(self) -> bool:
        """Whether the bot borrowed it: only such a line may be repaid by the bot."""
        return self.holder not in (USER, UNCLEAR)

    def borrow(self, amount: Decimal) -> "Line":
        """The line after a loan."""
        return replace(self, owed=self.owed + amount, borrowed=self.borrowed + amount)

    def repay(self, amount: Decimal) -> "Line":
        """The line after a repayment, by whomever."""
        return replace(self, owed=self.owed - amount, paid=self.paid + amount)

    def split(self, fraction: Decimal, holder: str) -> tuple["Line", "Line"]:
        """What stays, and the fraction that goes to another holder."""
        part = Line(
            holder,
            self.currency,
            self.owed * fraction,
            self.borrowed * fraction,
            self.paid * fraction,
        )
        rest = replace(
            self,
            owed=self.owed - part.owed,
            borrowed=self.borrowed - part.borrowed,
            paid=self.paid - part.paid,
        )
        return rest, part

    def split_repaid(self, fraction: Decimal, holder: str) -> tuple["Line", "Line"]:
        """The same for a part that somebody has repaid already: what is owed stays."""
        borrowed = self.borrowed * fraction
        part = Line(holder, self.currency, ZERO, borrowed, borrowed + self.interest * fraction)
        rest = replace(self, borrowed=self.borrowed - borrowed, paid=self.paid - part.paid)
        return rest, part

    def join(self, other: "Line") -> "Line":
        """Both lines as one, under this line's holder."""
        return replace(
            self,
            owed=self.owed + other.owed,
            borrowed=self.borrowed + other.borrowed,
            paid=self.paid + other.paid,
        )


def up(amount: Decimal) -> Decimal:
    """Rounded up to the smallest amount of a loan."""
    return amount.quantize(UNIT, rounding=ROUND_UP)


def down(amount: Decimal) -> Decimal:
    """Rounded down to the smallest amount of a loan."""
    return amount.quantize(UNIT, rounding=ROUND_DOWN)


def units(amount: Decimal) -> str:
    """An amount for a message."""
    return f"{amount.quantize(UNIT):f}"


def total(lines: Iterable[Line]) -> Decimal:
    """What all lines together owe."""
    return sum((line.owed for line in lines), ZERO)


def shares(lines: list[Line], amount: Decimal) -> list[Decimal]:
    """An amount divided in proportion to what each line owes; the last one takes the rounding."""
    whole = total(lines)
    if not lines or whole <= 0:
        return [ZERO for _ in lines]
    parts = [(amount * line.owed / whole).quantize(_FINE) for line in lines]
    largest = max(range(len(lines)), key=lambda at: lines[at].owed)
    parts[largest] += amount - sum(parts, ZERO)
    return parts


def bearers(lines: list[Line]) -> list[Line]:
    """Who bears interest: who owes something, or else a line of the bot's that was just repaid."""
    owing = [line for line in lines if line.holder != UNCLEAR and line.owed > 0]
    return owing or [line for line in lines if line.is_bots][-1:]


def accrue(lines: list[Line], interest: Decimal) -> list[Line]:
    """Spread interest over the lines that bear it; an unclear line takes none."""
    bearing = bearers(lines)
    parts = shares(bearing, interest) if total(bearing) > 0 else [interest for _ in bearing]
    grown = dict(zip([line.holder for line in bearing], parts, strict=True))
    return [replace(line, owed=line.owed + grown.get(line.holder, ZERO)) for line in lines]


def repaid_elsewhere(lines: list[Line], amount: Decimal) -> list[Line]:
    """Take a repayment that the bot did not make: from the user's debt first, then from all."""
    left = amount
    result: list[Line] = []
    for line in lines:
        part = min(left, max(line.owed, ZERO)) if line.holder == USER else ZERO
        left -= part
        result.append(line.repay(part) if part else line)
    ours = [line for line in result if line.is_bots and line.owed > 0]
    left = min(left, total(ours))
    parts = dict(zip([line.holder for line in ours], shares(ours, left), strict=True))
    return [line.repay(parts[line.holder]) if line.holder in parts else line for line in result]


def liquidated(lines: list[Line], amount: Decimal) -> list[Line]:
    """Take what the exchange repaid in a liquidation: from everybody, in proportion."""
    owing = [line for line in lines if line.owed > 0]
    amount = min(amount, total(owing))
    parts = dict(zip([line.holder for line in owing], shares(owing, amount), strict=True))
    return [line.repay(parts[line.holder]) if line.holder in parts else line for line in lines]


@dataclass(frozen=True, slots=True)
class Owed:
    """What the balances say of a currency's debt."""

    principal: Decimal = ZERO
    interest: Decimal = ZERO

    @property
    def sum(self) -> Decimal:
        """Principal and interest: whether interest is capitalised makes no difference to it."""
        return self.principal + self.interest


@dataclass(frozen=True, slots=True)
class Flows:
    """What others did to a currency's debt since the last reading, by the exchange's lists."""

    borrowed: Decimal = ZERO
    repaid: Decimal = ZERO
    liquidated: Decimal = ZERO


def is_interest(
    growth: Decimal,
    before: Owed | None,
    now: Owed,
    most: Decimal,
    lines: int = 1,
    lent: Decimal = ZERO,
) -> bool:
    """Whether a growth of the debt is interest and no loan.

    It is when it is no more than ``most``, the interest that the rate and the time allow; when the
    exchange's own interest grew by as much; or when the principal did not grow by more than what
    the bot borrowed since (``lent``). A few units are rounding.
    """
    if abs(growth) <= UNIT * (lines + 4):
        return True
    if growth < 0:
        return False
    if growth <= most or before is None:
        return growth <= most
    grew = now.principal - before.principal - lent
    return grew <= UNIT * 2 or now.interest - before.interest >= growth - UNIT * 2


def follow(
    lines: list[Line],
    currency: str,
    now: Owed,
    flows: Flows,
    *,
    before: Owed | None,
    most_interest: Decimal,
    lent: Decimal = ZERO,
) -> list[Line]:
    """The lines after a reading of the balances: their sum is what the exchange says.

    What the flows and plausible interest do not explain goes to the unclear line, until a later
    reading explains it or ``settle_unclear`` gives it away.
    """
    if flows.borrowed:
        lines = add_to(lines, USER, currency, flows.borrowed)
    if flows.liquidated:
        lines = liquidated(lines, flows.liquidated)
    if flows.repaid:
        lines = repaid_elsewhere(lines, flows.repaid)
    known = [line for line in lines if line.holder != UNCLEAR]
    rest = now.sum - total(known)
    if bearers(known) and is_interest(rest, before, now, most_interest, len(known), lent):
        lines, rest = accrue(known, rest), ZERO
    else:
        lines = known
    if rest and (rest > 0 or total(lines) > 0):
        lines = [*lines, Line(UNCLEAR, currency, rest, rest)]
    return [line for line in lines if not _is_over(line)]


def _is_over(line: Line) -> bool:
    """Whether a line says nothing any more; a trade's is kept until its exit is booked."""
    return not line.is_bots and not line.owed


def settle_unclear(lines: list[Line]) -> list[Line]:
    """Give away what stayed unclear: more debt is the user's, less was repaid by the user."""
    unclear = next((line for line in lines if line.holder == UNCLEAR), None)
    if unclear is None:
        return lines
    others = [line for line in lines if line.holder != UNCLEAR]
    if unclear.owed > 0:
        return add_to(others, USER, unclear.currency, unclear.owed)
    return [line for line in repaid_elsewhere(others, -unclear.owed) if line.is_bots or line.owed]


def add_to(lines: list[Line], holder: str, currency: str, amount: Decimal) -> list[Line]:
    """The lines after a loan of one holder."""
    found = next((line for line in lines if line.holder == holder), Line(holder, currency))
    return [*(line for line in lines if line.holder != holder), found.borrow(amount)]


def after_command(lines: list[Line], command: Mapping[str, Any], amount: Decimal) -> list[Line]:
    """The shares after a command (its kind, holder and currency) has been carried out."""
    holder, currency = command["holder"], command["currency"]
    if command["kind"] == "borrow":
        return add_to(lines, holder, currency, amount)
    found = next((line for line in lines if line.holder == holder), Line(holder, currency))
    return [*(line for line in lines if line.holder != holder), found.repay(amount)]


def without_unclear(lines: list[Line]) -> list[Line]:
    """The shares that have a holder."""
    return [line for line in lines if line.holder != UNCLEAR]
