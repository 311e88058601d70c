"""A stream that does not stay is dialled at a pace, whoever asks for it, and loses nothing."""

import asyncio
import contextlib
import time
from decimal import Decimal

import ccxt
import pytest

from bitopro_margin_ext.exchange import pro_connection
from bitopro_margin_ext.exchange.pro_connection import MAX_REDIAL_DELAY, SETTLED_AFTER, Redial
from tests.exchange.streaming import SYMBOL, Session, seed, shown, soon


@pytest.fixture
def quick(monkeypatch):
    """The first waits are a third of what they are, and three seconds are one."""
    monkeypatch.setattr(pro_connection, "BASE_REDIAL_DELAY", 0.5 / 3)


def dials(sandbox, path="*"):
    lines = [line for line in sandbox.control.requests() if line["method"] == "WS"]
    return [line for line in lines if path in ("*", line["path"].removeprefix("/ws/v1/pub"))]


def test_each_dial_doubles_the_wait_until_a_connection_has_lived():
    redial, now, waits = Redial(), 1000.0, []
    for _ in range(12):
        waits.append(redial.reserve(now))
        now += waits[-1]
    assert waits[0] == 0
    for number, wait in enumerate(waits[1:]):
        whole = min(MAX_REDIAL_DELAY, 0.5 * 2**number)
        assert whole / 2 <= wait <= whole
    # It lives for a while, drops, and is dialled at once; then as in the beginning.
    now += MAX_REDIAL_DELAY + SETTLED_AFTER
    assert redial.reserve(now) == 0
    assert redial.reserve(now) <= 0.5


def test_waits_differ_from_client_to_client():
    pairs = {(redial.reserve(0.0), redial.reserve(0.0)) for redial in (Redial() for _ in range(9))}
    assert len(pairs) == 9


def test_the_exchanges_own_wait_counts():
    redial = Redial()
    redial.reserve(0.0)
    redial.hold_back(0.0, 7.0)
    assert redial.reserve(0.0) == 7.0
    redial.hold_back(0.0, 10_000.0)
    assert redial.reserve(0.0) <= MAX_REDIAL_DELAY


WATCHED = {
    "watch_orders": ("/auth/margin/orders", (SYMBOL,)),
    "watch_my_trades": ("/auth/margin/margin/user-trades", (SYMBOL,)),
    "watch_balance": ("/auth/margin/account-info", ()),
    "watch_mark_price": ("/margin/mark-price", (SYMBOL,)),
}
REFUSALS = {
    "accepted and closed": {"kind": "close_after_accept"},
    "login refused": {"kind": "status", "status": 401},
    "unavailable": {"kind": "status", "status": 503},
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("method", WATCHED)
def test_a_stream_that_does_not_stay_is_not_hammered(sandbox, method, refusal):
    path, args = WATCHED[method]
    if REFUSALS[refusal]["kind"] == "status":
        sandbox.parts.streams.refusals.extend([REFUSALS[refusal]["status"]] * 10_000)
    else:
        sandbox.control.add_fault(path="*", times=None, method="WS", **REFUSALS[refusal])

    async def scenario():
        async with Session(sandbox) as api:
            end = time.monotonic() + 1
            calls = 0
            # As users do who try again whatever is raised.
            while time.monotonic() < end and calls < 10_000:
                calls += 1
                with contextlib.suppress(ccxt.BaseError, TimeoutError):
                    async with asyncio.timeout(end - time.monotonic()):
                        await getattr(api, method)(*args)
            return calls

    calls = asyncio.run(scenario())
    count = len(dials(sandbox, path))
    assert 2 <= count <= 5
    # Each call that was raised in had its dial: nobody spins.
    assert calls <= len(dials(sandbox)) + 1


@pytest.mark.usefixtures("quick")
def test_inherited_streams_are_not_hammered_either(sandbox):
    sandbox.control.add_fault("close_after_accept", path="*", times=None, method="WS")

    async def scenario():
        async with Session(sandbox, options={"defaultType": "spot"}) as api:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                with contextlib.suppress(ccxt.BaseError, TimeoutError):
                    async with asyncio.timeout(end - time.monotonic()):
                        await api.watch_balance()

    asyncio.run(scenario())
    assert 2 <= len(dials(sandbox)) <= 5


@pytest.mark.usefixtures("quick")
def test_closing_calls_a_waiting_dial_off(sandbox):
    sandbox.control.add_fault("close_after_accept", path="*", times=None, method="WS")

    async def scenario():
        async with Session(sandbox) as api:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.4):
                    await api.watch_orders()
            await api.close()
            before = len(dials(sandbox))
            await asyncio.sleep(1)
            assert len(dials(sandbox)) == before

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["silent", "drop_pushes", "reorder"])
def test_messages_that_are_lost_or_late_are_made_up_for(sandbox, kind):
    """Whatever the streams do, every order's end arrives, each state once and none backwards."""
    options = {"messages": 1} if kind == "silent" else {}
    sandbox.control.add_fault(kind, path="*/auth/margin/orders*", times=None, **options)

    async def scenario():
        async with Session(sandbox, options={"streamResync": 0.5}) as api:
            cancelled, filled, part = (seed(sandbox) for _ in range(3))
            await soon(api.watch_orders())
            await asyncio.to_thread(sandbox.control.fill, part, fraction="0.25")
            await asyncio.to_thread(sandbox.control.cancel, cancelled)
            await asyncio.to_thread(sandbox.control.fill, filled)
            await asyncio.to_thread(sandbox.control.fill, part, fraction="0.25")
            seen = {}
            ends = {
                cancelled: ("canceled", 0),
                filled: ("closed", 0.01),
                part: ("open", 0.005),
            }
            while seen != ends:
                for order_id, status, fill in shown(await soon(api.watch_orders())):
                    assert seen.get(order_id) != (status, fill), "said twice"
                    assert fill >= seen.get(order_id, ("", 0))[1], "a fill was taken back"
                    seen[order_id] = (status, fill)

    asyncio.run(scenario())


@pytest.mark.parametrize("number", [float, str, Decimal])
def test_fills_grow_in_every_number_type(sandbox, number):
    """As texts, 10 is before 9."""

    async def scenario():
        async with Session(sandbox, number=number) as api:
            order = seed(sandbox, amount="20", price="1")
            await soon(api.watch_orders())
            for fraction, filled in (("0.45", "9"), ("0.05", "10"), ("0.45", "19")):
                await asyncio.to_thread(sandbox.control.fill, order, fraction=fraction)
                (found,) = await soon(api.watch_orders())
                assert Decimal(str(found["filled"])) == Decimal(filled)
                assert isinstance(found["filled"], number)

    asyncio.run(scenario())
