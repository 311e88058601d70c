"""What must be bought to close a short, and what Freqtrade is shown of it."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bitopro_margin_ext.bot.leverage_amounts import (
    buy_back_cost,
    gross_amount,
    shown_buy_back,
    shown_entry,
)

D = Decimal

amounts = st.decimals("0.0001", "100", places=8)
FEE = D("0.002")


def order(amount, filled, price, fee, currency="BTC"):
    return {
        "amount": float(amount),
        "filled": float(filled),
        "price": float(price),
        "average": float(price),
        "fee": {"cost": float(fee), "currency": currency},
    }


@given(amounts, st.decimals("0", "0.04", places=8), st.decimals("0", "0.01", places=6))
def test_a_gross_amount_covers_position_interest_and_fee_and_is_capped(net, rate, ahead):
    interest = (net * rate).quantize(D("1e-8"))
    gross = gross_amount(net, interest, net * ahead, D(0), FEE, D("0.05"))
    assert gross <= net * D("1.05") + D("1e-8")
    if (net + interest + net * ahead) / (1 - FEE) <= net * D("1.05"):
        assert gross * (1 - FEE) >= net + interest


def test_dust_is_used_before_more_is_bought():
    assert gross_amount(D(1), D(0), D(0), D("0.5"), D(0), D(1)) == D("0.5")


@given(amounts, st.decimals("1", "100000", places=2))
def test_a_shown_buy_back_costs_freqtrade_what_it_cost(net, price):
    gross = gross_amount(net, D(0), D(0), D(0), FEE, D("0.05"))
    fee = (gross * FEE).quantize(D("1e-8"))
    shown = shown_buy_back(order(gross, gross, price, fee), float(net), "BTC", "USDT")
    assert shown["filled"] == shown["amount"] == float(net)
    assert shown["remaining"] == 0
    in_quote = shown["fee"]["cost"]
    assert abs(in_quote - float(fee * price)) < 1e-6
    assert abs(shown["filled"] * float(price) * shown["fee"]["rate"] - in_quote) < 1e-6


def test_half_a_buy_back_is_half_the_position():
    shown = shown_buy_back(order("1.002", "0.501", 10, "0.001"), 1.0, "BTC", "USDT")
    assert shown["filled"] == 0.5
    assert shown["remaining"] == 0.5


def test_a_longs_entry_is_what_is_left_after_its_fee():
    shown = shown_entry(order(1, 1, 100, "0.002"), "BTC", "USDT")
    assert shown["filled"] == 0.998
    assert shown["fee"]["currency"] == "USDT"
    value = shown["filled"] * 100 * (1 + shown["fee"]["rate"])
    assert abs(value - 100) < 1e-9


@given(amounts, amounts, amounts, st.decimals("1", "1000", places=2), st.booleans())
def test_costs_and_dust_add_up_to_what_was_spent(net, received, paid, price, first):
    """Whatever is bought and repaid, cost of the trade and change of the dust are the cash."""
    dust = (D(0), D(0)) if first else (D(500), D(500) * 7)
    paid = min(paid, received + dust[0])
    cost, after = buy_back_cost(net, received, paid, price, dust)
    assert abs(cost + (after[1] - dust[1]) - (received - net) * price) < D("1e-12")
    assert abs(after[0] - (dust[0] + received - paid)) < D("1e-12")
