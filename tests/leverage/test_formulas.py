"""Liquidation prices, simulated interest and the options, without an exchange."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bitopro_margin_ext.bot.leverage_options import RateTable, parse_leverage_options
from bitopro_margin_ext.bot.liquidations import (
    Holdings,
    forced_trades,
    liquidation_price,
    with_buffer,
)
from bitopro_margin_ext.bot.simulated_interest import Fill, replay

D = Decimal

YEAR = 365 * 86400.0


def test_the_sandboxs_own_liquidation_price_of_a_long():
    """3x long of 3,000 USDT at 60,000 on an account of 1,000 USDT of its own."""
    holdings = Holdings({"BTC": 0.05}, {"USDT": 2000.0}, {"USDT": 1.0, "BTC": 60000.0})
    price = liquidation_price(holdings, "BTC", 1.1, is_short=False)
    assert price == pytest.approx(44000)
    assert with_buffer(price, 60000, False, 0.05) == pytest.approx(44800)


@given(st.floats(0.01, 10), st.floats(10, 1e5), st.floats(0, 1e3), st.booleans())
def test_at_the_liquidation_price_the_ratio_is_the_threshold(size, money, other, is_short):
    assets, debts = {"BTC": size, "USDT": other}, {"BTC": 0.0, "USDT": money}
    if is_short:
        assets, debts = {"BTC": 0.0, "USDT": money}, {"BTC": size, "USDT": other}
    holdings = Holdings(assets, debts, {"USDT": 1.0})
    price = liquidation_price(holdings, "BTC", 1.1, is_short)
    assume(price > 1e-3)
    holdings.marks["BTC"] = price
    assert holdings.ratio == pytest.approx(1.1, rel=1e-6)
    # Beyond it, in the direction that hurts, the ratio is worse.
    holdings.marks["BTC"] = price * (1.01 if is_short else 0.99)
    assert holdings.ratio < 1.1


def test_a_short_has_its_price_above_and_a_long_beside_it_none():
    holdings = Holdings({"USDT": 3000.0}, {"BTC": 0.03}, {"USDT": 1.0, "BTC": 60000.0})
    assert liquidation_price(holdings, "BTC", 1.1, True) == pytest.approx(3000 / 0.033)
    assert liquidation_price(holdings, "BTC", 1.1, False) == 0.0


def row(**fields):
    usual = {"serial": 1, "debtCurrency": "USDT", "debtAmount": "2000", "assetCurrency": None,
             "assetAmount": None, "timestamp": 1}  # fmt: skip
    return usual | fields


def test_what_a_liquidation_sold_and_bought():
    rows = [
        row(),
        row(serial=2, assetCurrency="BTC", assetAmount="0.05"),
        row(serial=3, debtCurrency="ETH", debtAmount="1", assetCurrency="USDT", assetAmount="3000"),
        row(serial=4, debtCurrency="ETH", debtAmount="2", assetCurrency="BTC", assetAmount="0.1"),
    ]
    found = forced_trades(rows, "USDT", {"BTC": 50000.0, "ETH": 2400.0})
    assert [(f.serial, f.base, f.side, f.amount, f.value) for f in found] == [
        ("2", "BTC", "sell", D("0.05"), D(2000)),
        ("3", "ETH", "buy", D(1), D(3000)),
        ("4", "BTC", "sell", D("0.1"), D(5000)),
        ("4", "ETH", "buy", D(2), D(4800)),
    ]


def test_interest_of_a_year_and_of_begun_hours():
    table = RateTable.parse({"USDT": 5})
    assert table.interest("USDT", 1000, 0, YEAR) == pytest.approx(50)
    hourly = RateTable.parse({"USDT": 8760}, "hour")
    assert hourly.interest("USDT", 1000, 0, 60) == pytest.approx(10)
    assert hourly.interest("USDT", 1000, 0, 3600) == pytest.approx(10)
    assert hourly.interest("USDT", 1000, 0, 3601) == pytest.approx(20)


def test_a_rate_that_changes_counts_from_its_date():
    table = RateTable.parse({"USDT": {"2026-01-01": 10, "2026-07-02": 20}})
    begin = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    half = datetime(2026, 7, 2, tzinfo=UTC).timestamp() - begin
    expected = 1000 * (0.10 * half + 0.20 * (YEAR - half)) / YEAR
    assert table.interest("USDT", 1000, begin, begin + YEAR) == pytest.approx(expected)
    assert RateTable.parse(table.as_json()) == table


def test_a_partial_exit_pays_its_part_of_the_debt_and_the_rest_goes_on():
    table = RateTable.parse({"BTC": 100})
    costs, open_cost = replay(
        [Fill(0, borrowed=1), Fill(YEAR / 10, fraction=0.5), Fill(YEAR / 5, fraction=1)],
        table, "BTC", YEAR,
    )  # fmt: skip
    # 0.1 has accrued; half of it is paid, and the rest, 0.55, is all principal: interest first.
    assert costs[0] == pytest.approx(0.05)
    assert costs[1] == pytest.approx(0.05 + 0.55 * 0.1)
    assert open_cost == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"max_leverage": "x"}, "max_leverage"),
        ({"max_leverage": {"long": 0.5}}, "max_leverage.long"),
        ({"max_leverage": {"short": True}}, "max_leverage.short"),
        ({"max_leverage": {"side": 2}}, "max_leverage"),
        ({"liquidation_ad_ratio": 0.5}, "liquidation_ad_ratio"),
        ({"min_ad_ratio_entry": 1.05}, "min_ad_ratio_entry"),
        ({"interest_rates": {"USDT": "5 %"}}, "interest_rates"),
        ({"interest_rates": {"USDT": {"yesterday": 5}}}, "interest_rates"),
        ({"interest_rates": 5}, "interest_rates"),
        ({"interest_period": "week"}, "interest_period"),
        ({"buy_back_slippage": 3}, "buy_back_slippage"),
        ({"stop_interest_days": -1}, "stop_interest_days"),
        ({"lock_minutes": None}, "lock_minutes"),
    ],
)
def test_a_wrong_option_is_one_line(block, said):
    with pytest.raises(ValueError, match=f"bitopro_margin.{said}") as caught:
        parse_leverage_options({"bitopro_margin": block})
    assert "\n" not in str(caught.value)


def test_leverage_is_capped_by_the_ratio_of_an_entry_too():
    options = parse_leverage_options({"bitopro_margin": {"max_leverage": 5}})
    assert options.max_leverage(is_short=False) == pytest.approx(5)
    assert options.max_leverage(is_short=True) == pytest.approx(4)
