"""Orders come in one stream of changes, each once and to everyone who watches."""

import asyncio

import ccxt
import pytest

from tests.exchange.streaming import SYMBOL, Session, seed, shown, silent, soon


def test_snapshot_then_each_change_once(sandbox):
    async def scenario():
        old, resting = seed(sandbox, status=4), seed(sandbox)
        async with Session(sandbox) as api:
            first = shown(await soon(api.watch_orders()))
            assert sorted(first) == [(old, "canceled", 0), (resting, "open", 0)]
            made = await api.create_order(SYMBOL, "limit", "buy", 0.001, 45000)
            assert shown(await soon(api.watch_orders())) == [(made["id"], "open", 0)]
            await asyncio.to_thread(sandbox.control.fill, resting, fraction="0.5")
            assert shown(await soon(api.watch_orders())) == [(resting, "open", 0.005)]
            await api.cancel_all_orders()
            ended = []
            while len(ended) < 2:
                ended += shown(await soon(api.watch_orders()))
            assert sorted(ended) == [(resting, "canceled", 0.005), (made["id"], "canceled", 0)]
            assert await silent(api.watch_orders())

    asyncio.run(scenario())


def test_changes_wait_for_a_busy_consumer(sandbox):
    """ccxt's own cache would speak of them only with the next message."""

    async def scenario():
        async with Session(sandbox) as api:
            resting = [seed(sandbox) for _ in range(3)]
            await soon(api.watch_orders())
            await api.cancel_all_orders(SYMBOL)
            await asyncio.sleep(0.3)
            found = shown(await soon(api.watch_orders(), 0.3))
            assert sorted(found) == [(order, "canceled", 0) for order in resting]

    asyncio.run(scenario())


def test_consumers_do_not_steal_from_each_other(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            bitcoin = seed(sandbox)
            ether = seed(sandbox, pair="eth_usdt", price="2000")
            everything, one = await soon(
                asyncio.gather(api.watch_orders(), api.watch_orders("ETH/USDT"))
            )
            assert {order["id"] for order in everything} == {bitcoin, ether}
            assert [order["id"] for order in one] == [ether]
            waiting = [asyncio.create_task(api.watch_orders(scope)) for scope in (None, "ETH/USDT")]
            doomed = asyncio.create_task(api.watch_orders())
            await asyncio.sleep(0.1)
            # A consumer that is cancelled must not take the others with it.
            doomed.cancel()
            await api.cancel_order(ether, "ETH/USDT")
            for orders in await soon(asyncio.gather(*waiting)):
                assert shown(orders) == [(ether, "canceled", 0)]
            await api.cancel_order(bitcoin, SYMBOL)
            assert shown(await soon(api.watch_orders())) == [(bitcoin, "canceled", 0)]
            assert await silent(api.watch_orders("ETH/USDT"))

    asyncio.run(scenario())


def test_a_message_that_cannot_be_read_costs_nothing(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            resting = seed(sandbox)
            await soon(api.watch_orders())
            for text in (
                '{"event": "ACTIVE_ORDERS", "data"',
                '{"data": {"btc_usdt": [{}]}}',
                "[7]",
            ):
                for client in list(api.clients.values()):
                    client.handle_text_or_binary_message(text)
                assert await silent(api.watch_orders(), 0.5)
            await api.cancel_order(resting, SYMBOL)
            assert shown(await soon(api.watch_orders())) == [(resting, "canceled", 0)]

    asyncio.run(scenario())


def test_closing_ends_the_wait(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            waiting = asyncio.create_task(api.watch_orders())
            await asyncio.sleep(0.4)
            await api.close()
            with pytest.raises(ccxt.ExchangeClosedByUser):
                await soon(waiting)
            assert sandbox.parts.streams.open_paths() == []

    asyncio.run(scenario())
