"""A command leaves this machine once, whatever the HTTP library would like to do for us."""

import ccxt
import pytest

from bitopro_margin_ext.core.errors import Outcome
from bitopro_margin_ext.exchange.flow import failure_of

SYMBOL = "BTC/USDT"


@pytest.mark.parametrize(
    ("method", "args", "verb"),
    [
        ("cancel_all_orders", (), "DELETE"),
        ("cancel_all_orders", (SYMBOL,), "DELETE"),
        ("cancel_orders", (["1"], SYMBOL), "PUT"),
        ("cancel_order", ("1", SYMBOL), "DELETE"),
    ],
)
@pytest.mark.parametrize("kind", ["process_close", "close", "cut_off"])
def test_a_dropped_cancel_is_not_sent_again(connect, sandbox, method, args, verb, kind):
    """aiohttp repeats PUT and DELETE on a connection that it had kept: with the same nonce.

    The repetition would be refused, and the refusal taken for the fate of the first.
    """
    api = connect(sandbox.rest_url)
    api("fetch_balance")
    sandbox.control.add_fault(kind=kind, method=verb, times=None)
    sandbox.control.clear_requests()
    with pytest.raises(ccxt.NetworkError) as caught:
        api(method, *args)
    assert failure_of(caught.value).outcome is Outcome.UNKNOWN
    assert len(sandbox.control.requests()) == 1
