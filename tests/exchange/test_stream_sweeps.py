"""A sweep beside the order streams: which of the two it believes."""

import asyncio

from tests.exchange.streaming import SYMBOL, Session, seed, soon


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
