"""Orders come in one stream of changes: none missed, none twice, each with its final state."""

import asyncio

import ccxt
import pytest

from tests.exchange_streams.conftest import Session, shown, silent, soon

SYMBOL = "BTC/USDT"


def seed(sandbox, **fields):
    order = {"pair": "btc_usdt", "action": "BUY", "amount": "0.01", "price": "50000", **fields}
    return sandbox.control.seed_orders([order])[0]["id"]


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
            api._hear_orders = lambda message: None
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
    monkeypatch.setattr("bitopro_margin_ext.exchange.following.MEND_INTERVAL", 0.2)

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


def test_every_reconnect_is_signed_anew(sandbox):
    """The sandbox refuses a nonce that it has seen on that path."""

    async def scenario():
        async with Session(sandbox) as api:
            resting = seed(sandbox)
            await soon(api.watch_orders())
            for _ in range(3):
                sandbox.parts.streams.drop("*")
                assert await silent(api.watch_orders(), 0.5)
            dials = [line for line in sandbox.control.requests() if line["method"] == "WS"]
            assert [line["status"] for line in dials] == [101] * 8
            await api.cancel_order(resting, SYMBOL)
            assert shown(await soon(api.watch_orders())) == [(resting, "canceled", 0)]

    asyncio.run(scenario())


def test_the_exchanges_clock_is_followed(sandbox):
    async def scenario():
        sandbox.control.skew(60)
        async with Session(sandbox) as api:
            resting = seed(sandbox)
            assert shown(await soon(api.watch_orders())) == [(resting, "open", 0)]
            assert abs(api.options["clockOffset"] - 60_000) < 2_000

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


def test_login_is_asked_for_before_dialling(sandbox):
    async def scenario():
        async with Session(sandbox, login=None) as api:
            for watch in (api.watch_orders, api.watch_my_trades, api.watch_balance):
                for params in ({}, {"type": "spot"}):
                    if params and watch == api.watch_orders:
                        continue
                    with pytest.raises(ccxt.AuthenticationError, match="login"):
                        await watch(params=params)
            assert (await api.fetch_balance())["USDT"]["free"] == 10_000
            assert (await soon(api.watch_mark_price(SYMBOL)))["markPrice"] == 60_000
        dials = [line["path"] for line in sandbox.control.requests() if line["method"] == "WS"]
        assert dials == ["/ws/v1/pub/margin/mark-price"]

    asyncio.run(scenario())


def test_a_refused_key_is_said_without_what_signed_it(sandbox, caplog, capsys):
    async def scenario():
        sandbox.control.change_key("sandbox-key", margin=False)
        async with Session(sandbox, verbose=True) as api:
            with pytest.raises(ccxt.PermissionDenied, match="margin is not enabled") as caught:
                await soon(api.watch_orders())
            told = [caught.value, caught.value.__cause__, caught.value.__context__]
            text = " ".join(repr(error) + str(getattr(error, "args", "")) for error in told)
            text += caplog.text + "".join(capsys.readouterr())
            for secret in ("sandbox-secret", "eyJ", "SIGNATURE'"):
                assert secret not in text
            # Allowed again, the next call works.
            sandbox.control.change_key("sandbox-key", margin=True)
            resting = seed(sandbox)
            assert shown(await soon(api.watch_orders())) == [(resting, "open", 0)]

    asyncio.run(scenario())


def test_headers_stay_with_their_connection(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            await asyncio.wait({asyncio.create_task(api.watch_orders())}, timeout=0.5)
            assert api.options["ws"]["options"]["headers"] == {}
            assert all(
                "headers" not in client.options or client.options["headers"] == {}
                for client in api.clients.values()
            )

    asyncio.run(scenario())


def test_an_exchange_that_stays_away_is_said_in_the_end(sandbox):
    async def scenario():
        nowhere = {"api": {"rest": "http://127.0.0.1:9/v3"}}
        async with Session(sandbox, urls=nowhere, options={"streamPatience": 0.8}) as api:
            with pytest.raises(ccxt.NetworkError, match="could not be reached"):
                await soon(api.watch_orders())

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


def test_a_sweep_believes_the_stream_where_it_is_first(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            known = [(SYMBOL, seed(sandbox)) for _ in range(20)]
            await asyncio.to_thread(sandbox.control.fill, known[0][1], fraction="0.5")
            await soon(api.watch_orders())
            sandbox.control.switches(latency_ms=60)
            sandbox.control.clear_requests()
            report = await api.cancel_and_confirm(SYMBOL, known)
            sandbox.control.switches(latency_ms=0)
            assert report.outcome.value == "confirmed"
            assert {order["id"]: order["filled"] for order in report.final_orders()} == {
                order_id: (0.005 if order_id == known[0][1] else 0) for _, order_id in known
            }
            sent = [line["method"] for line in sandbox.control.requests()]
            assert sent == ["DELETE", "GET"]

    asyncio.run(scenario())


def test_a_sweep_asks_the_lists_while_the_streams_are_away(sandbox):
    async def scenario():
        async with Session(sandbox) as api:
            known = [(SYMBOL, seed(sandbox)) for _ in range(3)]
            await soon(api.watch_orders())
            sandbox.parts.streams.drop("*")
            await asyncio.sleep(0.1)
            sandbox.control.clear_requests()
            report = await api.cancel_and_confirm(SYMBOL, known)
            assert len(report.final_orders()) == 3
            assert [line["method"] for line in sandbox.control.requests()] == [
                "DELETE",
                "GET",
                "GET",
            ]

    asyncio.run(scenario())
