"""Keep keys, secrets, payloads and signatures out of every log record and every text we print."""

import logging
import re
import traceback
from typing import Any, Final

BLANK: Final = "***"

_secrets: set[str] = set()
_MINIMUM: Final = 6
"""Shorter values are no secrets worth the damage of blanking them wherever they occur."""

_HEADERS: Final = re.compile(
    r"(X-BITOPRO-(?:APIKEY|PAYLOAD|SIGNATURE)['\"]?\s*[:=,]\s*b?['\"]?)[A-Za-z0-9+/=_\-]+",
    re.IGNORECASE,
)
_FIELDS: Final = re.compile(
    r"(['\"](?:apiKey|api_key|key|secret|password|payload|signature)['\"]\s*:\s*)(['\"])[^'\"]+\2",
    re.IGNORECASE,
)
_PAYLOAD: Final = re.compile(r"\b(?:eyJ|W3si)[A-Za-z0-9+/=_\-]{16,}")
"""Base64 of a JSON object, or of a list of them: what is signed."""
_SIGNATURE: Final = re.compile(r"\b[0-9a-f]{96}\b")


def add_secret(value: object) -> None:
    """Blank this value from now on, wherever it appears."""
    if isinstance(value, str) and len(value) >= _MINIMUM:
        _secrets.add(value)


def redact(text: str) -> str:
    """The text without anything that signs, or could sign, a request."""
    # Longest first, so that a secret that contains another is blanked whole.
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, BLANK)
    text = _HEADERS.sub(rf"\1{BLANK}", text)
    text = _FIELDS.sub(rf"\1\2{BLANK}\2", text)
    return _SIGNATURE.sub(BLANK, _PAYLOAD.sub(BLANK, text))


def strip_requests(error: BaseException) -> None:
    """Take from an error and its causes the signed headers that aiohttp's errors carry."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        info = getattr(found, "request_info", None)
        if info is not None:
            bare = info._replace(headers=type(info.headers)(type(info.headers.copy())()))
            found.request_info = bare  # type: ignore[attr-defined]
            found.args = (bare, *found.args[1:])
        found = found.__cause__ or found.__context__


class RedactingFilter(logging.Filter):
    """A logging filter that lets every record pass, blanked."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Blank the record's message and traceback in place."""
        redact_record(record)
        return True


def redact_record(record: logging.LogRecord) -> None:
    """Blank a record in place: its formatted message, and its traceback once there is one."""
    try:
        message = record.getMessage()
    except Exception:
        # A broken call to the logger: leave it to logging to say so, with nothing to leak.
        message = f"{record.msg} {record.args}"
    redacted = redact(message)
    if redacted != message:
        record.msg, record.args = redacted, None
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    if record.exc_text:
        # Another handler has formatted it already.
        record.exc_text = redact(record.exc_text)
    elif record.exc_info and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(*record.exc_info))
        redacted = redact(text)
        if redacted != text:
            record.exc_text = redacted.rstrip("\n")


def redact_logger(logger: logging.Logger) -> None:
    """Blank what is logged through this logger; doing it twice is harmless."""
    if not any(isinstance(found, RedactingFilter) for found in logger.filters):
        logger.addFilter(RedactingFilter())


def redact_all_records() -> None:
    """Blank every record of the process at its birth, whatever handler will print it.

    A filter that a handler does not list is not applied, and Freqtrade adds handlers of its own
    (``--logfile``, the one behind ``/logs``); so the record factory is the only sure place.
    """
    factory = logging.getLogRecordFactory()
    if getattr(factory, "redacts", False):
        return

    def redacting_factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        redact_record(record)
        return record

    redacting_factory.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacting_factory)
