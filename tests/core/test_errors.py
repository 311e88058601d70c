import json
import pickle

import ccxt
import pytest

from bitopro_margin_ext.core import redaction
from bitopro_margin_ext.core.errors import (
    Failure,
    Meaning,
    Outcome,
    classify,
    error_text,
    network_failure,
    not_sent,
    unreadable,
)

ORDER = "/v3/margin/orders/btc_usdt/123"
PAIR = "/v3/margin/orders/btc_usdt"
PAGE = "<!DOCTYPE html><html><body>Something is wrong</body></html>"


def say(text):
    return json.dumps({"error": text})


@pytest.mark.parametrize(
    ("status", "body", "path", "meaning"),
    [
        (401, say("Unauthorized"), PAIR, "AuthenticationError"),
        (400, say("Invalid signature"), PAIR, "AuthenticationError"),
        (403, say("Forbidden"), PAIR, "PermissionDenied"),
        (400, say("margin is not enabled"), PAIR, "PermissionDenied"),
        (404, say("Not found"), ORDER, "OrderNotFound"),
        (404, say("Not found"), "/v3/orders/btc_usdt/123", "OrderNotFound"),
        (404, say("Order 1 not found."), "/v3/x", "OrderNotFound"),
        (404, say("Not found"), PAIR, "BadSymbol"),
        (404, say("Not found"), "/v3/margin/orders/all/btc_usdt", "BadSymbol"),
        (404, say("Not found"), "/v3/margin/orders/trades/btc_usdt", "BadSymbol"),
        (404, say("Not found"), "/v3/tickers/btc_usdt", "BadSymbol"),
        (404, say("page not found"), "/v3/margin/orders/orders/open", "NotSupported"),
        (400, say("Order 1 cannot be cancelled."), ORDER, "InvalidOrder"),
        (422, say("Order amount is too small"), PAIR, "InvalidOrder"),
        (400, say("Balance for btc not enough, only has 0"), PAIR, "InsufficientFunds"),
        (400, say("Invalid pair foo_bar"), PAIR, "BadSymbol"),
        (400, say("something else"), PAIR, "BadRequest"),
        (422, say("no"), PAIR, "BadRequest"),
        (409, say("Conflict"), PAIR, "InvalidNonce"),
        (429, say("Too many requests"), PAIR, "RateLimitExceeded"),
        (429, PAGE, PAIR, "RateLimitExceeded"),
        (408, say("Timeout"), PAIR, "RequestTimeout"),
        (504, PAGE, PAIR, "RequestTimeout"),
        (500, say("Internal"), PAIR, "ExchangeNotAvailable"),
        (502, PAGE, PAIR, "ExchangeNotAvailable"),
        (503, "", PAIR, "ExchangeNotAvailable"),
        (520, PAGE, PAIR, "ExchangeNotAvailable"),
        # A page is not the exchange's word: it can refuse neither a key nor an order.
        (400, PAGE, PAIR, "ExchangeNotAvailable"),
        (401, PAGE, PAIR, "ExchangeNotAvailable"),
        (403, PAGE, PAIR, "ExchangeNotAvailable"),
        (404, PAGE, ORDER, "ExchangeNotAvailable"),
        (409, PAGE, PAIR, "ExchangeNotAvailable"),
        (304, "", PAIR, "BadResponse"),
        (302, PAGE, PAIR, "ExchangeNotAvailable"),
    ],
)
def test_meaning(status, body, path, meaning):
    failure = classify(status, body, path=path)
    assert failure.meaning.value == meaning
    kind = getattr(ccxt, meaning)
    told = meaning in ("InvalidNonce", "RateLimitExceeded")
    unknown = issubclass(kind, ccxt.OperationFailed) and not told
    assert (failure.outcome is Outcome.UNKNOWN) == unknown


NOT_ITS_OWN = (
    "",
    "404 page not found",
    "Order not found",
    "{}",
    "[]",
    "null",
    '{"message": "Forbidden"}',
    '{"detail": "Not Found"}',
    '{"error": null}',
    '{"error": {"code": 5}}',
    '{"error": "Not fou',
    "[" * 100_000,
)
"""What gateways, routers and broken connections answer with."""


@pytest.mark.parametrize("body", NOT_ITS_OWN)
@pytest.mark.parametrize(
    "path", [ORDER, PAIR, "/v3/margin/orders/orders/open", "/v3/margin/borrow"]
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 422, 451])
def test_only_its_own_error_is_the_exchanges_refusal(status, path, body):
    failure = classify(status, body, path=path, headers={"Date": "Thu, 01 Jan 1970 00:02:00 GMT"})
    assert (failure.meaning, failure.outcome) == (Meaning.UNAVAILABLE, Outcome.UNKNOWN)
    assert failure.is_retryable


@pytest.mark.parametrize("body", NOT_ITS_OWN)
def test_a_gateway_can_say_that_there_were_too_many_or_that_it_waited(body):
    assert classify(429, body, path=ORDER).meaning is Meaning.RATE_LIMIT
    assert classify(408, body, path=ORDER).meaning is Meaning.TIMEOUT


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        # Seen on the live exchange, or in its own repositories.
        ("Balance for TWD not enough, only has 0.6806051, but ordered 200.", "InsufficientFunds"),
        ("Balance for eth not enough, only has 0, but ordered 0.01.", "InsufficientFunds"),
        ("Invalid amount 0.00001 less than min 0.0001.", "InvalidOrder"),
        ("Invalid amount 0.0000000001, decimal limit is 8.", "InvalidOrder"),
        ("Invalid price -1.", "InvalidOrder"),
        ("api token is not allowed", "AuthenticationError"),
        ("Invalid Signature", "AuthenticationError"),
        ("Unsupported currency.", "BadRequest"),
        ("Unsupported order type", "BadRequest"),
        ("Invalid body", "BadRequest"),
        ("Wrong parameter: from", "BadRequest"),
        # Near misses: one word of another meaning is in each of them.
        ("Pair btc_usdt is under maintenance.", "OnMaintenance"),
        ("pair is under maintenance", "OnMaintenance"),
        ("Invalid pair btc_usdt, under maintenance.", "OnMaintenance"),
        ("System maintenance until 03:00", "OnMaintenance"),
        ("Your adRatio is under maintenance margin", "BadRequest"),
        ("Pair btc_usdt is halted until further notice", "BadRequest"),
        ("Pair btc_usdt cannot be traded now", "BadRequest"),
        ("Invalid pair foo_bar, margin trading is not supported.", "BadSymbol"),
        ("Pair foo_bar not found.", "BadSymbol"),
        ("No trading pair was unlocked", "BadRequest"),
        ("Insufficient permission", "PermissionDenied"),
        ("Balance of the pair unlocked", "BadRequest"),
        ("Not enough liquidity", "BadRequest"),
        ("Borrow limit not enough, your balance of twd is 0", "BadRequest"),
        ("Order amount is too small", "InvalidOrder"),
        ("Order book not found", "BadRequest"),
        ("Order 12 not found.", "OrderNotFound"),
        ("Order for a pair that does not exist", "BadRequest"),
        ("Order 12 cannot be cancelled.", "InvalidOrder"),
        ("Key figures are not enabled", "BadRequest"),
        ("A nonce is not needed here", "BadRequest"),
        ("Invalid nonce", "InvalidNonce"),
        ("Nonce must be monotonically increasing", "InvalidNonce"),
        ("monkey business", "BadRequest"),
        ("Rejected: see the signature of your contract", "BadRequest"),
        ("Too many open orders", "InvalidOrder"),
        ("This order would be too many open orders away", "BadRequest"),
    ],
)
def test_texts_are_read_whole(text, meaning):
    assert classify(400, say(text), path="/v3/x").meaning.value == meaning


def test_a_401_for_the_nonce_is_not_one_for_the_key():
    assert classify(401, say("Invalid nonce")).meaning is Meaning.NONCE


def test_every_meaning_is_a_class_of_ccxt():
    assert all(issubclass(getattr(ccxt, meaning.value), ccxt.BaseError) for meaning in Meaning)


@pytest.mark.parametrize(
    ("failure", "outcome", "again"),
    [
        (network_failure(OSError("http://url"), timed_out=False), Outcome.UNKNOWN, True),
        (network_failure(OSError(), timed_out=True), Outcome.UNKNOWN, True),
        (unreadable("x"), Outcome.UNKNOWN, True),
        (not_sent("x"), Outcome.NOT_SENT, True),
        (Failure(Meaning.RATE_LIMIT, "x"), Outcome.REFUSED, True),
        (Failure(Meaning.NONCE, "x"), Outcome.REFUSED, True),
        (Failure(Meaning.AUTHENTICATION, "x"), Outcome.REFUSED, False),
        (Failure(Meaning.ORDER_NOT_FOUND, "x"), Outcome.REFUSED, False),
    ],
)
def test_outcome(failure, outcome, again):
    assert (failure.outcome, failure.is_retryable) == (outcome, again)
    assert "http" not in str(failure)
    assert pickle.loads(pickle.dumps(failure)) == failure


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3),
        ("0", 0),
        ("1.5", 1.5),
        (" 7 ", 7),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value, seconds):
    headers = {} if value is None else {"RETRY-after": value}
    assert classify(429, "", headers=headers, now=60.0).retry_after == seconds


@pytest.mark.parametrize(
    ("date", "offset"),
    [
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60_500),
        ("Thu, 01 Jan 1970 00:00:30 GMT", -29_500),
        ("yesterday", None),
        ("Mon, 99 Foo 99999 00:00:00 GMT", None),
        (None, None),
    ],
)
def test_the_clock_offset_is_read_from_the_date_of_a_409(date, offset):
    headers = {} if date is None else {"Date": date}
    assert classify(409, say("x"), headers=headers, now=60.0).clock_offset_ms == offset
    assert classify(401, say("x"), headers=headers, now=60.0).clock_offset_ms is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (say("Bad"), "Bad"),
        ('{"message": "Bad"}', "Bad"),
        ('{"error": {"a": 1}}', "{'a': 1}"),
        ('{"error": null}', ""),
        ("[1]", ""),
        ("7", ""),
        ("plain words", "plain words"),
        ("x" * 999, "x" * 200),
        (PAGE, ""),
        ("[" * 5000, "[" * 200),
        ("", ""),
        (None, ""),
    ],
)
def test_the_words_of_an_answer(body, text):
    assert error_text(body) == text


def test_an_answer_that_repeats_what_signs_does_not_get_into_the_text():
    redaction.add_secret("error-test-secret")
    payload, signature = "eyJub25jZSI6MTc5NTQxOTU0NzEzMX0=", "ab" * 48
    failure = classify(400, say(f"bad error-test-secret {payload} {signature}"))
    assert str(failure) == "400 bad *** *** ***"


def test_a_text_names_the_next_step_where_there_is_one():
    assert "check the API key" in str(classify(401, say("Unauthorized")))
    assert "tick Margin" in str(classify(403, say("Forbidden")))
    assert "\n" not in str(classify(429, ""))
