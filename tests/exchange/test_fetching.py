"""Reading orders, trades, balances, markets; which account a call is for; the open-orders path."""

import contextlib

import ccxt
import pytest

from bitopro_margin_ext.core.errors import Outcome
from tests.data import example
from tests.exchange.conftest import ON_EVERY_CLASS, seed

from .judges import check_balance as valid_balance
from .judges import check_currency as valid_currency
from .judges import check_market as valid_market
from .judges import check_order as valid_order
from .judges import check_trade as valid_trade

BTC = "BTC/USDT"
READS = [
    ("fetch_order", ("1", BTC), "/orders/btc_usdt/1"),
    ("fetch_open_orders", (BTC,), "/orders/open"),
    ("fetch_orders", (BTC,), "/orders/all/btc_usdt"),
    ("fetch_closed_orders", (BTC,), "/orders/all/btc_usdt"),
    ("fetch_my_trades", (BTC,), "/orders/trades/btc_usdt"),
    ("fetch_balance", (), "/accounts/balance"),
    ("cancel_order", ("1", BTC), "/orders/btc_usdt/1"),
    ("cancel_all_orders", (BTC,), "/orders/btc_usdt"),
    ("create_order", (BTC, "limit", "buy", 0.001, 30000), "/orders/btc_usdt"),
]


def played(control):
    """One order of each fate: filled, cancelled, done after a partial fill, open, untriggered."""
    filled, cancelled, partly, resting = seed(control, 4)
    control.fill(filled)
    control.fill(partly, fraction="0.25")
    control.cancel(partly)
    control.cancel(cancelled)
    stop = seed(control, 1, type="STOP_LIMIT", stopPrice="90000", condition=">=")[0]
    return filled, cancelled, partly, resting, stop


def ids(orders):
    return {order["id"] for order in orders}


def test_fates(api, control):
    filled, cancelled, partly, resting, stop = played(control)
    api("load_markets")
    assert ids(api("fetch_open_orders")) == ids(api("fetch_open_orders", BTC)) == {resting, stop}
    assert ids(api("fetch_closed_orders", BTC)) == {filled}
    assert ids(api("fetch_canceled_orders", BTC)) == {cancelled, partly}
    assert ids(api("fetch_canceled_and_closed_orders", BTC)) == {filled, cancelled, partly}
    everything = {order["id"]: order for order in api("fetch_orders", BTC)}
    assert everything.keys() == {filled, cancelled, partly, resting, stop}
    for order in everything.values():
        # The same order, however it is asked for.
        alone = api("fetch_order", order["id"], BTC)
        assert {**alone, "info": None} == {**order, "info": None}
        valid_order(api.exchange, {}, "fetchOrder", alone, BTC, 4 * 10**12)
    assert everything[partly]["status"] == "canceled"
    assert (everything[partly]["filled"], everything[partly]["remaining"]) == (0.00025, 0.00075)
    assert everything[partly]["info"]["status"] == 3
    assert everything[stop]["triggerPrice"] == 90000


def test_times_in_seconds_and_in_milliseconds(api, control):
    seed(control, 1)
    in_seconds = api("fetch_open_orders")[0]["timestamp"]
    control.switches(open_orders_in_seconds=False)
    in_milliseconds = api("fetch_open_orders")[0]["timestamp"]
    assert in_seconds == in_milliseconds // 1000 * 1000 > 10**12


def test_limit_and_since(api, control):
    old = seed(control, 2, age=7200)
    new = seed(control, 2)
    assert len(api("fetch_orders", BTC)) == 4
    since = api("fetch_orders", BTC)[2]["timestamp"] - 1000
    assert ids(api("fetch_orders", BTC, since)) == set(new)
    assert ids(api("fetch_orders", BTC, None, 1)) <= set(new)
    assert len(api("fetch_orders", BTC, None, 3)) == 3
    until = {"until": since}
    assert ids(api("fetch_orders", BTC, None, None, until)) == set(old)


def test_trades_and_balance(api, control):
    filled = played(control)[0]
    api("load_markets")
    trades = api("fetch_order_trades", filled, BTC)
    assert {trade["order"] for trade in trades} == {filled}
    for trade in api("fetch_my_trades", BTC):
        valid_trade(api.exchange, {}, "fetchMyTrades", trade, BTC, 4 * 10**12, False)
    balance = api("fetch_balance")
    valid_balance(api.exchange, {}, "fetchBalance", balance)
    assert balance["USDT"]["used"] > 0


def test_the_documented_balance(connect, canned):
    canned.answers["GET", "/margin/balances"] = example("margin_get_margin_account_balance")
    balance = connect(canned.rest_url)("fetch_balance")
    assert balance["BTC"] == {"free": 9.9999, "used": 0, "total": 9.9999, "debt": 2.0024541}
    assert balance["USDT"]["debt"] == 15.00078403
    assert balance["info"]["adRatio"] == "5.76"


@pytest.mark.parametrize("balances", [[], None, {"BTC": []}, {"BTC": {"totalAmount": "1,5"}}])
def test_a_balance_that_cannot_be_read(connect, canned, balances):
    canned.answers["GET", "/margin/balances"] = {"balances": balances}
    if balances is None:
        assert connect(canned.rest_url)("fetch_balance")["total"] == {}
        return
    with pytest.raises(ccxt.BadResponse):
        connect(canned.rest_url)("fetch_balance")


def test_an_answer_about_another_order_is_not_taken_for_this_one(connect, canned):
    canned.answers["GET", "/margin/orders/btc_usdt/1"] = example("margin_get_an_order_data")
    canned.answers["DELETE", "/margin/orders/btc_usdt/1"] = example("margin_cancel_an_order")
    api = connect(canned.rest_url)
    for method in ("fetch_order", "cancel_order"):
        with pytest.raises(ccxt.BadResponse, match="not BTC/USDT 1"):
            api(method, "1", BTC)


def test_an_open_order_that_is_listed_twice_is_one(connect, canned):
    answer = example("margin_get_open_orders_data")
    rows = answer["data"]
    canned.answers["GET", "/margin/orders/orders/open"] = {"data": [*rows, *rows]}
    found = connect(canned.rest_url)("fetch_open_orders")
    assert len(found) == len({row["id"] for row in rows})


# -- markets ----------------------------------------------------------------------------------


def test_markets_and_currencies(api):
    markets = api("load_markets")
    assert markets[BTC]["margin"] is True
    assert float(markets[BTC]["limits"]["leverage"]["max"]) >= 1
    for market in markets.values():
        valid_market(api.exchange, {}, "fetchMarkets", market)
        assert isinstance(market["margin"], bool)
    assert any(not market["margin"] for market in markets.values())


def test_one_usdt_with_its_chains_as_networks(connect, canned):
    canned.answers["GET", "/provisioning/currencies"] = example("get_currency_info")
    canned.answers["GET", "/provisioning/trading-pairs"] = example("get_trading_pair_info")
    api = connect(canned.rest_url)
    api("load_markets")
    usdt = api.exchange.currency("USDT")
    assert usdt["id"].upper() == "USDT"
    assert {network["id"] for network in usdt["networks"].values()} == {"ETH-ERC20", "BSC-BEP20"}
    assert usdt["fee"] == 0.3
    assert len([code for code in api.exchange.currencies if code.startswith("USDT")]) == 1
    valid_currency(api.exchange, {}, "fetchCurrencies", usdt)


# -- accounts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "args", "path"), READS, ids=lambda value: str(value)[:20])
def test_margin_is_the_default_and_spot_the_inherited_way(
    connect, sandbox, control, log, method, args, path
):
    control.switches(rate_limits=False)
    api = connect(sandbox.rest_url)
    spot_by_default = connect(sandbox.rest_url, options={"defaultType": "spot"})
    parent = connect(sandbox.rest_url, exchange_id="bitopro", login="sandbox@example.com")
    for exchange in (api, spot_by_default, parent):
        exchange("load_markets")

    def paths(exchange, params):
        log()
        with contextlib.suppress(ccxt.ExchangeError):
            exchange(method, *args, params=params)
        return {place for _, place in log()}

    margin = {f"/margin{path}", "/margin/orders/orders/open", "/margin/balances"}
    assert paths(api, {}) & margin
    assert paths(spot_by_default, {"marginMode": "cross"}) & margin
    assert paths(spot_by_default, {"type": "margin"}) & margin
    wanted = paths(parent, {})
    if not wanted:
        pytest.skip("this ccxt's own class returns a coroutine here, and asks nothing")
    assert paths(api, {"type": "spot"}) == wanted == paths(spot_by_default, {}) == {path}


@pytest.mark.parametrize(("method", "args", "path"), READS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize(
    "params", [{"marginMode": "isolated"}, {"type": "swap"}, {"marginMode": "both"}]
)
def test_what_bitopro_has_not_is_refused(api, log, method, args, path, params):
    log()
    with pytest.raises(ccxt.NotSupported, match="bitopromargin has"):
        api(method, *args, params=params)
    assert log() == []


def test_the_fill_of_a_done_order_is_read_the_inherited_way_on_spot(connect, sandbox, control):
    order_id = seed(control, 1, kind="spot")[0]
    control.fill(order_id, fraction="0.25")
    control.cancel(order_id)
    api = connect(sandbox.rest_url)
    parent = connect(sandbox.rest_url, exchange_id="bitopro", login="sandbox@example.com")
    found = api("fetch_order", order_id, BTC, {"type": "spot"})
    assert found == parent("fetch_order", order_id, BTC)
    assert found["status"] == "closed"


# -- the open-orders path ---------------------------------------------------------------------


def test_the_documented_path_is_used_where_it_works(api, control, log):
    log()
    api("fetch_open_orders")
    api("fetch_open_orders", BTC)
    assert log() == [("GET", "/margin/orders/orders/open")] * 2


def test_the_other_path_is_found_once_and_remembered(api, control, log):
    seed(control, 2)
    control.switches(open_orders_path="plain", rate_limits=False)
    log()
    assert len(api("fetch_open_orders")) == 2
    assert [path for _, path in log()] == ["/margin/orders/orders/open", "/margin/orders/open"]
    assert len(api("fetch_open_orders", BTC)) == 2
    report = api("cancel_and_confirm")
    assert [path for _, path in log()] == [
        "/margin/orders/open",
        "/margin/orders/all",
        "/margin/orders/open",
    ]
    assert report.outcome.value == "confirmed"


def test_words_of_a_404_do_not_hide_the_other_path(api, control, log):
    # Where ``orders`` is read as a pair and ``open`` as an id.
    control.switches(open_orders_path="plain")
    control.add_fault(
        "status", path="/margin/orders/orders/open", status=404, body={"error": "Order not found"}
    )
    assert api("fetch_open_orders") == []


@pytest.mark.parametrize(
    ("status", "kind"), [(500, ccxt.ExchangeNotAvailable), (401, ccxt.AuthenticationError)]
)
def test_another_failure_does_not_change_the_path(api, control, log, status, kind):
    control.add_fault("status", path="/margin/orders/*", status=status, times=None)
    log()
    with pytest.raises(kind):
        api("fetch_open_orders")
    assert log() == [("GET", "/margin/orders/orders/open")]


# -- errors over HTTP -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "Bad"}, ccxt.BadRequest),
        (401, {"error": "Unauthorized"}, ccxt.AuthenticationError),
        (403, {"error": "Forbidden"}, ccxt.PermissionDenied),
        (403, "<html>Denied</html>", ccxt.ExchangeNotAvailable),
        (404, {"error": "Not found"}, ccxt.OrderNotFound),
        (408, {"error": "Timeout"}, ccxt.RequestTimeout),
        (429, {"error": "Too many"}, ccxt.RateLimitExceeded),
        (429, "<html>Slow down</html>", ccxt.RateLimitExceeded),
        (500, {"error": "Oops"}, ccxt.ExchangeNotAvailable),
        (502, "<html>Bad Gateway</html>", ccxt.ExchangeNotAvailable),
        (503, "", ccxt.ExchangeNotAvailable),
        (504, "<html></html>", ccxt.RequestTimeout),
    ],
)
def test_errors_by_meaning(api, control, status, body, kind):
    control.add_fault("status", status=status, body=body)
    with pytest.raises(ccxt.BaseError) as caught:
        api("fetch_order", "1", BTC)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"bitopromargin {status} ")
    assert "<" not in str(caught.value)
    assert caught.value.failure.status == status


@pytest.mark.parametrize("body", ["", "404 page not found", {}, {"message": "Not Found"}])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
@pytest.mark.parametrize("method", ["fetch_order", "cancel_order", "fetch_my_trades"])
def test_what_is_not_the_exchanges_own_error_is_no_refusal(api, control, method, status, body):
    control.add_fault("status", status=status, body=body, times=None)
    with pytest.raises(ccxt.ExchangeNotAvailable) as caught:
        api(method, *(("1", BTC) if method != "fetch_my_trades" else (BTC,)))
    assert caught.value.failure.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("body", ["", "404 page not found", "<html>404</html>", {"error": "Not"}])
def test_a_404_at_the_documented_path_of_the_open_orders_means_the_other_one(
    api, control, log, body
):
    control.switches(open_orders_path="plain")
    (order,) = seed(control, 1)
    control.add_fault(
        "status", path="/margin/orders/orders/open", status=404, body=body, times=None
    )
    log()
    report = api("cancel_and_confirm", BTC, [(BTC, order)])
    assert report.outcome.value == "confirmed"
    assert report.elapsed_ms < 1000, "a path that is not there is not asked for again and again"
    assert ("GET", "/margin/orders/open") in log()


def test_a_404_at_both_paths_of_the_open_orders_is_no_word_about_them(api, control):
    control.add_fault("status", path="/margin/orders/*open", status=404, body="", times=None)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        api("fetch_open_orders")
    report = api("cancel_and_confirm", BTC, (), 1.0)
    assert not report.listed
    assert report.outcome.value == "unknown"


@pytest.mark.parametrize("kind", ["close", "process_close", "cut_off"])
def test_a_dropped_connection_is_no_refusal(api, control, kind):
    control.add_fault(kind)
    with pytest.raises(ccxt.NetworkError):
        api("fetch_balance")
    assert api("fetch_balance")["info"]


def test_keys_that_are_not_accepted(connect, sandbox, control):
    with pytest.raises(ccxt.AuthenticationError, match="check the API key and secret"):
        connect(sandbox.rest_url, secret="not-the-secret")("fetch_balance")
    control.change_key("sandbox-key", margin=False)
    with pytest.raises(ccxt.PermissionDenied, match="tick Margin"):
        connect(sandbox.rest_url)("fetch_balance")


def test_the_identity_is_checked_when_given(connect, sandbox, control):
    control.switches(require_identity=True)
    with pytest.raises(ccxt.AuthenticationError):
        connect(sandbox.rest_url)("fetch_balance")
    assert connect(sandbox.rest_url, login="sandbox@example.com")("fetch_balance")
    with pytest.raises(ccxt.AuthenticationError):
        connect(sandbox.rest_url, login="else@example.com")("fetch_balance")


# -- by the client's own number ---------------------------------------------------------------


@ON_EVERY_CLASS
def test_an_order_by_its_client_order_id(connect, sandbox, control):
    old, *_ = seed(control, 1, clientId=77, age=3600)
    newest, *_ = seed(control, 1, clientId=77)
    seed(control, 2)
    api = connect(sandbox.rest_url)
    for client_id in (77, "77"):
        assert api("fetch_order", "", BTC, {"clientOrderId": client_id})["id"] == newest
    if hasattr(ccxt.Exchange, "fetch_order_with_client_order_id"):  # not in an older ccxt
        assert api("fetch_order_with_client_order_id", "77", BTC)["id"] == newest
    # The exchange's own id outweighs it, as everywhere in ccxt.
    assert api("fetch_order", old, BTC, {"clientOrderId": 77})["id"] == old
    assert api("cancel_order", "", BTC, {"clientOrderId": 77})["id"] == newest
    assert control.order(newest)["status"] == 4
    assert control.order(old)["status"] == 0
    with pytest.raises(ccxt.OrderNotFound, match="clientOrderId 78 of BTC/USDT is listed"):
        api("cancel_order", "", BTC, {"clientOrderId": 78})
    for wrong in ("", "x", 0, True):
        with pytest.raises((ccxt.InvalidOrder, ccxt.BadRequest)):
            api("fetch_order", "", BTC, {"clientOrderId": wrong})
