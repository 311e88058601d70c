"""Every way the exchange says no: status and text, in one place.

The texts that BitoPro publishes (or that ccxt has recorded) are used word for word; the others are
written in the same manner. A client must go by the status first.
"""

from __future__ import annotations

from decimal import Decimal

from .amounts import plain


class Refusal(Exception):  # noqa: N818 - not an error: the exchange works as it should
    """A request that the exchange understood and will not carry out."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def invalid_body() -> Refusal:
    """Refuse a body that is not the JSON that was asked for."""
    return Refusal(400, "Invalid body")


def missing(field: str) -> Refusal:
    """Refuse a request that lacks a required field."""
    return Refusal(400, f"Wrong parameter: {field}")


def wrong_parameter(field: str) -> Refusal:
    """Refuse a field whose value cannot be read."""
    return Refusal(400, f"Wrong parameter: {field}")


def unsupported_type() -> Refusal:
    """Refuse an order type that the API does not take."""
    return Refusal(400, "Unsupported order type")


def unsupported_currency() -> Refusal:
    """Refuse a currency that the exchange, or its margin account, does not hold."""
    return Refusal(400, "Unsupported currency.")


def unknown_pair(pair: str) -> Refusal:
    """Refuse a pair that is not listed."""
    return Refusal(404, f"Pair {pair} not found.")


def not_marginable(pair: str) -> Refusal:
    """Refuse a margin request for a pair that trades spot only."""
    return Refusal(400, f"Invalid pair {pair}, margin trading is not supported.")


def under_maintenance(pair: str) -> Refusal:
    """Refuse an order while the pair is closed for trading."""
    return Refusal(400, f"Invalid pair {pair}, under maintenance.")


def invalid_price(value: object) -> Refusal:
    """Refuse a price that is not a positive number."""
    return Refusal(400, f"Invalid price {value}.")


def invalid_amount(value: object) -> Refusal:
    """Refuse an amount that is not a positive number."""
    return Refusal(400, f"Invalid amount {value}.")


def too_precise(field: str, value: Decimal, decimals: int) -> Refusal:
    """Refuse more decimals than the pair allows."""
    return Refusal(400, f"Invalid {field} {plain(value)}, decimal limit is {decimals}.")


def too_small(value: Decimal, minimum: Decimal) -> Refusal:
    """Refuse an amount below the pair's minimum."""
    return Refusal(400, f"Invalid amount {plain(value)}, minimum is {plain(minimum)}.")


def too_large(value: Decimal, maximum: Decimal) -> Refusal:
    """Refuse an amount above the pair's maximum."""
    return Refusal(400, f"Invalid amount {plain(value)}, maximum is {plain(maximum)}.")


def not_enough(currency: str, available: Decimal, ordered: Decimal) -> Refusal:
    """Refuse to lock or move more than is there."""
    return Refusal(
        400,
        f"Balance for {currency.lower()} not enough, "
        f"only has {plain(available)}, but ordered {plain(ordered)}.",
    )


def too_many_open(limit: int) -> Refusal:
    """Refuse an order beyond ``orderOpenLimit``."""
    return Refusal(400, f"Invalid order, open orders of the pair exceed the limit {limit}.")


def batch_too_long(limit: int) -> Refusal:
    """Refuse a batch of more orders than the page allows."""
    return Refusal(400, f"Invalid body, at most {limit} orders in a batch.")


def order_unknown(order_id: str) -> Refusal:
    """Refuse an id that the account does not have on that pair."""
    return Refusal(404, f"Order {order_id} not found.")


def not_cancellable(order_id: str) -> Refusal:
    """Refuse to cancel an order that is already finished."""
    return Refusal(400, f"Order {order_id} cannot be cancelled.")


def path_unknown() -> Refusal:
    """Refuse a path that does not exist."""
    return Refusal(404, "Not Found")


def borrow_limit(currency: str, limit: Decimal) -> Refusal:
    """Refuse to lend more than a user, or the platform, may borrow."""
    return Refusal(400, f"Borrow amount for {currency.lower()} exceeds the limit {plain(limit)}.")


def borrow_unsafe() -> Refusal:
    """Refuse a loan or a transfer that leaves too little asset behind the debt."""
    return Refusal(400, "AD ratio would be too low.")


def nothing_to_repay(currency: str) -> Refusal:
    """Refuse a repayment where nothing is owed."""
    return Refusal(400, f"No debt for {currency.lower()}.")


def unsupported_transfer() -> Refusal:
    """Refuse a transfer between balances other than spot (0) and margin (5)."""
    return Refusal(400, "Invalid balance kind.")


def bad_signature() -> Refusal:
    """Refuse a key or a signature that does not hold."""
    return Refusal(401, "Invalid Signature")


def bad_key() -> Refusal:
    """Refuse a key that does not exist, or no longer."""
    return Refusal(401, "Unauthorized api key")


def bad_identity() -> Refusal:
    """Refuse a payload that names another account than the key's."""
    return Refusal(401, "Invalid identity")


def replayed_nonce() -> Refusal:
    """Refuse a payload that has been seen before."""
    return Refusal(401, "Invalid nonce")


def clock_mismatch() -> Refusal:
    """Refuse a nonce too far from the exchange's clock."""
    return Refusal(409, "Local machine time mismatch")


def forbidden() -> Refusal:
    """Refuse a key that lacks the permission."""
    return Refusal(403, "Forbidden")


def too_many_requests() -> Refusal:
    """Refuse a request beyond a documented limit."""
    return Refusal(429, "Too Many Requests")
