"""With ``number = str``, ccxt's other number type, every method says the same."""

from decimal import Decimal

from tests.exchange.calls import BTC, CALLS
from tests.exchange.conftest import ON_EVERY_CLASS

READS = sorted(
    name
    for name in CALLS
    if name.startswith("fetch") and name not in ("fetchMarginAccount", "fetchMyLiquidations")
)


def same(one, other):
    """Equal but for the type of the numbers."""
    if isinstance(one, dict):
        names = set(one) - {"timestamp", "datetime", "info"}
        return isinstance(other, dict) and all(same(one[name], other[name]) for name in names)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, int | float) and not isinstance(one, bool):
        return Decimal(str(one)) == Decimal(str(other))
    return one == other


@ON_EVERY_CLASS
def test_reads_say_the_same(book, connect):
    plain, typed = (connect(book.rest_url, number=kind) for kind in (float, str))
    for exchange in (plain, typed):
        exchange("load_markets")
    for name in READS:
        method, args = CALLS[name]
        args = ({"fetchOrder": "9296847601", "fetchOrderTrades": "6683089851"}.get(name), *args[1:])
        if args[0] is None:
            args = CALLS[name][1]
        found, expected = typed(method, *args), plain(method, *args)
        # The examples hold no order that was filled, and no repayment of USDT.
        assert expected or name in ("fetchClosedOrders", "fetchRepays")
        assert same(expected, found), name


@ON_EVERY_CLASS
def test_orders_and_loans_are_sent_the_same(connect, sandbox, control):
    control.set_balances({"BTC": 50, "ETH": 50, "USDT": 200_000})
    bodies = []
    for kind in (float, str):
        api = connect(sandbox.rest_url, number=kind)
        control.clear_requests()
        api("create_order", BTC, "limit", "sell", "9", "100000.129", {"stopLossPrice": "100000"})
        api("create_order", BTC, "market", "buy", kind("0.0010"), kind("60000"))
        api("create_order", BTC, "limit", "buy", kind("0.001"), kind("9000"), {"clientOrderId": 5})
        api("borrow_cross_margin", "USDT", kind("10"))
        api("create_order", "ETH/USDT", "limit", "sell", kind("0.1"), kind("9000"))
        sent = [line["body"] for line in control.requests() if line["method"] == "POST"]
        for body in sent:
            for name in ("timestamp", "clientId"):
                body.pop(name, None)
        bodies.append(sent)
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) == 5
