import io
import logging
import subprocess
import sys

import pytest

from bitopro_margin_ext.core import redaction

SECRET = "c0mpl3tely-s3cret"
PAYLOAD = "eyJpZGVudGl0eSI6ImhjbWxpbmpAZ21haWwuY29tIiwibm9uY2UiOjE1NTQzODA5MDkxMzF9"
LIST_PAYLOAD = "W3sicGFpciI6IkJUQ19VU0RUIiwiYWN0aW9uIjoiQlVZIn1d"
SIGNATURE = "0123456789abcdef" * 6


@pytest.fixture
def log():
    redaction.add_secret(SECRET)
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
