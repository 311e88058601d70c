"""A stop that the exchange refuses is a refused stop in whatever words: the emergency follows."""

import ccxt
import pytest

BTC = "BTC/USDT"
STOP = {"stopLossPrice": 51000}


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "text",
    [
        "Invalid pair btc_usdt, under maintenance.",
        "Pair btc_usdt not found.",
        "Invalid stop price 51000",
        "api token is not allowed",
        "Forbidden",
        "nonce is too old",
        "Something new",
        "",
    ],
)
def test_in_whatever_words(api, control, status, text):
    body = {"error": text}
    control.add_fault("status", method="POST", status=status, body=body, times=None)
    with pytest.raises(ccxt.InvalidOrder):
        api("create_order", BTC, "limit", "sell", 0.001, 50000, STOP)


def test_what_is_no_stop_keeps_its_meaning(api, control):
    body = {"error": "Pair btc_usdt is under maintenance."}
    control.add_fault("status", method="POST", status=400, body=body, times=None)
    with pytest.raises(ccxt.OnMaintenance):
        api("create_order", BTC, "limit", "sell", 0.001, 50000)


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_what_is_not_about_the_order_is_no_refused_stop(api, control, status):
    control.add_fault("status", method="POST", status=status, times=None)
    with pytest.raises(ccxt.BaseError) as caught:
        api("create_order", BTC, "limit", "sell", 0.001, 50000, STOP)
    assert not isinstance(caught.value, ccxt.InvalidOrder)
