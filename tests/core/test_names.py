import pytest

from bitopro_margin_ext.core import endpoints, signing
from bitopro_margin_ext.core.endpoints import (
    BY_PATH,
    CANCEL_ALL,
    CANCEL_ORDER,
    CANCEL_PAIR,
    ENDPOINTS,
    FETCH_ORDER,
    OPEN_ORDERS,
    OPEN_ORDERS_FALLBACK,
    OpenOrdersPath,
)


def url(endpoint, params):
    return signing.build_request(endpoint, params, base_url="http://h/v3", key="k", secret="s").url


@pytest.mark.parametrize(
    ("written", "pair"),
    [
        ("BTC/USDT", "btc_usdt"),
        ("btc_usdt", "btc_usdt"),
        ("BTC_USDT", "btc_usdt"),
        ("1Inch/twd", "1inch_twd"),
    ],
)
def test_pairs_in_every_spelling(written, pair):
    assert endpoints.pair_id(written) == pair
    assert endpoints.batch_pair_id(written) == pair.upper()
    assert endpoints.pair_symbol(written) == pair.upper().replace("_", "/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "all",
        "btcusdt",
        "BTC/",
        "/USDT",
        "BTC//USDT",
        "BTC/USDT/",
        "BTC/USDT:USDT",
        "a_b_c",
        "BTC/USDT\n",
        "../x",
        "btc_usdt?x=1",
        "BTC-USDT",
        "\uff22TC/USDT",
    ],
)
def test_what_is_no_pair(text):
    with pytest.raises(ValueError, match="is not a pair"):
        endpoints.parse_pair(text)


def test_urls():
    assert url(CANCEL_ALL, {}) == "http://h/v3/margin/orders/all"
    assert url(CANCEL_PAIR, {"pair": "BTC/USDT"}) == "http://h/v3/margin/orders/btc_usdt"
    one = {"pair": "btc_usdt", "orderId": 7, "a": "b c"}
    assert url(FETCH_ORDER, one) == "http://h/v3/margin/orders/btc_usdt/7?a=b+c"


@pytest.mark.parametrize("pair", ["all", "", "orders", "..", None, 0])
def test_no_parameter_turns_the_cancel_of_a_pair_into_that_of_all(pair):
    with pytest.raises(ValueError, match="is not a pair"):
        url(CANCEL_PAIR, {"pair": pair})


@pytest.mark.parametrize(
    "order_id", ["", ".", "..", "1/2", "../all", "1?x", "1#", "a b", "%2e", "-1"]
)
def test_no_id_turns_the_cancel_of_an_order_into_that_of_a_pair(order_id):
    with pytest.raises(ValueError, match="is not an order id"):
        url(CANCEL_ORDER, {"pair": "btc_usdt", "orderId": order_id})


@pytest.mark.parametrize("params", [{}, {"pair": "btc_usdt"}, []])
def test_a_missing_part_of_the_path_is_named(params):
    with pytest.raises(KeyError, match=r"orderId|pair"):
        url(CANCEL_ORDER, params)


def test_client_ids_are_in_range():
    found = {endpoints.new_client_id() for _ in range(1000)}
    assert len(found) > 990
    assert all(1 <= client_id <= 2147483647 for client_id in found)


def test_the_table_names_each_endpoint_once():
    assert len(BY_PATH) == len(ENDPOINTS) == len({e.implicit for e in ENDPOINTS})
    assert CANCEL_ALL.implicit == "privateDeleteMarginOrdersAll"
    assert CANCEL_ALL.implicit_snake == "private_delete_margin_orders_all"
    assert CANCEL_ORDER.implicit == "privateDeleteMarginOrdersPairOrderId"
    assert FETCH_ORDER.placeholders == ("pair", "orderId")
    assert all(e.documentation.startswith("https://") for e in ENDPOINTS)


def test_the_open_orders_path_that_works_is_kept():
    path = OpenOrdersPath()
    assert path.candidates == (OPEN_ORDERS, OPEN_ORDERS_FALLBACK)
    path.remember(OPEN_ORDERS)
    assert path.candidates == (OPEN_ORDERS, OPEN_ORDERS_FALLBACK)
    path.remember(OPEN_ORDERS_FALLBACK)
    assert path.candidates == (OPEN_ORDERS_FALLBACK,)
