"""Every way the exchange says no: status and text, in one table.

The texts that BitoPro publishes (or that ccxt has recorded) are used word for word; the others are
written in the same manner. A client must go by the status first.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from .amounts import plain


class Refusal(Exception):  # noqa: N818 - not an error: the exchange works as it should
    """A request that the exchange understood and will not carry out."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Reason(Enum):
    """Why a request is refused; called with the values of its text, it makes the ``Refusal``."""

    INVALID_BODY = 400, "Invalid body"
    BATCH_TOO_LONG = 400, "Invalid body, at most {limit} orders in a batch."
    WRONG_PARAMETER = 400, "Wrong parameter: {field}"
    UNSUPPORTED_TYPE = 400, "Unsupported order type"
    UNSUPPORTED_CURRENCY = 400, "Unsupported currency."

    UNKNOWN_PAIR = 404, "Pair {pair} not found."
    NOT_MARGINABLE = 400, "Invalid pair {pair}, margin trading is not supported."
    UNDER_MAINTENANCE = 400, "Invalid pair {pair}, under maintenance."

    INVALID_PRICE = 400, "Invalid price {value}."
    INVALID_AMOUNT = 400, "Invalid amount {value}."
    TOO_PRECISE = 400, "Invalid {field} {value}, decimal limit is {decimals}."
    TOO_SMALL = 400, "Invalid amount {value} less than min {minimum}."
    TOO_LARGE = 400, "Invalid amount {value} greater than max {maximum}."
    NOT_ENOUGH = (
        400,
        "Balance for {currency} not enough, only has {available}, but ordered {asked}.",
    )
    TOO_MANY_OPEN = 400, "Invalid order, open orders of the pair exceed the limit {limit}."
    ORDER_REJECTED = 400, "Order rejected by the exchange."

    UNKNOWN_ORDER = 404, "Order {order_id} not found."
    NOT_CANCELLABLE = 400, "Order {order_id} cannot be cancelled."

    BORROW_LIMIT = 400, "Borrow amount for {currency} exceeds the limit {limit}."
    BORROW_SUSPENDED = 400, "Borrow for {currency} is under maintenance."
    LOAN_STEP = 400, "Invalid amount {value}, not a multiple of {step}."
    UNSAFE_RATIO = 400, "AD ratio would be too low."
    NO_DEBT = 400, "No debt for {currency}."
    ABOVE_DEBT = 400, "Repay amount for {currency} exceeds the debt {owed}."
    INVALID_BALANCE_KIND = 400, "Invalid balance kind."

    UNKNOWN_PATH = 404, "Not Found"
    INVALID_SIGNATURE = 401, "Invalid Signature"
    INVALID_KEY = 401, "Unauthorized api key"
    INVALID_IDENTITY = 401, "Invalid identity"
    INVALID_NONCE = 401, "Invalid nonce"
    CLOCK_MISMATCH = 409, "Local machine time mismatch"
    FORBIDDEN = 403, "Forbidden"
    TOO_MANY_REQUESTS = 429, "Too Many Requests"

    def __call__(self, **values: object) -> Refusal:
        """Fill the text in; amounts are written without exponents."""
        status, text = self.value
        shown = {k: plain(v) if isinstance(v, Decimal) else v for k, v in values.items()}
        return Refusal(status, text.format(**shown))
