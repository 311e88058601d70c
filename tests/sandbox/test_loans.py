"""Loans: limits, interest, ratio, transfers, liquidation."""

from decimal import Decimal

import pytest
import requests

from bitopro_margin_ext.sandbox.control_client import ControlError

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)
YEAR = 365 * 86400


def borrow(trader, currency, amount):
    return trader.post("/margin/borrow", {"currency": currency, "borrowAmount": amount})


def repay(trader, currency, amount):
    return trader.post("/margin/repay", {"currency": currency, "repayAmount": amount})


def transfer(trader, amount, source=0, target=5, currency="usdt"):
    wish = {"currency": currency, "amount": amount}
    return trader.post(
        "/margin/transfer", {**wish, "fromBalanceKind": source, "toBalanceKind": target}
    )


@pytest.fixture
def patient(control):
    """Signatures of today stay good while the exchange's clock runs ahead."""
    control.switches(nonce_window_ms=10**12)


def test_borrowing_adds_funds_and_debt(trader):
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


def test_liquidation_cancels_sells_repays_and_is_recorded(trader, control, example):
    control.set_balances({"BTC": "1", "USDT": "0"})
    borrow(trader, "usdt", "30000")
    control.set_balances({"USDT": "1000"})
    order = trader.placed(action="SELL", amount="0.5", price="70000")
    spot = trader.placed(side="spot")
    control.set_price("btc_usdt", "31500")
    assert control.order(order)["status"] == 4
    assert control.order(spot)["status"] != 4
    account = trader.get("/margin/balances").json()
    assert account["totalDebtAmount"] == "0.00000000"
    history = trader.get("/margin/user-liquidations").json()
    in_kind, sold = history["liquidations"]
    expected = example("margin_list_user_liquidations")["liquidations"]
    assert (in_kind.keys(), sold.keys()) == (expected[0].keys(), expected[1].keys())
    assert (in_kind["type"], in_kind["debtAmount"]) == (1, "1,000")
    assert (sold["type"], sold["debtCurrency"], sold["assetCurrency"]) == (2, "USDT", "BTC")
    assert sold["debtAmount"].startswith("29,000")
    assert (sold["adRatio"], sold["afterAdRatio"]) == ("1.08", "0")
    left = Decimal(trader.margin()["BTC"]["availableAmount"])
    assert Decimal(0) < left < Decimal("0.1")


def test_liquidation_that_cannot_cover_the_debt(trader, control):
    control.set_balances({"BTC": "1", "USDT": "0"})
    borrow(trader, "usdt", "30000")
    control.set_balances({"USDT": "0"})
    control.set_price("btc_usdt", "20000")
    assert trader.margin()["BTC"]["availableAmount"] == "0.00000000"
    assert Decimal(trader.margin()["USDT"]["borrowAmount"]) > 10000


def test_interest_alone_can_liquidate(trader, control, patient):
    control.set_balances({"BTC": "1", "USDT": "0"})
    borrow(trader, "usdt", "30000")
    control.set_balances({"USDT": "0"})
    control.set_price("btc_usdt", "34000")
    assert trader.get("/margin/user-liquidations").json()["liquidations"] == []
    control.advance(5 * YEAR)
    assert trader.get("/margin/user-liquidations").json()["liquidationsAmount"] == 1


# What tests of leverage need the exchange to do


def test_interest_is_exact_however_often_it_is_read(trader, control, patient, sandbox):
    control.set_loan_terms("usdt", annual_percent="36.5")
    borrow(trader, "usdt", "0.01")
    began = sandbox.exchange.clock.now_ms()
    for _ in range(50):
        control.advance(864)
        trader.margin()
    elapsed = sandbox.exchange.clock.now_ms() - began
    expected = Decimal("0.01") * Decimal("0.001") * elapsed / 86_400_000
    debt = sandbox.exchange.loans.debt("USDT")
    assert abs(debt.accrued - expected) < Decimal("1e-11")
    assert trader.margin()["USDT"]["borrowInterestAmount"] == "0.00000500"


def test_a_change_of_the_rate_leaves_the_interest_before_it(trader, control, patient):
    control.set_loan_terms("usdt", annual_percent="10")
    borrow(trader, "usdt", "1000")
    control.advance(YEAR)
    control.set_loan_terms("USDT", annual_percent="20")
    control.advance(YEAR)
    assert float(trader.margin()["USDT"]["borrowInterestAmount"]) == pytest.approx(300, abs=1e-3)
    terms = trader.get("/margin/provisioning/borrow").json()["USDT"]
    assert terms["annualInterestPercentage"] == "20"


def test_interest_by_the_hour(trader, control, patient):
    control.switches(interest_period_seconds=3600)
    borrow(trader, "usdt", "8760")
    control.advance(3500)
    assert trader.margin()["USDT"]["borrowInterestAmount"] == "0.00000000"
    control.advance(200)
    assert trader.margin()["USDT"]["borrowInterestAmount"] == "0.01000000"


def test_interest_that_is_added_to_the_debt(trader, control, patient):
    control.switches(capitalise_interest=True)
    borrow(trader, "usdt", "1000")
    control.advance(YEAR)
    usdt = trader.margin()["USDT"]
    assert usdt["borrowInterestAmount"] == "0.00000000"
    assert float(usdt["borrowAmount"]) == pytest.approx(1010, abs=1e-3)


def test_a_debt_repaid_in_full_is_gone(trader, control, patient):
    borrow(trader, "usdt", "1000")
    control.advance(YEAR / 3)
    repay(trader, "usdt", "9999")
    usdt = trader.margin()["USDT"]
    assert (usdt["borrowAmount"], usdt["borrowInterestAmount"]) == ("0.00000000", "0.00000000")
    control.advance(YEAR)
    assert trader.get("/margin/balances").json()["totalDebtAmount"] == "0.00000000"


def test_principal_first_and_no_more_than_the_debt(trader, control, patient):
    control.switches(repay_principal_first=True, refuse_repay_above_debt=True)
    borrow(trader, "usdt", "1000")
    control.advance(YEAR)
    assert repay(trader, "usdt", "9999").json()["error"].startswith("Repay amount for usdt exceeds")
    assert repay(trader, "usdt", "1000").status_code == 200
    usdt = trader.margin()["USDT"]
    assert usdt["borrowAmount"] == "0.00000000"
    assert float(usdt["borrowInterestAmount"]) == pytest.approx(10, abs=1e-3)


def test_repaying_needs_the_coins(trader, control):
    borrow(trader, "usdt", "1000")
    control.set_balances({"USDT": "10"})
    reply = repay(trader, "usdt", "500")
    assert (reply.status_code, reply.json()) == (
        400,
        {"error": "Balance for USDT not enough, only has 10, but ordered 500."},
    )


@pytest.mark.parametrize(
    ("terms", "amount", "text"),
    [
        ({"borrow_status": 2}, "1", "Borrow for usdt is under maintenance."),
        ({"borrow_status": 0}, "1", "Borrow for usdt is under maintenance."),
        ({"minimum": "10"}, "9.5", "Invalid amount 9.5 less than min 10."),
        ({"step": "0.01"}, "10.005", "Invalid amount 10.005, not a multiple of 0.01."),
        ({"max_user": "5"}, "5.1", "Borrow amount for usdt exceeds the limit 5."),
        ({"available": "0"}, "1", "Borrow amount for usdt exceeds the limit 1100000."),
    ],
)
def test_terms_of_loans(trader, control, terms, amount, text):
    control.set_loan_terms("usdt", **terms)
    reply = borrow(trader, "usdt", amount)
    assert (reply.status_code, reply.json()) == (400, {"error": text})
    line = trader.get("/margin/provisioning/borrow").json()["USDT"]
    status = terms.get("borrow_status", 1)
    assert line["borrowStatus"] == trader.margin()["USDT"]["borrowStatus"] == status
    if "available" in terms:
        assert line["systemAvailableBorrowAmount"] == "0.00000000"


def test_provisioning_is_used_up_between_two_calls(trader, control):
    control.add_fault("lend_out", path="/margin/provisioning/borrow", currency="BTC")
    seen = trader.get("/margin/provisioning/borrow").json()["BTC"]
    assert Decimal(seen["systemAvailableBorrowAmount"]) > 0
    assert borrow(trader, "btc", "0.01").status_code == 400
    control.set_loan_terms("btc", available="0.5")
    assert borrow(trader, "btc", "0.05").status_code == 200


@pytest.mark.parametrize("path", ["borrow", "repay"])
def test_loans_whose_answer_is_lost_are_found_in_the_histories(trader, control, path):
    borrow(trader, "usdt", "100")
    control.add_fault("process_close", path=f"/margin/{path}")
    with pytest.raises(requests.ConnectionError):
        (borrow if path == "borrow" else repay)(trader, "usdt", "7.123")
    lines = trader.get(f"/margin/user-{path}s").json()[f"{path}s"]
    field = "amount" if path == "borrow" else "totalRepayAmount"
    assert lines[-1][field] == "7.123"


def test_loan_histories_lag(trader, control):
    borrow(trader, "usdt", "100")
    control.add_fault("lag", path="/margin/user-*", seconds=60, times=None)
    assert trader.get("/margin/user-borrows").json() == {"borrows": [], "borrowsAmount": 0}
    control.switches(nonce_window_ms=10**9)
    control.advance(61)
    assert trader.get("/margin/user-borrows").json()["borrowsAmount"] == 1


def test_balances_that_are_late(trader, control):
    trader.margin()
    borrow(trader, "usdt", "100")
    control.add_fault("repeat_last", path="/margin/balances")
    assert trader.margin()["USDT"]["borrowAmount"] == "0.00000000"
    assert trader.margin()["USDT"]["borrowAmount"] == "100.00000000"


def test_serials_need_not_rise(trader, control):
    control.switches(random_serials=True)
    serials = [int(borrow(trader, "usdt", "1").json()["invoiceID"]) for _ in range(20)]
    assert len(set(serials)) == 20
    assert serials != sorted(serials)
    lines = trader.get("/margin/user-borrows").json()["borrows"]
    assert [line["serial"] for line in lines] == serials


def test_loans_and_coins_by_hand(trader, control):
    control.borrow("usdt", "900000")  # above every limit
    assert trader.margin()["USDT"]["borrowAmount"] == "900000.00000000"
    assert trader.get("/margin/user-borrows").json()["borrows"][0]["amount"] == "900,000"
    control.repay("usdt", "400000")
    assert trader.get("/margin/user-repays").json()["repaysAmount"] == 1
    control.add_balances({"BTC": "0.5", "USDT": "-1000"})
    usdt = trader.margin()["USDT"]
    assert float(usdt["borrowAmount"]) == pytest.approx(500000)
    assert usdt["availableAmount"] == "509000.00000000"
    with pytest.raises(ControlError, match="negative"):
        control.add_balances({"BTC": "-1"})


def test_a_margin_pair_whose_quote_is_not_lent(trader, control):
    control.set_margin("btc_twd")
    assert transfer(trader, "100000", currency="twd").status_code == 200
    assert trader.margin()["TWD"]["borrowStatus"] == 0
    assert "TWD" not in trader.get("/margin/provisioning/borrow").json()
    assert borrow(trader, "twd", "1").json() == {"error": "Unsupported currency."}
    assert trader.order("btc_twd", price="1800000").status_code == 200
    total = trader.get("/margin/balances").json()["totalAssetAmount"]
    assert float(total) == pytest.approx(10000 + 100000 / 31.5)


def test_fees_are_those_of_the_switches(trader, control):
    control.switches(maker_fee="0.0005", taker_fee="0.004")
    taker = trader.fetch(trader.placed(price="61000"))
    maker = trader.placed(price="50000")
    control.fill(maker)
    assert (taker["fee"], taker["feeSymbol"]) == ("0.00004", "btc")
    assert trader.fetch(maker)["fee"] == "0.000005"
    rank = trader.get("/provisioning/limitations-and-fees").json()["tradingFeeRate"][0]
    assert (rank["makerFee"], rank["takerFee"]) == ("0.0005", "0.004")


# Liquidation by the exchange


def rows(trader):
    lines = trader.get("/margin/user-liquidations").json()["liquidations"]
    return [(line["type"], line["debtCurrency"], line.get("assetCurrency")) for line in lines]


@pytest.fixture
def long(trader, control):
    """1 BTC, half of it bought with 30,000 USDT borrowed."""
    control.set_balances({"BTC": "1", "USDT": "0"})
    borrow(trader, "usdt", "30000")
    control.set_balances({"USDT": "0"})


@pytest.fixture
def short(trader, control):
    """A BTC borrowed and sold."""
    control.set_balances({"USDT": "100000"})
    borrow(trader, "btc", "1")
    control.set_balances({"BTC": "0", "USDT": "100000"})


def test_a_long_is_liquidated_at_the_ratio_that_is_set(trader, control, long):
    control.switches(liquidation_ratio="1.3")
    control.set_price("btc_usdt", "39100")
    assert rows(trader) == []
    control.set_price("btc_usdt", "38900")
    assert rows(trader) == [(2, "USDT", "BTC")]
    assert trader.margin()["USDT"]["borrowAmount"] == "0.00000000"


def test_a_short_is_liquidated(trader, control, short):
    control.set_price("btc_usdt", "90000")
    assert rows(trader) == []
    control.set_price("btc_usdt", "91000")
    assert rows(trader) == [(2, "BTC", "USDT")]
    balances = trader.margin()
    assert balances["BTC"]["borrowAmount"] == "0.00000000"
    assert float(balances["USDT"]["availableAmount"]) == pytest.approx(100000 - 91000 * 1.01)


@pytest.mark.parametrize(("side", "price"), [("long", "32500"), ("short", "91500")])
def test_a_liquidation_in_part(trader, control, request, side, price):
    request.getfixturevalue(side)
    control.switches(liquidation_mode="partial")
    control.set_price("btc_usdt", price)
    assert len(rows(trader)) == 1
    account = trader.get("/margin/balances").json()
    assert Decimal(account["totalDebtAmount"]) > 1000
    assert account["adRatio"] in ("1.24", "1.25")
    (line,) = trader.get("/margin/user-liquidations").json()["liquidations"]
    assert line["afterAdRatio"] in ("1.24", "1.25")


def test_a_liquidation_in_kind(trader, control, long):
    control.switches(liquidation_mode="in_kind")
    control.add_balances({"USDT": "500"})
    control.set_price("btc_usdt", "32000")
    assert rows(trader) == [(1, "USDT", None)]
    balances = trader.margin()
    assert balances["BTC"]["availableAmount"] == "1.00000000"
    assert Decimal(balances["USDT"]["borrowAmount"]) < 29501


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_liquidation_on_demand(trader, control, request, side):
    request.getfixturevalue(side)
    order = trader.placed(price="100") if side == "short" else None
    control.liquidate("partial", fraction="0.5")
    debt = Decimal(trader.get("/margin/balances").json()["totalDebtAmount"])
    assert float(debt) == pytest.approx(15000 if side == "long" else 30000, rel=1e-6)
    assert order is None or control.order(order)["status"] == 4
    control.liquidate()
    assert trader.get("/margin/balances").json()["totalDebtAmount"] == "0.00000000"
