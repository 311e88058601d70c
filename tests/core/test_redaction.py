import base64
import io
import json
import logging
import subprocess
import sys
import urllib.parse

import pytest

from bitopro_margin_ext.core import redaction

SECRET = "c0mpl3tely-s3cret"
PAYLOAD = "eyJpZGVudGl0eSI6ImhjbWxpbmpAZ21haWwuY29tIiwibm9uY2UiOjE1NTQzODA5MDkxMzF9"
LIST_PAYLOAD = "W3sicGFpciI6IkJUQ19VU0RUIiwiYWN0aW9uIjoiQlVZIn1d"
SIGNATURE = "0123456789abcdef" * 6


@pytest.fixture
def log(monkeypatch):
    redaction.add_secret(SECRET)
    # A test before may have had every record of the process blanked.
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(redaction.RedactingFilter())
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(handler)
    logger.stream = stream
    return logger


@pytest.mark.parametrize("what", [SECRET, PAYLOAD, LIST_PAYLOAD, SIGNATURE])
@pytest.mark.parametrize("shape", ["{}", "x={}&", "'{}'", "({})", "a {} b"])
def test_whatever_signs_is_blanked_wherever_it_stands(log, what, shape):
    text = shape.format(what)
    log.debug("before %s after", text)
    log.debug(text)
    log.info("%s", {"a": [what]})
    assert what not in log.stream.getvalue()
    assert log.stream.getvalue().count("***") == 3


def test_headers_are_blanked_even_with_a_key_that_nobody_named(log):
    headers = {"X-BITOPRO-APIKEY": "unnamed", "X-BITOPRO-PAYLOAD": "e30=", "Accept": "x/y"}
    log.debug("%s %s, Request: %s %s", "GET", "http://h/v3", headers, None)
    log.debug("x-bitopro-apikey: unnamed")
    assert "unnamed" not in log.stream.getvalue()
    assert "e30=" not in log.stream.getvalue()
    assert "x/y" in log.stream.getvalue()


def test_config_like_fields_are_blanked(log):
    log.debug({"apiKey": "short", "secret": "also", "name": "bitopromargin"})
    assert "short" not in log.stream.getvalue()
    assert "bitopromargin" in log.stream.getvalue()


def test_tracebacks_with_their_causes_are_blanked(log):
    try:
        try:
            raise OSError(f"first {SECRET}")
        except OSError as error:
            raise RuntimeError(f"second {PAYLOAD}") from error
    except RuntimeError:
        log.exception("failed")
    text = log.stream.getvalue()
    assert "RuntimeError: second ***" in text
    assert "OSError: first ***" in text


def test_a_traceback_that_another_handler_formatted_is_blanked(log):
    plain = logging.StreamHandler(io.StringIO())
    log.handlers.insert(0, plain)
    try:
        raise OSError(SECRET)
    except OSError:
        log.exception("failed", stack_info=True)
    assert SECRET in plain.stream.getvalue()
    assert SECRET not in log.stream.getvalue()


@pytest.mark.parametrize("args", [(), ("a",), ("a", "b", "c"), ({"x": SECRET},)])
def test_a_broken_call_to_the_logger_raises_nothing_and_leaks_nothing(log, args):
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%(y)s %s %d" + SECRET, args, None)
    assert redaction.RedactingFilter().filter(record)
    assert SECRET not in str(record.msg)
    assert SECRET not in str(record.args)


def test_records_without_secrets_pass_untouched():
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%s is %d", ("x", 5), None)
    redaction.redact_record(record)
    assert (record.msg, record.args) == ("%s is %d", ("x", 5))


def test_short_values_are_not_taken_for_secrets():
    redaction.add_secret("BTC")
    redaction.add_secret(None)
    redaction.add_secret("")
    assert redaction.redact("BTC/USDT") == "BTC/USDT"


def test_a_secret_that_holds_another_is_blanked_whole():
    redaction.add_secret("abcdefgh")
    redaction.add_secret("abcdefgh-and-more")
    assert redaction.redact("x abcdefgh-and-more y") == "x *** y"


def test_every_record_of_the_process_can_be_blanked_at_its_birth():
    code = """
import logging, sys
from bitopro_margin_ext.core import redaction
redaction.redact_all_records(); redaction.redact_all_records()
redaction.add_secret("the-long-secret")
logging.basicConfig(level=0)
logging.getLogger("any").warning("x %s", "the-long-secret")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "x ***" in done.stderr
    assert "the-long-secret" not in done.stderr


def test_the_headers_that_an_aiohttp_error_carries_are_taken_from_it():
    import aiohttp
    from multidict import CIMultiDict, CIMultiDictProxy
    from yarl import URL

    headers = CIMultiDictProxy(CIMultiDict({"X-BITOPRO-SIGNATURE": SIGNATURE}))
    info = aiohttp.RequestInfo(URL("http://h/v3"), "GET", headers, URL("http://h/v3"))
    inner = aiohttp.ClientResponseError(info, (), status=400, message="bad")
    assert SIGNATURE in repr(inner)
    outer = RuntimeError("outer")
    outer.__cause__ = inner
    redaction.strip_requests(outer)
    assert SIGNATURE not in repr(inner) + repr(inner.args) + repr(inner.request_info)
    assert "bad" in str(inner)


@pytest.mark.parametrize(
    "secret", ["My/Secret+Key==1", "first-part\nsecond-part", "p\xe4ss w\xf6rd"]
)
@pytest.mark.parametrize(
    "written",
    [
        str.upper,
        str.lower,
        lambda s: repr(s),
        lambda s: repr(s.encode()),
        lambda s: json.dumps({"x": s}),
        urllib.parse.quote,
        urllib.parse.quote_plus,
        lambda s: urllib.parse.urlencode({"x": s}),
        lambda s: "Basic " + base64.b64encode(f"me:{s}".encode()).decode(),
        lambda s: base64.b64encode(f"{s}!".encode()).decode(),
        lambda s: base64.urlsafe_b64encode(f"ab{s}cd".encode()).decode(),
        lambda s: f"Invalid header value {s.encode()!r}",
    ],
)
def test_a_secret_is_blanked_however_it_is_written(secret, written):
    redaction.add_secret(secret)
    text = written(secret)
    shown = redaction.redact(text)
    assert "***" in shown
    for part in (secret, *secret.split("\n"), *secret.split()):
        assert written(part).strip("'\"{}=")[-12:] not in shown.replace("***", "")


@pytest.mark.parametrize(
    ("text", "leak"),
    [
        ("proxy socks5h://me:hunter22@10.0.0.1:1080 failed", "hunter22"),
        ("ProxyError('https://me:p%40ss@proxy:3128/')", "p%40ss"),
        ('https://x:443 "GET /v3?token=abc&limit=5 HTTP/1.1" 200', "abc"),
        ("environ({'BITOPRO_API_SECRET': 'tiny', 'HOME': '/root'})", "tiny"),
        ("BITOPRO_API_KEY=tiny FREQTRADE__EXCHANGE__SECRET=small freqtrade", "tiny"),
        ("BITOPRO_API_KEY=tiny FREQTRADE__EXCHANGE__SECRET=small freqtrade", "small"),
        ("{'Authorization': 'Basic bWU6aHVudGVy'}", "bWU6aHVudGVy"),
        ("Authorization: Bearer a.b-c", "a.b-c"),
        ('{"jwt_secret_key": "tiny", "ws_token": "small"}', "tiny"),
        ('{"jwt_secret_key": "tiny", "ws_token": "small"}', "small"),
    ],
)
def test_what_is_named_a_secret_is_blanked_though_nobody_registered_it(text, leak):
    assert leak not in redaction.redact(text)


def test_the_rest_of_such_a_text_stays():
    text = 'https://***@x:443 "GET /v3?limit=5 HTTP/1.1" 200, exit reason key=roi, a@b.example'
    assert redaction.redact(text) == text


def test_what_an_address_holds_is_blanked():
    url = "https://trader:hunter%2022@hooks.example/services/T00/B00xyz?thread=abcdefgh"
    redaction.add_url_secrets(url, path=True)
    for text in (url, "hunter 22", "abcdefgh", "POST /services/T00/B00xyz?thread=abcdefgh HTTP"):
        shown = redaction.redact(text)
        assert not any(part in shown for part in ("hunter", "B00xyz", "abcdefgh"))


def test_control_characters_are_written_out():
    shown = redaction.redact("a\x1b[2Jb\x07\r\x9b1m\u202ec\td\ne")
    assert shown == "a\\x1b[2Jb\\x07\\r\\x9b1m\\u202ec\td\ne"


def test_arguments_that_a_formatter_reads_one_by_one_stay_arguments():
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%s %d", (SECRET, 5), None)
    redaction.add_secret(SECRET)
    redaction.redact_record(record)
    assert (record.msg, record.args) == ("%s %d", ("***", 5))
