"""What a failed call means, and whether its command is known to have failed; our own exceptions.

One classification serves ccxt (which raises the named class) and the kill switch (which has no
ccxt): by HTTP status first, then by BitoPro's texts where we know them.

The exceptions of this package, but for those of the sandbox, which stands alone:

BitoproMarginError
  + AnswerTooLongError (of requests): longer than any documented answer
  + CallTimeoutError: a request was sent, and given up before its answer had come
  + ConfigurationError (a ValueError): a Freqtrade config that cannot be read or used
  + CredentialError (a ValueError): no API key and secret, or unusable ones
  + DrillError: a drill that could not be played
  + LedgerError: the bot's record of its loans cannot be kept
  + LoanRefusedError: the exchange said no to a loan or a repayment
  + LoanUnknownError: whether a loan or a repayment was made is not known
  + NotSentError: a request was held back before its first byte
  + UnsupportedFreqtradeError: something of Freqtrade's that we need is not there any more
  + UsageError: a command line that cannot be carried out
  + WrongBaseOrderError (Freqtrade's OperationalException): the mixin stands behind IStrategy

What the exchange refuses or leaves open is a ``Failure`` inside and an error of ccxt outside: see
``exchange.flow.UnknownOutcome``.
"""

import email.utils
import enum
import json
import re
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from .assumptions import HISTORY_DAYS


class BitoproMarginError(Exception):
    """The root of our own exceptions; its text is one line that tells the next step."""


class Outcome(enum.Enum):
    """The fate of a command that did not answer with success."""

    NOT_SENT = "not sent"
    """It never left: nothing happened, and the exchange has said nothing."""
    REFUSED = "refused"
    """The exchange said no: nothing happened."""
    UNKNOWN = "unknown"
    """It may or may not have happened: look before you report."""


class Meaning(enum.Enum):
    """What went wrong; the value is the ccxt class of that meaning."""

    AUTHENTICATION = "AuthenticationError"
    PERMISSION = "PermissionDenied"
    ORDER_NOT_FOUND = "OrderNotFound"
    INVALID_ORDER = "InvalidOrder"
    INSUFFICIENT_FUNDS = "InsufficientFunds"
    BAD_SYMBOL = "BadSymbol"
    BAD_REQUEST = "BadRequest"
    NOT_SUPPORTED = "NotSupported"
    NONCE = "InvalidNonce"
    RATE_LIMIT = "RateLimitExceeded"
    TIMEOUT = "RequestTimeout"
    UNAVAILABLE = "ExchangeNotAvailable"
    MAINTENANCE = "OnMaintenance"
    BAD_RESPONSE = "BadResponse"
    NETWORK = "NetworkError"


_UNKNOWN_OUTCOMES: Final = frozenset(
    {Meaning.TIMEOUT, Meaning.UNAVAILABLE, Meaning.BAD_RESPONSE, Meaning.NETWORK}
)
_RETRYABLE: Final = _UNKNOWN_OUTCOMES | {
    Meaning.RATE_LIMIT,
    Meaning.NONCE,
    Meaning.MAINTENANCE,
}

_TEXTS: Final = {
    # How the exchange's texts begin, word by word; the first match wins. Seen in BitoPro's pages or
    # answers, in ccxt's table of them, or in the same manner.
    Meaning.MAINTENANCE: (
        r"(.+\W)?(under|in|for|during|due to|system|scheduled) maintenance(?! (margin|ratio|rate))",
    ),
    Meaning.AUTHENTICATION: (
        r"(invalid|wrong|missing) signature",
        r"(invalid|wrong|missing|unknown|expired|unauthori[sz]ed) (api ?)?(key|token|identity)",
        r"(api ?)?(key|token) (is |was |has )?(been )?(not (allowed|valid|found)|invalid)",
        r"(api ?)?(key|token) (is |was |has )?(been )?(expired|revoked|disabled|deleted)",
        r"unauthori[sz]ed",
    ),
    Meaning.PERMISSION: (
        r"forbidden",
        r"(no|missing|insufficient|not enough) permissions?",
        r"permission denied",
        r"(.+ )?(has|have) no permissions?",
        r"margin( trading| account)? (is )?not enabled",
    ),
    Meaning.INSUFFICIENT_FUNDS: (
        r"balance for \S+ (is )?not enough",
        r"(insufficient|not enough) (available )?(balance|funds?)",
        r"(balance|funds?) (is |are )?(not enough|insufficient)",
    ),
    Meaning.ORDER_NOT_FOUND: (
        r"order( \S*\d\S*)? (is |was )?(not found|does(n't| not) exist|not exists?)",
        r"(no such|unknown) order",
    ),
    Meaning.BAD_SYMBOL: (
        r"(invalid|unsupported|unknown) (trading )?pair",
        r"(trading )?pair( \S+)? (is )?(not (found|supported)|unsupported|unknown|invalid)",
        r"(trading )?pair( \S+)? does(n't| not) exist",
    ),
    Meaning.NONCE: (
        r"(invalid|duplicated?|expired|wrong) nonce",
        r"nonce (is|was|must|has)",
        r"(local machine )?time mismatch",
        r"timestamp (is |was |has )?(expired|mismatch(ed)?)",
    ),
    Meaning.INVALID_ORDER: (
        r"invalid (amount|price|stop ?price|client ?id|condition|order)",
        r"order( \S*\d\S*)? (cannot|can't|can not) be cancell?ed",
        r"(stop )?order (would|will) trigger immediately",
        r"stop ?price (is|must|should)",
        r"too many open orders",
        r"order ?open ?limit",
        r"order amount (is|must|should)",
        r"order (was )?rejected",
    ),
}

_BY_TEXT: Final = tuple(
    (re.compile(rf"{text}(\W.*)?", re.IGNORECASE), meaning)
    for meaning, texts in _TEXTS.items()
    for text in texts
)

_BY_STATUS: Final = {
    401: Meaning.AUTHENTICATION,
    403: Meaning.PERMISSION,
    408: Meaning.TIMEOUT,
    409: Meaning.NONCE,
    429: Meaning.RATE_LIMIT,
    504: Meaning.TIMEOUT,
}

FATAL: Final = frozenset({Meaning.AUTHENTICATION, Meaning.PERMISSION, Meaning.NONCE})
"""Refusals that no retry cures."""

_SAID_BY_GATEWAYS: Final = frozenset({Meaning.RATE_LIMIT, Meaning.TIMEOUT, Meaning.UNAVAILABLE})
"""What whoever stands before the exchange can say truly; it cannot refuse a key or an order."""

_HINTS: Final = {
    Meaning.AUTHENTICATION: "check the API key and secret, and that the key is not revoked",
    Meaning.PERMISSION: (
        "margin is not enabled for this key: tick Margin on BitoPro's API page, check the IP list"
    ),
    Meaning.ORDER_NOT_FOUND: (
        f"not known, or not any more: orders are kept for {HISTORY_DAYS} days; that makes it no"
        " cancelled one"
    ),
    Meaning.RATE_LIMIT: "too many requests from this IP or account: another process may share it",
}


class Failure(NamedTuple):
    """Why a call failed, in the exchange's words where there are any.

    ``retry_after`` is in seconds; ``clock_offset_ms`` is the exchange's clock minus ours. ``sent``
    is False for a call that we held back ourselves. ``error`` is what a library raised, if one did.
    """

    meaning: Meaning
    text: str
    status: int | None = None
    retry_after: float | None = None
    clock_offset_ms: int | None = None
    sent: bool = True
    error: Exception | None = None

    @property
    def outcome(self) -> Outcome:
        """Whether the command is known not to have happened.

        Only the exchange's own refusal is ``REFUSED``. A time-out, a dropped connection, a 5xx or
        an unreadable answer leaves the fate of the orders open, so it is ``UNKNOWN``.
        """
        if not self.sent:
            return Outcome.NOT_SENT
        return Outcome.UNKNOWN if self.meaning in _UNKNOWN_OUTCOMES else Outcome.REFUSED

    @property
    def is_retryable(self) -> bool:
        """Whether the same call can succeed later, unchanged but for its signature."""
        return self.meaning in _RETRYABLE

    def __str__(self) -> str:
        """One line: what happened and, where we know it, the next step."""
        hint = _HINTS.get(self.meaning)
        status = f"{self.status} " if self.status else ""
        return f"{status}{self.text}" + (f" ({hint})" if hint else "")


def error_text(body: str | None) -> str:
    """The exchange's own words in an answer: its ``error`` field, or a short plain text."""
    if not body:
        return ""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        # An HTML page of a proxy says nothing that a trader could use.
        found = "" if _is_page(body) else body.strip()
    else:
        named = isinstance(document, dict)
        found = str(document.get("error") or document.get("message") or "") if named else ""
    # An answer may repeat what was sent to it. (Imported here: a first call needs no logging.)
    from .redaction import redact

    return " ".join(redact(found).split())[:200]


def classify(
    status: int,
    body: str | None,
    *,
    path: str = "",
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
) -> Failure:
    """Read an answer that is not a success; ``path`` tells an order's 404 from a path's.

    The exchange refuses with JSON, ``{"error": "text"}``. A 4xx without it is the word of a gateway
    or a router: a 404 of theirs does not say that there is no such order. ``body`` is None where it
    cannot be had, as that of a refused websocket.
    """
    text = error_text(body)
    headers = {key.lower(): value for key, value in (headers or {}).items()}
    meaning = _meaning(status, text, path)
    is_own = not _is_page(body) if status < 400 else _is_own_error(body)
    if not is_own and meaning not in _SAID_BY_GATEWAYS:
        # Not the exchange's word but that of something before it.
        meaning = Meaning.UNAVAILABLE
    return Failure(
        meaning,
        text or _default_text(meaning),
        status,
        retry_after=_retry_after(headers.get("retry-after"), now),
        clock_offset_ms=_clock_offset(headers.get("date"), now)
        if meaning is Meaning.NONCE
        else None,
    )


def network_failure(error: BaseException, *, timed_out: bool) -> Failure:
    """A call that got no answer. Keeps the error's type, not its text: that can hold a URL."""
    if timed_out:
        return Failure(Meaning.TIMEOUT, "no answer in time")
    return Failure(Meaning.NETWORK, f"connection failed ({type(error).__name__})")


def not_sent(why: str) -> Failure:
    """A call that we held back, because its turn or the exchange's patience comes too late."""
    return Failure(Meaning.TIMEOUT, f"not sent: {why}", sent=False)


def unreadable(what: str) -> Failure:
    """An answer with a success status that is not what the page documents."""
    return Failure(Meaning.BAD_RESPONSE, f"unreadable answer: {what}")


def _meaning(status: int, text: str, path: str) -> Meaning:
    said = _meaning_of_text(text)
    if status == 401 and said is Meaning.NONCE:
        # The key is in order; its nonce came too late.
        return said
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return Meaning.UNAVAILABLE
    if status < 400:
        # A redirect that cannot be followed, and its like: no word about the call.
        return Meaning.BAD_RESPONSE
    if said is not None:
        return said
    if status == 404:
        if re.search(r"/orders/[^/_]+_[^/_]+/[^/]+$", path):
            return Meaning.ORDER_NOT_FOUND
        if re.search(r"/[^/_]+_[^/_]+$", path):
            return Meaning.BAD_SYMBOL
        return Meaning.NOT_SUPPORTED
    return Meaning.BAD_REQUEST


def _meaning_of_text(text: str) -> Meaning | None:
    """What a text that we know means, read whole: "under maintenance" is no unknown pair."""
    whole = " ".join(text.split()).rstrip(".!")
    return next((meaning for known, meaning in _BY_TEXT if known.fullmatch(whole)), None)


def _is_own_error(body: str | None) -> bool:
    """Whether a body is the exchange's own error, as the pages show it; None: nobody saw it."""
    if body is None:
        return True
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("error"), str)


def _is_page(body: str | None) -> bool:
    return bool(body) and str(body).lstrip()[:1] == "<"


def _default_text(meaning: Meaning) -> str:
    unavailable = meaning is Meaning.UNAVAILABLE
    return "the exchange is not available" if unavailable else "no reason given"


def _retry_after(value: str | None, now: float | None) -> float | None:
    """Seconds, from either of the forms that HTTP has for it: seconds, or a date."""
    if not value:
        return None
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        return float(value)
    moment = _moment(value)
    return None if moment is None else max(0.0, moment - (time.time() if now is None else now))


def _clock_offset(date: str | None, now: float | None) -> int | None:
    server = _moment(date) if date else None
    if server is None:
        return None
    # The header counts whole seconds: aim at the middle of the one it names.
    return round((server + 0.5 - (time.time() if now is None else now)) * 1000)


def _moment(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
