"""Whatever happens and however loud it is: nothing that signs is printed, logged or raised."""

import asyncio
import contextlib
import io
import logging
import re
import traceback

import ccxt
import ccxt.async_support
import pytest

from bitopro_margin_ext.exchange import call_scope, order_creation
from tests.exchange.conftest import EVERY_DRIVER, seed
from tests.exchange.test_deadlines import RawServer

BTC = "BTC/USDT"
KEY, SECRET = "the-key-of-this-test-alone", "the-secret-of-this-test-alone"
FAULTS = [
    {"kind": "status", "status": 400, "body": {"error": f"you sent {KEY} and {SECRET}"}},
    {"kind": "status", "status": 401},
    {"kind": "status", "status": 403},
    {"kind": "status", "status": 404},
    {"kind": "status", "status": 409},
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 500, "body": f"<html>{SECRET}</html>"},
    {"kind": "close"},
    {"kind": "process_close"},
    {"kind": "cut_off"},
    {"kind": "empty_body"},
    {"kind": "invalid_json"},
    {"kind": "truncated_json"},
    {"kind": "list_body"},
]
SIGNING = re.compile(r"eyJ[A-Za-z0-9+/=]{12,}|\b[0-9a-f]{96}\b")


@pytest.fixture
def heard():
    """Everything that any logger says, formatted as it comes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def account(sandbox, control, monkeypatch):
    monkeypatch.setattr(order_creation, "LOOKUP_PAUSES", (0.0, 0.01))
    control.add_account("sandbox@example.com", keys=[{"key": KEY, "secret": SECRET}])
    seed(control, 2)
    return {"apiKey": KEY, "secret": SECRET, "verbose": True}


def whole(error):
    """All that an exception can show of itself and of what led to it."""
    texts = ["".join(traceback.format_exception(error))]
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        texts += [str(error), repr(error), repr(error.args)]
        texts.append(repr(getattr(error, "failure", None)))
        if error.__context__ is not None and error.__context__ is not error.__cause__:
            context = error.__context__
            texts += [str(context), repr(context), repr(context.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def check(text):
    assert KEY not in text
    assert SECRET not in text
    assert not SIGNING.search(text), SIGNING.search(text)


def play(api):
    """Calls of each kind; returns what their exceptions show."""
    shown = []
    for method, args in (
        ("fetch_balance", ()),
        ("create_order", (BTC, "limit", "buy", 0.001, 30000)),
        (
            "create_orders",
            ([{"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.001, "price": 30000}],),
        ),
        ("cancel_order", ("1", BTC)),
        ("cancel_orders", (["1"], BTC)),
        ("fetch_balance", ({"type": "spot"},)),
        ("create_order", (BTC, "limit", "buy", 0.001, 30000, {"type": "spot"})),
    ):
        try:
            api(method, *args)
        except Exception as error:
            shown.append(whole(error))
    report = api("cancel_and_confirm", BTC, [(BTC, "1")], 1.0)
    shown += [report.summary(), str(report.to_json()), repr(report), repr(report.failures)]
    return "\n".join(shown)


@pytest.mark.parametrize("driver", ["sync", "async"])
@pytest.mark.parametrize(
    "fault", [None, *FAULTS], ids=lambda f: f and f"{f['kind']}{f.get('status', '')}"
)
def test_nothing_that_signs_gets_out(sandbox, control, account, heard, capfd, driver, fault):
    control.switches(rate_limits=False)
    api = EVERY_DRIVER[driver](sandbox.rest_url, **account)
    api("load_markets")
    if fault:
        control.add_fault(**fault, path="*orders*", times=12)
        control.add_fault(**fault, path="*balance*", times=12)
    shown = play(api)
    api.close()
    out, err = capfd.readouterr()
    assert "fetch Request" in out, "verbose is on"
    assert "Request:" in heard.getvalue(), "the loggers are on"
    for text in (shown, out, err, heard.getvalue()):
        check(text)
    assert "X-BITOPRO-SIGNATURE" in out


@pytest.mark.parametrize("driver", ["sync", "async"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /v3/again\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_nor_does_it_from_http_that_makes_no_sense(account, heard, capfd, driver, answer):
    def behave(connection, done):
        connection.sendall(answer)

    server = RawServer(behave)
    api = EVERY_DRIVER[driver](server.rest_url, **account)
    try:
        with pytest.raises(ccxt.OperationFailed) as caught:
            api("fetch_balance")
        shown = whole(caught.value)
        report = api("cancel_and_confirm", None, [], 1.0)
    finally:
        api.close()
        server.close()
    out, err = capfd.readouterr()
    for text in (shown, out, err, heard.getvalue(), report.summary(), repr(report.failures)):
        check(text)


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_nor_does_it_after_a_deadline(sandbox, control, account, heard, capfd, driver):
    api = EVERY_DRIVER[driver](sandbox.rest_url, **account)
    control.add_fault("delay", seconds=1, times=None)
    with call_scope.deadline(0.2), pytest.raises(ccxt.RequestTimeout) as caught:
        api("fetch_balance")
    api.close()
    out, err = capfd.readouterr()
    for text in (whole(caught.value), out, err, heard.getvalue()):
        check(text)


def test_keys_that_are_set_later_are_secrets_too(sandbox, control, account, heard, capfd):
    api = ccxt.bitopromargin({"urls": {"api": {"rest": sandbox.rest_url}}, "verbose": True})
    api.apiKey, api.secret = KEY, SECRET
    assert api.fetch_balance()
    out, _ = capfd.readouterr()
    assert "fetch Request" in out
    check(out + heard.getvalue())


def test_a_logger_of_the_users_own_is_blanked_too(sandbox, account, capfd):
    stream = io.StringIO()
    logger = logging.Logger("own", logging.DEBUG)
    logger.addHandler(logging.StreamHandler(stream))

    async def play():
        config = {**account, "urls": {"api": {"rest": sandbox.rest_url}}, "logger": logger}
        api = ccxt.async_support.bitopromargin(config)
        with contextlib.suppress(ccxt.BaseError):
            await api.fetch_balance()
        await api.close()

    asyncio.run(play())
    assert "Request:" in stream.getvalue()
    check(stream.getvalue())
