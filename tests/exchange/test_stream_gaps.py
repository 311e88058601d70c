"""A stream that was away: no change missed, none told twice."""

import asyncio

import ccxt
import pytest

from tests.exchange.streaming import SYMBOL, Session, seed, shown, silent, soon


def test_nothing_is_missed_across_a_gap(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            cancelled, filled, part, kept = (seed(sandbox) for _ in range(4))
            await soon(api.watch_orders())
            await soon(api.watch_orders(SYMBOL))
            assert sandbox.parts.streams.drop("*") == 2
            await asyncio.to_thread(sandbox.control.cancel, cancelled)
            await asyncio.to_thread(sandbox.control.fill, filled)
            await asyncio.to_thread(sandbox.control.fill, part, fraction="0.5")
            fleeting = seed(sandbox, status=4)
            seen = {}
            while len(seen) < 4:
                for order in await soon(api.watch_orders()):
                    assert order["id"] not in seen, "told twice"
                    seen[order["id"]] = (order["status"], order["filled"])
            assert seen == {
                cancelled: ("canceled", 0),
                filled: ("closed", 0.01),
                part: ("open", 0.005),
                fleeting: ("canceled", 0),
            }
            assert kept not in seen
            assert await silent(api.watch_orders())
            await api.cancel_order(kept, SYMBOL)
            assert shown(await soon(api.watch_orders())) == [(kept, "canceled", 0)]

    asyncio.run(scenario())


def test_one_lost_stream_is_enough_to_ask(sandbox):
    """The open-orders stream goes on while the one that would tell the end is away."""

    async def scenario():
        async with Session(sandbox) as api:
            resting = seed(sandbox)
            await soon(api.watch_orders())
            # An end that no stream will tell: nobody listens, and history has no room for it.
            sandbox.parts.streams.drop("*/histories")
            await asyncio.to_thread(sandbox.control.cancel, resting)
            seed_many = [{"pair": "eth_usdt", "action": "BUY", "amount": "1", "price": "1"}] * 100
            await asyncio.to_thread(
                sandbox.control.seed_orders, [{**order, "status": 4} for order in seed_many]
            )
            found = []
            while (resting, "canceled", 0) not in found:
                found += shown(await soon(api.watch_orders()))
            assert len([line for line in found if line[0] == resting]) == 1

    asyncio.run(scenario())


def test_rest_alone_makes_up_for_a_gap(sandbox):
    """Whatever the streams tell on connecting again: here it is not listened to."""

    async def scenario():
        async with Session(sandbox) as api:
            cancelled, part = seed(sandbox), seed(sandbox, pair="eth_usdt", price="2000")
            await soon(api.watch_orders())
            api._take_orders = lambda message: None
            sandbox.parts.streams.drop("*")
            await asyncio.to_thread(sandbox.control.cancel, cancelled)
            await asyncio.to_thread(sandbox.control.fill, part, fraction="0.5")
            fleeting, fresh = seed(sandbox, status=4), seed(sandbox)
            found = shown(await soon(api.watch_orders()))
            assert sorted(found) == sorted(
                [
                    (cancelled, "canceled", 0),
                    (part, "open", 0.005),
                    (fleeting, "canceled", 0),
                    (fresh, "open", 0),
                ]
            )

    asyncio.run(scenario())


def test_a_gap_is_made_up_for_when_rest_answers_again(sandbox, monkeypatch):
    monkeypatch.setattr("bitopro_margin_ext.exchange.pro_connection.RESYNC_INTERVAL", 0.2)

    async def scenario():
        async with Session(sandbox) as api:
            resting = seed(sandbox)
            await soon(api.watch_orders())
            sandbox.control.add_fault(
                kind="status", status=502, body="<html>", path="/v3/margin/*", times=3
            )
            sandbox.parts.streams.drop("*")
            await asyncio.to_thread(sandbox.control.cancel, resting)
            # The history stream tells it all the same.
            assert shown(await soon(api.watch_orders())) == [(resting, "canceled", 0)]
            assert await silent(api.watch_orders(), 3)
            assert not api.order_feed.gap
            tried = [
                line["status"] for line in sandbox.control.requests() if line["method"] == "GET"
            ]
            assert tried[:4] == [502, 502, 502, 200]

    asyncio.run(scenario())


def test_an_exchange_that_stays_away_is_said_in_the_end(sandbox):
    async def scenario():
        nowhere = {"api": {"rest": "http://127.0.0.1:9/v3"}}
        async with Session(sandbox, urls=nowhere, options={"streamPatience": 0.8}) as api:
            with pytest.raises(ccxt.NetworkError, match="could not be reached"):
                await soon(api.watch_orders())

    asyncio.run(scenario())
