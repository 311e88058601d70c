"""The documented limits, enforced: the call over the limit is 429, and only that."""

import time

import pytest

from tests.sandbox.trader import Trader


def codes(call, count):
    return [call().status_code for _ in range(count)]


def test_one_cancel_all_a_second_shared_with_the_pair(trader, control):
    first = trader.delete("/margin/orders/all")
    second = trader.delete("/margin/orders/btc_usdt")
    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json() == {"error": "Too Many Requests"}
    assert control.requests()[-1]["limited"] is True
    time.sleep(1)
    assert trader.delete("/margin/orders/all").status_code == 200


def test_the_limit_follows_the_exchange_clock(trader, control):
    assert trader.delete("/margin/orders/all").status_code == 200
    control.advance(1)
    assert trader.delete("/margin/orders/all").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("PUT", "/margin/orders", {}, 2),
        ("GET", "/margin/orders/orders/open", None, 5),
        ("POST", "/margin/orders/batch", [], 90),
        ("DELETE", "/orders/all", None, 2),
    ],
)
def test_special_limits(trader, method, path, body, allowed):
    seen = codes(lambda: trader.send(method, path, body), allowed + 1)
    assert 429 not in seen[:-1]
    assert seen[-1] == 429


def test_a_limit_of_one_sort_leaves_the_others_alone(trader):
    codes(lambda: trader.delete("/margin/orders/all"), 2)
    assert trader.get("/margin/orders/orders/open").status_code == 200
    assert trader.delete("/margin/orders/btc_usdt/1").status_code == 404


def test_general_limit_by_address_and_by_account(sandbox, trader):
    now = sandbox.exchange.clock.now_ms()
    limits = sandbox.parts.limits
    for _ in range(600):
        assert limits.exceeded("GET", "/v3/margin/balances", "10.0.0.1", "a", now) is None
    assert limits.exceeded("GET", "/v3/margin/balances", "10.0.0.1", "b", now) == "general"
    assert limits.exceeded("GET", "/v3/tickers", "10.0.0.2", "a", now) == "general"
    assert limits.exceeded("GET", "/v3/tickers", "10.0.0.2", None, now) is None
    assert limits.exceeded("GET", "/v3/tickers", "10.0.0.1", None, now + 60_000) is None


def test_creating_and_cancelling_one_have_room(sandbox):
    now = sandbox.exchange.clock.now_ms()
    limits = sandbox.parts.limits
    for _ in range(1200):
        assert limits.exceeded("POST", "/v3/margin/orders/btc_usdt", "ip", "a", now) is None
    assert limits.exceeded("POST", "/v3/margin/orders/btc_usdt", "ip", "a", now)
    for _ in range(900):
        assert limits.exceeded("DELETE", "/v3/margin/orders/btc_usdt/1", "ip", "a", now) is None
    assert limits.exceeded("DELETE", "/v3/margin/orders/btc_usdt/1", "ip", "a", now)


def test_limits_can_be_off(trader, control):
    control.switches(rate_limits=False)
    assert codes(lambda: trader.delete("/margin/orders/all"), 5) == [200] * 5


def test_two_accounts_on_one_address_share_the_cancel_all(sandbox, control, trader):
    control.add_account("b@example.com", keys=[{"key": "b", "secret": "t"}])
    other = Trader(sandbox, "b", "t", "b@example.com")
    assert trader.delete("/margin/orders/all").status_code == 200
    assert other.delete("/margin/orders/all").status_code == 429
