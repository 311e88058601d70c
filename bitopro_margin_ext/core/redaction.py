"""Keep keys, secrets, payloads and signatures out of every log record and every text we print."""

import base64
import json
import logging
import re
import traceback
import urllib.parse
from collections.abc import Iterator
from typing import Any, Final

BLANK: Final = "***"

_MINIMUM: Final = 6
"""Shorter values are no secrets worth the damage of blanking them wherever they occur."""

_secrets: set[str] = set()
_forms: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None

_NAMES: Final = (
    r"[\w.-]*(?:api_?key|secret(?:_?key)?|passw(?:or)?d|passphrase|token|payload|signature)"
)
_HEADERS: Final = re.compile(
    r"((?:X-BITOPRO-(?:APIKEY|PAYLOAD|SIGNATURE)|Authorization)['\"]?\s*[:=,]\s*(?:b?['\"])?"
    r"(?:(?:Basic|Bearer|Digest)\s+)?)[A-Za-z0-9+/=_.\-]+",
    re.IGNORECASE,
)
_FIELDS: Final = re.compile(rf"(['\"](?:key|{_NAMES})['\"]\s*:\s*)(['\"])[^'\"]+\2", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rf"\b({_NAMES}=)(?!\*\*\*)[^\s'\"&,;<>)}}\]]+", re.IGNORECASE)
"""Of a query, a form or an environment."""
_USERINFO: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@'\"<>?#]+@", re.IGNORECASE)
_PAYLOAD: Final = re.compile(r"\b(?:eyJ|W3si)[A-Za-z0-9+/=_\-]{16,}")
"""Base64 of a JSON object, or of a list of them: what is signed."""
_SIGNATURE: Final = re.compile(r"\b[0-9a-f]{96}\b", re.IGNORECASE)

_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What steers a terminal, or turns the direction of a line, rather than being read."""


def add_secret(value: object) -> None:
    """Blank this value from now on, wherever it appears and however it is written there.

    Its letter case does not matter; escaped, percent-encoded and in base64 it is found as well, and
    a value of several lines is blanked line by line too.
    """
    global _pattern
    if not isinstance(value, str) or value in _secrets:
        return
    _secrets.add(value)
    for part in (value, value.strip(), *value.split()):
        if len(part) >= _MINIMUM:
            _forms.update(dict.fromkeys(_written_forms(part)))
    # Longest first, so that a secret that contains another is blanked whole.
    forms = sorted(_forms, key=len, reverse=True)
    _pattern = re.compile("|".join(map(re.escape, forms)), re.IGNORECASE) if forms else None


def add_url_secrets(url: str, *, path: bool = False) -> None:
    """Blank what an address holds besides the place: user and password, and every query value.

    ``path`` says that the path is a password too, as that of a webhook is.
    """
    userinfo = url.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if userinfo:
        for part in (userinfo, userinfo.partition(":")[2]):
            add_secret(part)
            add_secret(urllib.parse.unquote(part))
    where, _, query = url.partition("?")
    if path:
        place = where.partition("://")[2].partition("/")[2]
        for part in (url, "/" + place, urllib.parse.unquote(place)):
            add_secret(part)
    for field in query.partition("#")[0].split("&"):
        value = field.partition("=")[2] or field
        add_secret(value)
        add_secret(urllib.parse.unquote_plus(value))


def _written_forms(secret: str) -> Iterator[str]:
    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield urllib.parse.quote(secret)
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
    raw = secret.encode("utf-8", "surrogatepass")
    yield repr(raw)[2:-1]
    yield raw.hex()
    # As a part of something longer, base64 has three ways to write it, by where it begins.
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        first = (offset * 8 + 5) // 6
        last = (offset + len(raw)) * 8 // 6
        if last - first >= _MINIMUM:
            yield text[first:last]
            yield text[first:last].translate(str.maketrans("+/", "-_"))


def redact(text: str) -> str:
    """The text without anything that signs, or could sign, a request, and without control codes."""
    if _pattern is not None:
        text = _pattern.sub(BLANK, text)
    # Functions rather than templates: these need an import, which fails at the interpreter's exit.
    text = _HEADERS.sub(lambda found: found[1] + BLANK, text)
    text = _FIELDS.sub(lambda found: found[1] + found[2] + BLANK + found[2], text)
    text = _USERINFO.sub(lambda found: found[1] + BLANK + "@", text)
    text = _ASSIGNED.sub(lambda found: found[1] + BLANK, text)
    return printable(_SIGNATURE.sub(BLANK, _PAYLOAD.sub(BLANK, text)))


def printable(text: str) -> str:
    """The text with control characters written out: it may come from another machine."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


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
        _replace_message(record, redacted)
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


def _replace_message(record: logging.LogRecord, redacted: str) -> None:
    """Keep the arguments where blanking each is enough: some formatters read them one by one."""
    if isinstance(record.args, tuple):
        blanked = tuple(redact(arg) if isinstance(arg, str) else arg for arg in record.args)
        try:
            enough = str(record.msg) % blanked == redacted
        except Exception:
            enough = False
        if enough:
            record.args = blanked
            return
    record.msg, record.args = redacted, None


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
