"""Loans: limits, interest, ratio, transfers, liquidation."""

from decimal import Decimal

import pytest

from tests.sandbox.trader import borrow, repay, transfer

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)
YEAR = 365 * 86400


def test_borrowing_adds_funds_and_debt(trader, control):
    # A millisecond's interest would make the ratio 2.99.
    control.set_loan_terms("USDT", annual_percent="0")
    assert borrow(trader, "usdt", "5000").json()["invoiceID"].isdigit()
    usdt = trader.margin()["USDT"]
    assert (usdt["availableAmount"], usdt["borrowAmount"]) == ("15000.00000000", "5000.00000000")
    account = trader.get("/margin/balances").json()
    assert account["adRatio"] == "3.00"
    assert account["adRatioLabel"] == "SAFETY_THRESHOLD"
    assert account["totalDebtAmount"] == "5000.00000000"
    terms = trader.get("/margin/provisioning/borrow").json()["USDT"]
    assert terms["systemBorrowedAmount"] == "261240.33640959"


@pytest.mark.parametrize(
    ("currency", "amount", "text"),
    [
        ("btc", "101", "Borrow amount for btc exceeds the limit 100."),
        ("usdt", "30000", "AD ratio would be too low."),
        ("doge", "1", "Unsupported currency."),
        ("usdt", "0", "Invalid amount 0."),
        ("usdt", "0.000000001", "Invalid amount 0.000000001, decimal limit is 8."),
    ],
)
def test_what_is_not_lent(trader, currency, amount, text):
    reply = borrow(trader, currency, amount)
    assert (reply.status_code, reply.json()) == (400, {"error": text})


def test_interest_runs_on_the_exchange_clock_and_is_paid_first(trader, control, patient):
    borrow(trader, "usdt", "5000")
    control.advance(YEAR)
    owed = trader.margin()["USDT"]
    assert owed["borrowAmount"] == "5000.00000000"
    assert Decimal(owed["borrowInterestAmount"]) == pytest.approx(Decimal(50), abs=Decimal("0.01"))
    assert repay(trader, "usdt", "60").status_code == 200
    left = trader.margin()["USDT"]
    assert Decimal(left["borrowInterestAmount"]) < Decimal("0.01")
    assert Decimal(left["borrowAmount"]) == pytest.approx(Decimal(4990), abs=Decimal("0.01"))
    (line,) = trader.get("/margin/user-repays").json()["repays"]
    assert line["totalRepayAmount"] == "60"
    assert Decimal(line["interestRepayAmount"]) > 49


def test_repaying_more_than_is_owed_takes_what_is_owed(trader, patient):
    borrow(trader, "usdt", "5000")
    assert repay(trader, "usdt", "9999").status_code == 200
    usdt = trader.margin()["USDT"]
    assert usdt["borrowAmount"] == "0.00000000"
    assert Decimal(usdt["availableAmount"]) <= 10000
    (line,) = trader.get("/margin/user-borrows").json()["borrows"]
    assert (line["amount"], line["status"]) == ("5,000", 2)
    assert repay(trader, "usdt", "1").status_code == 400


def test_transfers_use_other_numbers_in_the_history(trader):
    assert set(transfer(trader, "1234.5").json()) == {"fromInvoiceID", "toInvoiceID"}
    assert trader.margin()["USDT"]["availableAmount"] == "11234.50000000"
    transfer(trader, "1", 5, 0)
    history = trader.get("/history/user-transfers").json()
    lines = [(line["from"], line["to"], line["amount"]) for line in history["transferInvoices"]]
    assert lines == [(3, 1, "1"), (1, 3, "1,234.5")]
    assert history["transferInvoicesAmount"] == 2


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("1", 0, 0), "Invalid balance kind."),
        (("1", 1, 3), "Invalid balance kind."),
        (("10001", 0, 5), "Balance for USDT not enough, only has 10000, but ordered 10001."),
        (("1", 0, 5, "doge"), "Unsupported currency."),
    ],
)
def test_what_is_not_transferred(trader, args, text):
    reply = transfer(trader, *args)
    assert (reply.status_code, reply.json()) == (400, {"error": text})


def test_debts_hold_the_funds_back(trader):
    borrow(trader, "usdt", "5000")
    assert transfer(trader, "8000", 5, 0).status_code == 400
    assert transfer(trader, "1000", 5, 0).status_code == 200


def test_what_if_changes_nothing(trader, control):
    control.set_balances({"BTC": "1"})
    wish = {"action": 1, "currency": "btc", "amount": "0.5"}
    answer = trader.post("/margin/calculate/ad-ratio", wish).json()
    # 10000 + 1.5 * 60000 in USDT against 0.5 * 60000
    assert (answer["ADRatio"], answer["totalUSDTDebt"]) == ("3.33", "30000.00000000")
    assert trader.margin()["BTC"]["borrowAmount"] == "0.00000000"
    for action in (2, 3, 4):
        reply = trader.post("/margin/calculate/ad-ratio", {**wish, "action": action})
        assert reply.status_code == 200
    assert trader.post("/margin/calculate/ad-ratio", {**wish, "action": 5}).status_code == 400


def test_mark_prices_follow_the_pairs(trader, control):
    control.set_prices({"btc_usdt": "61000", "eth_usdt": "3100"})
    prices = trader.get("/margin/mark-price").json()["tokenPrices"]
    assert {name: line["price"] for name, line in prices.items()} == {
        "BTC": "61000",
        "ETH": "3100",
        "USDT": "1",
    }


def test_labels_fall_with_the_ratio(trader, control):
    control.switches(liquidation=False)
    control.set_balances({"BTC": "1", "USDT": "0"})
    borrow(trader, "usdt", "30000")
    labels = []
    control.set_balances({"USDT": "0"})
    for price in ("46000", "38000", "34000", "32000"):
        control.set_price("btc_usdt", price)
        labels.append(trader.get("/margin/balances").json()["adRatioLabel"])
    assert labels == [
        "SAFETY_THRESHOLD",
        "WARNING_THRESHOLD",
        "MARGIN_CALL_THRESHOLD",
        "LIQUIDATION_THRESHOLD",
    ]
