"""Trades, the account, mark prices, and the inherited streams of the spot account."""

import asyncio

import ccxt.pro
import pytest

from bitopro_margin_ext.core.endpoints import USER_TRADES_STREAM_FALLBACK
from bitopro_margin_ext.sandbox import STREAM_PREFIX
from tests.data import example
from tests.exchange.streaming import KEYS, Session, silent, soon

from .judges import check_balance, check_order, check_ticker, check_trade

SYMBOL = "BTC/USDT"


def told(api, path, name):
    """Give the object a documented message, as its client would."""
    private = "" if path == "margin/mark-price" else "/auth"
    base = api.urls["ws"]["public"]
    api.handle_message(api.client(f"{base}{private}/{path}"), example(name))


def test_documented_messages_pass_ccxts_validators(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            await api.load_markets()
            now = api.milliseconds()
            told(api, "margin/orders", "ws_margin_active_orders_stream")
            told(api, "margin/orders/histories", "ws_margin_history_orders_stream")
            orders = api.order_feed.take(None)
            assert [order["status"] for order in orders] == ["open", "closed"]
            assert orders[1]["clientOrderId"] == "123"
            for order in orders:
                check_order(api, {}, "watchOrders", order, SYMBOL, now)
            api.trade_feed.follow(None)
            told(api, "margin/margin/user-trades", "ws_margin_user_trades_stream")
            (trade,) = api.trade_feed.take(None)
            check_trade(api, {}, "watchMyTrades", trade, SYMBOL, now, False)
            assert (trade["side"], trade["takerOrMaker"]) == ("sell", "taker")
            assert trade["timestamp"] == 1_721_387_560_000
            told(api, "margin/mark-price", "ws_margin_mark-price_stream")
            tickers = api.mark_feed.value
            assert set(tickers) == {"BTC/USDT", "ETH/USDT"}
            for symbol, ticker in tickers.items():
                check_ticker(api, {}, "watchMarkPrices", ticker, symbol)
                assert ticker["timestamp"] == 1_721_723_899_655

    asyncio.run(scenario())


async def trade_by_hand(sandbox, times=1):
    order = await asyncio.to_thread(sandbox.control.seed_order, "btc_usdt", "BUY", "1", "50000")
    for _ in range(times):
        await asyncio.to_thread(sandbox.control.fill, order["id"], fraction="0.25")
    return order["id"]


@pytest.mark.parametrize("path", ["documented", "plain"])
def test_trades_by_either_path(sandbox, path):
    async def scenario():
        sandbox.control.switches(user_trades_path=path)
        async with Session(sandbox) as api:
            await api.load_markets()
            for _ in range(2):
                waiting = asyncio.create_task(api.watch_my_trades(SYMBOL))
                await asyncio.sleep(0.5)
                order = await trade_by_hand(sandbox)
                (trade,) = await soon(waiting)
                assert (trade["order"], trade["amount"]) == (order, 0.25)
                check_trade(api, {}, "watchMyTrades", trade, SYMBOL, api.milliseconds(), False)
        dials = [line["status"] for line in sandbox.control.requests() if line["method"] == "WS"]
        assert dials == ([101] if path == "documented" else [404, 101])

    asyncio.run(scenario())


def test_no_path_at_all_is_said(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            api.user_trades_stream = USER_TRADES_STREAM_FALLBACK
            with pytest.raises(ccxt.NotSupported):
                await soon(api.watch_my_trades())

    asyncio.run(scenario())


@pytest.mark.parametrize("scope", [SYMBOL, None])
def test_trades_missed_in_a_gap_are_made_up_for_once(sandbox, scope):
    async def scenario():
        async with Session(sandbox) as api:
            waiting = asyncio.create_task(api.watch_my_trades(scope))
            await asyncio.sleep(0.5)
            before = await trade_by_hand(sandbox, 2)
            found = await soon(waiting)
            while len(found) < 2:
                found += await soon(api.watch_my_trades(scope))
            sandbox.parts.streams.drop("*")
            # Equal executions within a second are told apart by their number only.
            missed = await trade_by_hand(sandbox, 3)
            found = []
            while len(found) < 3:
                found += await soon(api.watch_my_trades(scope))
            assert [trade["order"] for trade in found] == [missed] * 3
            assert before != missed
            assert await silent(api.watch_my_trades(scope))
            after = await trade_by_hand(sandbox)
            assert [t["order"] for t in await soon(api.watch_my_trades(scope))] == [after]

    asyncio.run(scenario())


def test_balance_is_whole_and_dated(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            await api.load_markets()
            first = await soon(api.watch_balance())
            check_balance(api, {}, "watchBalance", first)
            assert first["USDT"]["free"] == 10_000
            waiting = asyncio.create_task(api.watch_balance())
            await asyncio.sleep(0.2)
            await api.borrow_cross_margin("BTC", "0.01")
            after = await soon(waiting)
            assert (after["BTC"]["free"], after["BTC"]["debt"]) == (0.01, 0.01)
            assert after["datetime"] == api.iso8601(after["timestamp"])
            sandbox.control.add_fault(kind="status", status=502, path="/v3/margin/balances")
            sandbox.parts.streams.drop("*")
            with pytest.raises(ccxt.ExchangeNotAvailable):
                await soon(api.watch_balance())
            # What could not be completed is not taken for told.
            again = await soon(api.watch_balance())
            assert again["BTC"]["debt"] == pytest.approx(0.01, rel=0.001)

    asyncio.run(scenario())


def test_mark_prices_need_no_keys_and_come_back(sandbox):
    async def scenario():
        async with Session(sandbox, apiKey=None, secret=None, login=None) as api:
            first = await soon(api.watch_mark_prices())
            assert {s: t["markPrice"] for s, t in first.items()} == {
                "BTC/USDT": 60_000,
                "ETH/USDT": 3_000,
            }
            assert (await soon(api.watch_mark_price(SYMBOL)))["markPrice"] == 60_000
            assert await silent(api.watch_mark_price(SYMBOL))
            sandbox.parts.streams.drop("*")
            await asyncio.to_thread(sandbox.control.set_price, "btc_usdt", 61_000)
            while (await soon(api.watch_mark_price(SYMBOL)))["markPrice"] != 61_000:
                pass
            for symbol in ("ETH/BTC", "DOGE/USDT"):
                with pytest.raises(ccxt.BadSymbol):
                    await soon(api.watch_mark_prices([symbol]))

    asyncio.run(scenario())


def test_spot_streams_are_the_inherited_ones_and_signed(sandbox):
    """ccxt's own class takes the headers back before its client has dialled; here they arrive."""

    async def scenario():
        async with Session(sandbox) as api:
            await api.load_markets()
            balance = await soon(api.watch_balance({"type": "spot"}))
            assert balance["USDT"]["total"] == 10_000
            waiting = asyncio.ensure_future(api.watch_my_trades(SYMBOL, params={"type": "spot"}))
            await asyncio.sleep(0.3)
            await api.create_order(SYMBOL, "market", "buy", 20, params={"type": "spot"})
            (trade,) = await soon(waiting)
            assert trade["id"]
            assert await silent(api.watch_my_trades(SYMBOL), 0.3)
            book = await soon(api.watch_order_book(SYMBOL))
            assert book["bids"][0][0] < book["asks"][0][0]
            assert (await soon(api.watch_ticker(SYMBOL)))["last"] == 60_000

    asyncio.run(scenario())


def test_sandbox_mode_moves_both_addresses(sandbox, monkeypatch):
    monkeypatch.setenv("BITOPRO_SANDBOX_URL", sandbox.url)

    async def scenario():
        api = ccxt.pro.bitopromargin(KEYS)
        live = dict(api.urls["ws"])
        assert live["public"].startswith("wss://stream.bitopro.com")
        api.set_sandbox_mode(True)
        assert "bitopro.com" not in str([api.urls["api"], api.urls["ws"]])
        assert api.stream_url(api.user_trades_stream).startswith(
            sandbox.url.replace("http", "ws") + STREAM_PREFIX
        )
        try:
            assert (await api.fetch_balance())["USDT"]["total"] == 10_000
            assert (await soon(api.watch_balance()))["USDT"]["total"] == 10_000
            assert (await soon(api.watch_mark_price(SYMBOL)))["markPrice"] == 60_000
        finally:
            await api.close()
        api.set_sandbox_mode(False)
        assert api.urls["ws"] == live

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "url", ["https://api.bitopro.com", "https://bitopro.com", "https://stream.BITOPRO.com:443"]
)
@pytest.mark.parametrize("module", [ccxt, ccxt.pro], ids=["sync", "pro"])
def test_sandbox_mode_refuses_the_live_host(monkeypatch, module, url):
    monkeypatch.setenv("BITOPRO_SANDBOX_URL", url)
    with pytest.raises(ccxt.BadRequest, match="BITOPRO_SANDBOX_URL"):
        module.bitopromargin().set_sandbox_mode(True)


def test_the_default_sandbox_is_on_this_machine(monkeypatch):
    monkeypatch.delenv("BITOPRO_SANDBOX_URL", raising=False)
    api = ccxt.pro.bitopromargin()
    api.set_sandbox_mode(True)
    assert api.urls["api"]["rest"] == "http://127.0.0.1:8650/v3"
    assert api.urls["ws"]["private"] == "ws://127.0.0.1:8650/ws/v1/pub/auth"


def test_a_rest_address_on_this_machine_takes_the_streams_with_it():
    api = ccxt.pro.bitopromargin({"urls": {"api": {"rest": "http://localhost:1/v3"}}})
    assert api.urls["ws"]["private"] == "ws://localhost:1/ws/v1/pub/auth"
    given = {"public": "ws://127.0.0.1:2/x", "private": "ws://127.0.0.1:2/x/auth"}
    api = ccxt.pro.bitopromargin({"urls": {"api": {"rest": "http://localhost:1/v3"}, "ws": given}})
    assert api.urls["ws"] == given
