"""Every unified result passes ccxt's own validators: of the pages' examples, and of the sandbox."""

import pytest

from .judges import (
    check_balance,
    check_currency,
    check_interest,
    check_liquidation,
    check_market,
    check_order,
    check_rate,
    check_sequence,
    check_ticker,
    check_trade,
    check_transfer,
)

SYMBOL = "BTC/USDT"
ORDER = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.001, "price": 50000}


@pytest.fixture(params=["book", "sandbox"])
def api(request, connect):
    """Either class, against either server; the sandbox's account has done a bit of everything."""
    server = request.getfixturevalue(request.param)
    api = connect(server.rest_url)
    api("load_markets")
    api.source = request.param
    if request.param == "sandbox":
        api("transfer", "USDT", 1000, "spot", "margin")
        api("borrow_cross_margin", "BTC", "0.05")
        api("create_order", SYMBOL, "market", "sell", 0.01)
        api("create_order", SYMBOL, "limit", "buy", 0.001, 50000)
        doomed = api("create_order", SYMBOL, "limit", "buy", 0.002, 40000)
        api("cancel_order", doomed["id"], SYMBOL)
        server.control.advance(86_400)
        api("repay_cross_margin", "BTC", "0.001")
    return api


def checked(api, check, method, found, *more):
    found = list(found)
    assert found, f"{method} returned nothing to check"
    for entry in found:
        check(api.exchange, {}, method, entry, *more)
    return found


def test_markets(api):
    markets = api("fetch_markets")
    checked(api, check_market, "fetchMarkets", markets)
    margined = {market["symbol"] for market in markets if market["margin"]}
    assert margined == {"BTC/USDT", "ETH/USDT", "ETH/BTC"}


def test_currencies(api):
    checked(api, check_currency, "fetchCurrencies", api("fetch_currencies").values())


def test_balance(api):
    balance = api("fetch_balance")
    checked(api, check_balance, "fetchBalance", [balance])
    assert balance["BTC"]["debt"] > 0


def test_orders(api):
    now = api.exchange.milliseconds() + 10 * 86_400_000
    for method, args in (
        ("fetch_orders", (SYMBOL,)),
        ("fetch_open_orders", ()),
        ("fetch_open_orders", (SYMBOL,)),
        ("fetch_canceled_orders", (SYMBOL,)),
        ("fetch_canceled_and_closed_orders", (SYMBOL,)),
    ):
        found = checked(api, check_order, method, api(method, *args), SYMBOL, now)
        check_sequence(api.exchange, method, SYMBOL, found)
    if api.source == "book":
        one = api("fetch_order", "9296847601", SYMBOL)
        checked(api, check_order, "fetchOrder", [one], SYMBOL, now)


def test_created_orders(api):
    orders = api("create_orders", [ORDER, {**ORDER, "price": 50001}])
    now = api.exchange.milliseconds() + 10 * 86_400_000
    checked(api, check_order, "createOrders", orders, SYMBOL, now)


def test_trades(api):
    now = api.exchange.milliseconds() + 10 * 86_400_000
    for params in ({}, {"paginate": True}):
        found = api("fetch_my_trades", SYMBOL, None, None, params)
        checked(api, check_trade, "fetchMyTrades", found, SYMBOL, now, False)
        check_sequence(api.exchange, "fetchMyTrades", SYMBOL, found)
    own = api("fetch_order_trades", found[0]["order"], SYMBOL)
    checked(api, check_trade, "fetchOrderTrades", own, SYMBOL, now, False)
    assert {trade["order"] for trade in own} == {found[0]["order"]}


def test_borrow_rates(api):
    rates = api("fetch_cross_borrow_rates")
    checked(api, check_rate, "fetchCrossBorrowRates", rates.values(), None)
    rate = api("fetch_cross_borrow_rate", "BTC")
    checked(api, check_rate, "fetchCrossBorrowRate", [rate], "BTC")
    assert (rate["rate"], rate["period"]) == (0.01, 365 * 86_400_000)


def test_borrow_interest(api):
    found = api("fetch_borrow_interest") if api.source == "book" else None
    if found is None:
        # The repayment took the interest first: let some accrue again.
        api("borrow_cross_margin", "USDT", 2000)
        found = _accrued(api)
    checked(api, check_interest, "fetchBorrowInterest", found, None, None)
    assert all(line["marginMode"] == "cross" for line in found)


def _accrued(api):
    from bitopro_margin_ext.sandbox.control_client import SandboxControl

    control = SandboxControl(api.exchange.urls["api"]["rest"].removesuffix("/v3"))
    control.advance(86_400)
    control.close()
    return api("fetch_borrow_interest")


def test_loans(api):
    for method in ("fetch_borrows", "fetch_repays"):
        for loan in (found := api(method)):
            assert loan["id"]
            assert loan["amount"] > 0
            assert loan["currency"] in api.exchange.currencies
            assert loan["timestamp"] > 1_600_000_000_000
            assert loan["datetime"] == api.exchange.iso8601(loan["timestamp"])
        assert found
        check_sequence(api.exchange, method, None, found)


def test_transfers(api):
    found = api("fetch_transfers")
    checked(api, check_transfer, "fetchTransfers", found, None)
    check_sequence(api.exchange, "fetchTransfers", None, found)
    made = api("transfer", "USDT", 10, "margin", "spot")
    checked(api, check_transfer, "transfer", [made], "USDT")
    assert (made["fromAccount"], made["toAccount"]) == ("margin", "spot")


def test_mark_prices(api):
    tickers = api("fetch_mark_prices")
    for symbol, ticker in tickers.items():
        check_ticker(api.exchange, {}, "fetchMarkPrices", ticker, symbol)
        assert ticker["markPrice"] > 0
    assert set(tickers) == {"BTC/USDT", "ETH/USDT"}
    assert api("fetch_mark_price", SYMBOL)["symbol"] == SYMBOL


def test_liquidations(api, request):
    if api.source == "sandbox":
        control = request.getfixturevalue("sandbox").control
        control.set_balances({"USDT": 100, "BTC": 0, "ETH": 0})
        control.set_price("btc_usdt", 70000)
    found = api("fetch_my_liquidations")
    checked(api, check_liquidation, "fetchMyLiquidations", found, None)
    assert "BTC/USDT" in {line["symbol"] for line in found}
