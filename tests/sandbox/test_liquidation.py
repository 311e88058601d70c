"""Liquidation by the exchange: by ratio, by interest, on demand; whole, in part, in kind."""

from decimal import Decimal

import pytest

from tests.sandbox.trader import borrow

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)
YEAR = 365 * 86400


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
