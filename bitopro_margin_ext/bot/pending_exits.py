"""Exits that must still go out: refused because of a stale amount, or never placed."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from freqtrade.enums import ExitCheckTuple, ExitType
from freqtrade.persistence import Order, Trade

from . import positions

logger = logging.getLogger(__name__)


def adopt_lost_exit(bot: Any, trade: Any, amount: float) -> bool:
    """Take in an exit order of this amount that the bot placed and then had no time to note.

    Sending the exit again would sell twice. Freqtrade looks for such an order only when the
    balance is missing, which other holdings of the same currency hide.

    :returns: whether there was one.
    :raises freqtrade.exceptions.ExchangeError: when the exchange cannot be asked.
    """
    placed = float(bot.exchange.amount_to_precision(trade.pair, amount))
    for end in bot.exchange.fetch_orders(trade.pair, trade.date_last_filled_utc):
        if (
            end["side"] != trade.exit_side
            or not positions.same_amount(end["amount"] or 0.0, placed)
            or (end["status"] != "open" and not end["filled"])
            or positions.find_order(trade.pair, end["id"]) is not None
        ):
            continue
        logger.warning(f"The exit order {end['id']} of {trade.pair} was lost in the crash: found.")
        order = Order.parse_from_ccxt_object(
            end, trade.pair, trade.exit_side, amount, end["price"] or end["average"]
        )
        order.ft_order_tag = trade.exit_reason = EMERGENCY_EXIT
        trade.orders.append(order)
        Trade.commit()
        bot.update_trade_state(trade, order.order_id, end)
        return True
    return False


logger = logging.getLogger(__name__)


EMERGENCY_EXIT: Final = ExitType.EMERGENCY_EXIT.value

FORCE_EXIT: Final = ExitType.FORCE_EXIT.value

KEPT: Final = "bitopro_margin_exit"
"""The trade's custom data under which an emergency exit outlives the process."""

COMPLAIN_AFTER: Final = 20
"""Iterations in vain after which the user is told to look."""


@dataclass
class HeldExit:
    """One exit that must come.

    ``orders`` are the ids of the exit orders that there were already: a newer one settles it.
    ``rest_of`` names the exit order whose rest is meant, if not the whole position is. ``rate`` is
    the limit that a forced exit asked for.
    """

    exit_reason: str
    order_type: str
    orders: list[str]
    rest_of: str | None = None
    rate: float | None = None
    attempts: int = 0


class HeldExits:
    """The held exits of one bot, by trade; each is sent again every iteration until it is there."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._held: dict[int, HeldExit] = {}
        self._tell = tell
        self._looked_back = False
        self.unverified: set[int] = set()
        """Trades whose exit an earlier process held, and may have placed without noting it."""

    def __contains__(self, trade_id: int) -> bool:
        return trade_id in self._held

    def hold(
        self,
        trade: Any,
        exit_reason: str,
        order_type: str,
        *,
        rest_of: str | None = None,
        rate: float | None = None,
    ) -> None:
        """Remember an exit; the first one of a trade stays."""
        if trade.id in self._held:
            return
        # A forced exit has the user's price, if it has one; any other is priced anew.
        rate = rate if exit_reason == FORCE_EXIT and order_type == "limit" else None
        self._held[trade.id] = HeldExit(exit_reason, order_type, exit_ids(trade), rest_of, rate)

    def keep(self, trade: Any) -> None:
        """Write a held emergency exit into the database: it must come even after a crash."""
        held = self._held.get(trade.id)
        if held is not None and held.exit_reason == EMERGENCY_EXIT:
            trade.set_custom_data(KEPT, asdict(held))

    def forget(self, trade_id: int) -> None:
        """The exit is there, or no longer wanted."""
        held = self._held.pop(trade_id, None)
        self.unverified.discard(trade_id)
        if held is not None and held.exit_reason == EMERGENCY_EXIT:
            trade = positions.own_trade(trade_id)
            if trade is not None:
                # Emptied, not deleted: older Freqtrades cannot delete one entry.
                trade.set_custom_data(KEPT, {})

    def look_back(self, trades: Iterable[Any]) -> None:
        """Once after the start: take up what an earlier process held."""
        if self._looked_back:
            return
        for trade in trades:
            kept = trade.get_custom_data(KEPT)
            if kept and trade.id not in self._held:
                self._held[trade.id] = HeldExit(**{**kept, "attempts": 0})
                self.unverified.add(trade.id)
                logger.warning(f"The emergency exit of {trade.pair} was cut short: it goes on.")
        self._looked_back = True

    def amount(self, trade: Any) -> float:
        """What a held exit is to sell, in base."""
        amount: float = _part(trade, self._held[trade.id]) or trade.amount
        return amount

    def repeat(self, bot: Any) -> None:
        """Send again what is not there yet."""
        for trade_id, held in list(self._held.items()):
            trade = positions.own_trade(trade_id)
            gone = trade is None or not trade.is_open or not trade.has_open_position
            if gone or set(exit_ids(trade)) - set(held.orders):
                self.forget(trade_id)
            elif trade_id in self.unverified:
                continue
            elif not any(order.ft_order_side == trade.exit_side for order in trade.open_orders):
                # An old exit order that still counts as open is Freqtrade's to cancel.
                self._send(bot, trade, held)

    def _send(self, bot: Any, trade: Any, held: HeldExit) -> None:
        held.attempts += 1
        if held.attempts % COMPLAIN_AFTER == 0:
            self._tell(
                f"The exit of {trade.pair} could not be sent in {held.attempts} tries: look at it."
            )
        logger.info(f"Sending the exit of {trade.pair} again: {held.exit_reason}.")
        rate = held.rate or bot.exchange.get_rate(
            pair=trade.pair, side="exit", is_short=trade.is_short, refresh=True
        )
        kinds = {kind.value: kind for kind in ExitType}
        kind = kinds.get(held.exit_reason, ExitType.CUSTOM_EXIT)
        sent = bot.execute_trade_exit(
            trade,
            rate,
            ExitCheckTuple(exit_type=kind, exit_reason=held.exit_reason),
            ordertype=held.order_type,
            sub_trade_amt=_part(trade, held),
        )
        if sent:
            self.forget(trade.id)
        else:
            logger.info(f"The exit of {trade.pair} was not sent; the next iteration tries again.")


def exit_ids(trade: Any) -> list[str]:
    """The ids of all exit orders of a trade, whatever became of them."""
    return [order.order_id for order in trade.orders if order.ft_order_side == trade.exit_side]


def _part(trade: Any, held: HeldExit) -> float | None:
    """The part of the position that is to go; None for all of it."""
    if held.rest_of is None:
        return None
    order = trade.select_order_by_order_id(held.rest_of)
    if order is None:
        return None
    rest: float = order.safe_remaining
    return None if rest > trade.amount or positions.same_amount(rest, trade.amount) else rest
