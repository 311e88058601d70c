"""How the exchange behaves: what the documents leave open, and habits that differ by exchange."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict

PathChoice = Literal["documented", "plain", "both"]


class Switches(BaseModel):
    """The exchange as the pages describe it, unless set otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    matching: Annotated[bool, "orders fill when the price reaches them"] = True
    rate_limits: Annotated[bool, "the documented limits are enforced"] = True
    latency_ms: Annotated[float, "round trip that every call takes"] = 0
    open_orders_path: Annotated[
        PathChoice, "documented serves orders/orders only, plain orders only, both either"
    ] = "documented"
    user_trades_path: Annotated[
        PathChoice, "the same for margin/margin in the stream of the own trades"
    ] = "documented"
    open_orders_in_seconds: Annotated[bool, "times of the open orders are in seconds"] = True
    numeric_ids: Annotated[bool, "ids are written as numbers"] = False
    random_serials: Annotated[
        bool, "serials of loans do not rise with time (the page's example)"
    ] = False
    market_buy_original_in_quote: Annotated[
        bool, "originalAmount of a market buy is in the quote currency"
    ] = False
    done_includes_cancelled: Annotated[bool, "statusKind DONE lists cancelled orders"] = True
    stop_ids_prefixed: Annotated[bool, "ids of stop orders begin with SL-"] = True
    nonce_window_ms: Annotated[int, "how far a nonce may be off the clock (409)"] = 10_000
    refuse_replayed_nonce: Annotated[bool, "a nonce is taken once (401)"] = True
    rising_nonces: Annotated[bool, "nonces must rise strictly per key (409)"] = False
    require_identity: Annotated[bool, "GET and DELETE need the identity"] = False
    maker_fee: Annotated[Decimal, "part of the bought currency taken from a resting order"] = (
        Decimal("0.001")
    )
    taker_fee: Annotated[Decimal, "the same for an order that takes"] = Decimal("0.002")
    interest_period_seconds: Annotated[
        int, "interest is booked each full period, 0 is continuously"
    ] = 0
    capitalise_interest: Annotated[bool, "booked interest is added to borrowAmount"] = False
    repay_principal_first: Annotated[bool, "a repayment pays the interest last"] = False
    refuse_repay_above_debt: Annotated[
        bool, "repaying more than is owed is refused, else what is owed is taken"
    ] = False
    safe_ratio: Annotated[Decimal, "adRatio below which nothing is lent or transferred out"] = (
        Decimal("1.5")
    )
    warning_ratio: Annotated[Decimal, "adRatio below which the label is a margin call"] = Decimal(
        "1.25"
    )
    liquidation: Annotated[bool, "the exchange liquidates by itself"] = True
    liquidation_ratio: Annotated[Decimal, "adRatio below which it does"] = Decimal("1.1")
    liquidation_mode: Annotated[
        Literal["whole", "partial", "in_kind"],
        "whole pays every debt, partial until liquidation_target_ratio, "
        "in_kind with the debt's own currency only",
    ] = "whole"
    liquidation_target_ratio: Annotated[Decimal, "where a partial liquidation stops"] = Decimal(
        "1.25"
    )
    liquidation_fee: Annotated[Decimal, "part that the platform keeps of what it sells"] = Decimal(
        "0.01"
    )

    def changed(self, changes: Mapping[str, object]) -> Switches:
        """Return a copy with some switches set; an unknown name or a wrong type is an error."""
        return Switches.model_validate({**self.model_dump(), **changes})

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """Return what each switch means."""
        return {name: str(field.metadata[0]) for name, field in cls.model_fields.items()}
