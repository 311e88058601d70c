"""What tests of leverage need of the exchange: terms, interest, loans by hand, lost answers."""

from decimal import Decimal

import pytest
import requests

from bitopro_margin_ext.sandbox.control_client import ControlError
from tests.sandbox.trader import borrow, repay, transfer

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)
YEAR = 365 * 86400


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


def test_interest_is_charged_without_the_clock(trader, control, sandbox):
    order = trader.placed()
    borrow(trader, "usdt", "1000")
    control.charge_interest(YEAR)
    assert float(trader.margin()["USDT"]["borrowInterestAmount"]) == pytest.approx(10, abs=1e-4)
    age = sandbox.exchange.clock.now_ms() - control.order(order)["created_ms"]
    assert age < 60_000


def test_a_delisted_pair_leaves_its_debt(trader, control):
    control.set_balances({"BTC": "0.1"})
    borrow(trader, "btc", "0.01")
    control.delist("btc_usdt")
    assert trader.order().status_code == 404
    account = trader.get("/margin/balances").json()
    assert account["balances"]["BTC"]["borrowAmount"] == "0.01000000"
    assert float(account["totalDebtAmount"]) == pytest.approx(600, rel=1e-6)
    assert repay(trader, "btc", "0.02").status_code == 200
