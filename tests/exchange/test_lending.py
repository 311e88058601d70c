"""Loans, repayments and transfers: what is refused before sending, and what nobody answers."""

import json

import ccxt
import pytest

ACCOUNTS = ("spot", "margin")
COMMANDS = {
    "borrow_cross_margin": ("/v3/margin/borrow", ("USDT", 1)),
    "repay_cross_margin": ("/v3/margin/repay", ("USDT", 1)),
    "transfer": ("/v3/margin/transfer", ("USDT", 1, *ACCOUNTS)),
}


def writes(sandbox):
    return [line["path"] for line in sandbox.control.requests() if line["method"] != "GET"]


@pytest.fixture
def api(connect, sandbox):
    return connect(sandbox.rest_url)


@pytest.mark.parametrize("method", COMMANDS)
@pytest.mark.parametrize(
    ("code", "amount", "error"),
    [
        ("NOSUCH", 1, ccxt.BadSymbol),
        ("", 1, ccxt.BadSymbol),
        (None, 1, ccxt.BadSymbol),
        ("USDT", 0, ccxt.InvalidOrder),
        ("USDT", -1, ccxt.InvalidOrder),
        ("USDT", "1,000", ccxt.InvalidOrder),
        ("USDT", "1e-9", ccxt.InvalidOrder),
        ("USDT", True, ccxt.InvalidOrder),
        ("USDT", float("nan"), ccxt.InvalidOrder),
        ("USDT", None, ccxt.InvalidOrder),
        ("USDT", "0.000000001", ccxt.InvalidOrder),
        ("USDT", 0.1 + 0.2, ccxt.InvalidOrder),
    ],
)
def test_bad_input_is_refused_before_sending(api, sandbox, method, code, amount, error):
    with pytest.raises(error, match="bitopromargin"):
        api(method, code, amount, *COMMANDS[method][1][2:])
    assert writes(sandbox) == []


@pytest.mark.parametrize("accounts", [("spot", "futures"), ("fund", "margin"), ("spot", None)])
def test_unknown_accounts_are_refused_before_sending(api, sandbox, accounts):
    with pytest.raises(ccxt.BadRequest, match="'spot' and 'margin'"):
        api("transfer", "USDT", 1, *accounts)
    with pytest.raises(ccxt.BadRequest, match="not to itself"):
        api("transfer", "USDT", 1, "cross", "margin")
    assert sandbox.control.requests() == []


def test_a_currency_that_margin_does_not_take_is_refused_before_sending(api, sandbox):
    for method, args in (
        ("borrow_cross_margin", ("DOGE", 1)),
        ("transfer", ("DOGE", 1, "spot", "margin")),
    ):
        with pytest.raises(ccxt.BadRequest, match="DOGE"):
            api(method, *args)
    assert writes(sandbox) == []


def test_borrowing_beyond_the_users_limit_counts_what_is_borrowed_already(api, sandbox):
    sandbox.control.set_balances({"BTC": 1000})
    api("borrow_cross_margin", "BTC", "99.5")
    with pytest.raises(ccxt.BadRequest, match="maxUserAmount of 100"):
        api("borrow_cross_margin", "BTC", "0.50000001")
    assert writes(sandbox) == ["/v3/margin/borrow"]
    api("borrow_cross_margin", "BTC", "0.5")
    assert api("fetch_balance")["BTC"]["debt"] == 100


@pytest.mark.parametrize(("status", "word"), [(0, "switched off"), (2, "under maintenance")])
def test_what_is_switched_off_is_refused_before_sending(book, connect, status, word):
    terms = book.answers["GET", "/margin/provisioning/borrow"]
    off = {**terms["USDT"], "borrowStatus": status, "transferStatus": status}
    book.answers["GET", "/margin/provisioning/borrow"] = {**terms, "USDT": off}
    api = connect(book.rest_url)
    for method, args in (
        ("borrow_cross_margin", ("USDT", 1)),
        ("transfer", ("USDT", 1, "spot", "margin")),
    ):
        with pytest.raises(ccxt.BadRequest, match=word):
            api(method, *args)
    assert book.sent("POST") == []
    assert api("repay_cross_margin", "USDT", 1)["id"] == "5418000015"
    assert api("transfer", "USDT", 1, "margin", "spot")["status"] == "ok"


def test_bodies_are_those_of_the_pages(book, connect):
    api = connect(book.rest_url)
    api("borrow_cross_margin", "USDT", 2)
    api("repay_cross_margin", "USDT", "1")
    api("transfer", "USDT", 10, "spot", "margin")
    api("calculate_ad_ratio", "borrow", "BTC", 0.1)
    bodies = [json.loads(body) for _, body in book.sent("POST")]
    assert bodies == [
        {"currency": "usdt", "borrowAmount": "2"},
        {"currency": "usdt", "repayAmount": "1"},
        {"currency": "usdt", "amount": "10", "fromBalanceKind": 0, "toBalanceKind": 5},
        {"action": 1, "currency": "btc", "amount": "0.1"},
    ]


def test_getting_out_waits_for_no_list(api, sandbox):
    """A repayment and a transfer into margin go out though nothing else answers."""
    for path in ("*provisioning*", "*/margin/balances"):
        sandbox.control.add_fault(kind="status", status=502, body="<html>", path=path, times=None)
    sandbox.control.set_balances({"USDT": 1000}, kind="spot")
    assert api("transfer", "USDT", 5, *ACCOUNTS)["status"] == "ok"
    assert api("borrow_cross_margin", "USDT", 5)["id"]
    assert api("repay_cross_margin", "USDT", 5)["id"]


@pytest.mark.parametrize("method", COMMANDS)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "process_close"},
        {"kind": "close"},
        {"kind": "status", "status": 502, "body": "<html>bad gateway</html>"},
        {"kind": "invalid_json"},
        {"kind": "list_body"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_an_unknown_outcome_is_said_and_nothing_is_sent_twice(api, sandbox, method, fault):
    path, args = COMMANDS[method]
    api.exchange.options["maxRetriesOnFailure"] = 3
    api("borrow_cross_margin", "USDT", 10)
    sandbox.control.clear_requests()
    sandbox.control.add_fault(path=path, **fault)
    with pytest.raises(ccxt.BaseError, match="outcome is unknown") as caught:
        api(method, *args)
    assert isinstance(caught.value, ccxt.NetworkError | ccxt.BadResponse)
    assert "before you send it again" in str(caught.value)
    assert writes(sandbox) == [path]


def test_a_refusal_keeps_its_meaning(api, sandbox):
    with pytest.raises(ccxt.InsufficientFunds, match="not enough"):
        api("transfer", "BTC", 1000, *ACCOUNTS)
    sandbox.control.change_key("sandbox-key", margin=False)
    with pytest.raises(ccxt.PermissionDenied, match="margin is not enabled"):
        api("repay_cross_margin", "USDT", 1)


def test_isolated_margin_and_spot_are_refused(api, sandbox):
    for params in ({"marginMode": "isolated"}, {"type": "spot"}):
        with pytest.raises(ccxt.NotSupported):
            api("borrow_cross_margin", "USDT", 1, params)
    assert sandbox.control.requests() == []


def test_margin_methods_ignore_a_spot_default(connect, sandbox):
    api = connect(sandbox.rest_url, options={"defaultType": "spot"})
    api("borrow_cross_margin", "USDT", 1)
    assert [loan["currency"] for loan in api("fetch_borrows")] == ["USDT"]
    assert api("fetch_margin_account")["totalDebt"] == 1


def test_ad_ratio_is_tried_out_and_not_taken(api, sandbox):
    api("borrow_cross_margin", "BTC", "0.05")
    now = api("fetch_margin_account")
    after = api("calculate_ad_ratio", "borrow", "BTC", "0.05")
    assert after["adRatio"] < now["adRatio"]
    assert after["debts"]["BTC"] == 0.1
    assert after["action"] == "borrow"
    assert api("calculate_ad_ratio", 2, "BTC", "0.05")["debts"]["BTC"] == 0
    assert api("fetch_margin_account")["totalDebt"] == now["totalDebt"]
    for action in ("sell", 5, True, None):
        with pytest.raises(ccxt.BadRequest, match="'borrow', 'repay'"):
            api("calculate_ad_ratio", action, "BTC", 1)


def test_histories_are_narrowed(api, sandbox):
    for amount in (1, 2, 3):
        api("borrow_cross_margin", "USDT", amount)
        sandbox.control.advance(60)
    api("borrow_cross_margin", "BTC", "0.01")
    loans = api("fetch_borrows", "USDT")
    assert [loan["amount"] for loan in loans] == [1, 2, 3]
    assert api("fetch_borrows", "USDT", loans[1]["timestamp"]) == loans[1:]
    assert api("fetch_borrows", "USDT", None, 2) == loans[1:]
    assert {loan["status"] for loan in loans} == {"open"}
    # What is left of it after the interest pays the last one back, too.
    api("repay_cross_margin", "USDT", "6.1")
    assert {loan["status"] for loan in api("fetch_borrows", "USDT")} == {"closed"}


def test_thousands_separators_and_seconds_are_read(book, connect):
    api = connect(book.rest_url)
    assert api("fetch_borrows", "USDT")[0]["amount"] == 10_000
    assert api("fetch_borrows")[0]["timestamp"] == 1_712_133_627_000
    sold, in_kind = sorted(api("fetch_my_liquidations"), key=lambda line: line["symbol"])
    assert (sold["symbol"], sold["quoteValue"]) == ("BTC/USDT", 1_000_104.57077436)
    assert (in_kind["symbol"], in_kind["baseValue"]) == ("USDT", 9_904.38493339)
    assert api("fetch_my_liquidations", "BTC/USDT") == [sold]
    # The page's own example leaves the total at 0.
    assert api("fetch_repays")[0]["amount"] == 15.72249574


def test_mark_prices_are_not_made_up(book, connect):
    api = connect(book.rest_url)
    for symbol in ("ETH/BTC", "DOGE/USDT", "nonsense"):
        with pytest.raises(ccxt.BadSymbol):
            api("fetch_mark_price", symbol)
    assert api("fetch_mark_prices", ["BTC/USDT"])["BTC/USDT"]["markPrice"] == 66319.99734855


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("fetch_borrows", "/margin/user-borrows", {"borrows": [7]}),
        ("fetch_borrows", "/margin/user-borrows", []),
        ("fetch_transfers", "/history/user-transfers", {"transferInvoices": [{"from": "x"}]}),
        ("fetch_my_liquidations", "/margin/user-liquidations", {"liquidations": {}}),
        ("fetch_cross_borrow_rates", "/margin/provisioning/borrow", {"BTC": "1"}),
        ("fetch_margin_account", "/margin/balances", "text"),
    ],
)
def test_an_unreadable_answer_is_no_empty_one(book, connect, method, path, document):
    book.answers["GET", path] = document
    with pytest.raises(ccxt.BadResponse):
        connect(book.rest_url)(method)
