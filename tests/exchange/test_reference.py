"""The tables, the page about ccxt, the docstrings and ``has`` say the same."""

import inspect
import re

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

from bitopro_margin_ext import exchange
from bitopro_margin_ext.core.endpoints import DOCS, ENDPOINTS, STREAMS
from bitopro_margin_ext.core.errors import Meaning
from bitopro_margin_ext.exchange.describe import STREAMING, margin_description
from tests.exchange import reference
from tests.exchange.drivers import KEYS

# The pages at that commit; a link to any other file of it leads nowhere.
PAGES = {
    "api/v3/private/" + name
    for name in (
        "borrow.md",
        "calculate_ad_ratio.md",
        "get_borrow_provisioning.md",
        "get_margin_acccount_balance.md",
        "get_mark_price.md",
        "list_user_borrow.md",
        "list_user_liquidations.md",
        "list_user_repays.md",
        "list_user_transfers.md",
        "margin_cancel_all_orders.md",
        "margin_cancel_an_order.md",
        "margin_cancel_batch_orders.md",
        "margin_create_an_order.md",
        "margin_create_batch_orders.md",
        "margin_get_an_order_data.md",
        "margin_get_open_orders_data.md",
        "margin_get_orders_data.md",
        "margin_get_trades_data.md",
        "repay.md",
        "transfer.md",
    )
} | {
    "api/v3/public/get_currency_info.md",
    "api/v3/public/get_ohlc_data.md",
    "ws/private/margin_account_info_stream.md",
    "ws/private/margin_active_orders_stream.md",
    "ws/private/margin_history_orders_stream.md",
    "ws/private/margin_user_trades_stream.md",
    "ws/public/margin%20mark-price_stream.md",
}
CLASSES = {
    "sync": (exchange.bitopromargin, ccxt.bitopro),
    "async": (exchange.bitopromargin_async, ccxt.async_support.bitopro),
    "pro": (exchange.bitopromargin_pro, ccxt.pro.bitopro),
}
NOT_UNIFIED = {
    # Names that ccxt does not know, in the shape of its own.
    "calculateAdRatio",
    "cancelAllMarginOrders",
    "cancelAndConfirm",
    "fetchBorrows",
    "fetchMarginAccount",
    "fetchRepays",
}


def camel(name):
    first, *rest = name.split("_")
    return first + "".join({"ohlcv": "OHLCV"}.get(part, part.capitalize()) for part in rest)


def own_methods(cls):
    """The unified methods that our modules define, by their camelCase names."""
    names = {}
    for name in dir(cls):
        method = getattr(cls, name)
        if re.match(r"(fetch|watch|create|cancel|borrow|repay|calculate)_|transfer$", name) and (
            getattr(method, "__module__", "").startswith("bitopro_margin_ext.")
        ):
            names[camel(name)] = method
    return names


@pytest.mark.parametrize("kind", CLASSES)
def test_every_unified_method_of_the_tables_exists(kind):
    own = own_methods(CLASSES[kind][0])
    tables = [*ENDPOINTS, *(STREAMS if kind == "pro" else ())]
    named = {camel(name) if "_" in name else name for row in tables for name in row.unified}
    assert named <= set(own)


@pytest.mark.parametrize("kind", CLASSES)
def test_has_is_true_and_complete(kind):
    cls, _ = CLASSES[kind]
    has = cls(KEYS).has
    own = set(own_methods(cls))
    assert {name for name in own if has.get(name) is not True} == NOT_UNIFIED
    # What we claim is ours, or made by ccxt out of ours.
    words = {"spot", "margin", "sandbox", "ws"}
    made_by_ccxt = {
        "createLimitBuyOrder",
        "createLimitOrder",
        "createLimitSellOrder",
        "createMarketBuyOrder",
        "createMarketSellOrder",
        "createReduceOnlyOrder",
        "createMarketBuyOrderWithCost",
        "createMarketOrder",
        "createPostOnlyOrder",
        "createStopLimitOrder",
        "createStopLossOrder",
        "createTakeProfitOrder",
        "createTriggerOrder",
    }
    claims = {**margin_description("")["has"], **STREAMING["has"]}
    claimed = {name for name, claim in claims.items() if claim}
    if kind != "pro":
        claimed -= {name for name in claimed if name.startswith("watch")}
    assert claimed - words - made_by_ccxt <= own
    for name in ("fetchTransfer", "fetchLeverage", "setLeverage", "fetchPositions", "fetchTime"):
        assert has[name] is False


def test_the_streams_are_claimed_where_they_are():
    assert exchange.bitopromargin_pro(KEYS).has["watchOrders"] is True
    assert exchange.bitopromargin_async(KEYS).has.get("watchOrders") is not True
    assert exchange.bitopromargin(KEYS).has["margin"] is True


def test_features_are_read_by_ccxt():
    api = exchange.bitopromargin(KEYS)
    spot = api.features["spot"]
    assert spot["createOrders"]["max"] == 10
    assert spot["createOrder"]["triggerPrice"] is True
    assert spot["fetchMyTrades"]["limit"] == 1000
    for method, feature in spot.items():
        assert not isinstance(feature, dict) or api.has[method] is not False


def test_every_page_is_one_of_the_commit():
    for row in (*ENDPOINTS, *STREAMS):
        assert row.documentation.startswith(DOCS)
        assert row.documentation.removeprefix(DOCS) in PAGES


@pytest.mark.parametrize("kind", CLASSES)
def test_every_docstring_links_its_page(kind):
    for name, method in own_methods(CLASSES[kind][0]).items():
        text = inspect.getdoc(method) or ""
        links = [link.removeprefix(DOCS) for link in re.findall(r"https://\S+", text)]
        assert all(link in PAGES for link in links), f"{name} links to {links}"
        assert links, f"{name} links to no page"


def test_the_table_has_a_row_for_each():
    table = reference.endpoints().splitlines()
    assert len(table) == 2 + len(ENDPOINTS) + len(STREAMS)
    row = next(line for line in table if "/margin/orders/batch" in line)
    assert row.startswith("| POST | ")
    assert row.endswith("| 90/min | `createOrders` |")


@pytest.mark.parametrize("name", reference.PARTS)
def test_the_page_says_what_the_code_says(name):
    page = reference.PAGE.read_text()
    if name in reference.OF_THIS_CCXT and reference.part(page, "ccxt version") != (
        reference.ccxt_version()
    ):
        pytest.skip("the comparison was made with another ccxt")
    assert reference.part(page, name) == reference.PARTS[name]()


def test_the_page_names_every_error():
    page = reference.PAGE.read_text()
    for meaning in Meaning:
        assert f"| `{meaning.value}` |" in page


def test_marks_are_needed():
    with pytest.raises(ValueError, match="marks of 'methods'"):
        reference.part("no marks", "methods")
    marked = "a\n<!-- methods: begin -->\nold\n<!-- methods: end -->\nb"
    changed = reference.with_part(marked, "methods", "new")
    assert changed == marked.replace("old", "new")


def test_what_ccxt_writes_into_one_object_stays_there():
    first = exchange.bitopromargin(KEYS)
    first.features["spot"]["createOrder"]["hedged"] = True
    assert exchange.bitopromargin(KEYS).features["spot"]["createOrder"]["hedged"] is False
