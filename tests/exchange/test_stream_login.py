"""How a stream is signed and refused, and where its headers stay."""

import asyncio
import re

import ccxt
import pytest

from tests.exchange.streaming import SYMBOL, Session, seed, shown, silent, soon


def test_every_reconnect_is_signed_anew(sandbox):
    """The sandbox refuses a nonce that it has seen on that path."""

    async def scenario():
        async with Session(sandbox) as api:
            resting = seed(sandbox)
            await soon(api.watch_orders())
            for count in (4, 6, 8):
                sandbox.parts.streams.drop("*")
                for _ in range(20):
                    assert await silent(api.watch_orders(), 0.5)
                    lines = sandbox.control.requests()
                    dials = [line["status"] for line in lines if line["method"] == "WS"]
                    if len(dials) == count:
                        break
                assert dials == [101] * count
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
            for secret in ("sandbox-secret", "eyJ"):
                assert secret not in text
            # A REST call may have been logged; its headers are blanked.
            assert not re.search(r"SIGNATURE'\W+(?!\*\*\*)\w", text)
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
