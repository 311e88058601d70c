"""A sweep keeps its own pace: each endpoint's documented limit, and no queue before it."""

import time

from .conftest import seed


def test_a_sweep_does_not_wait_for_what_the_throttle_would_have_it_wait(connect, sandbox, control):
    seed(control)
    api = connect(sandbox.rest_url, rateLimit=100)
    control.clear_requests()
    began = time.monotonic()
    report = api("cancel_and_confirm", "BTC/USDT", [], 10)
    elapsed = time.monotonic() - began
    assert report.requests == 2
    # The throttle would hold the list of open orders back for 0.2 s after the cancel.
    first, second = (line["time_ms"] for line in control.requests())
    assert second - first < 150
    assert elapsed < 1


def test_other_calls_keep_to_the_throttle(connect, sandbox, control):
    api = connect(sandbox.rest_url, rateLimit=100)
    control.clear_requests()
    for _ in range(3):
        api("fetch_balance")
    times = [line["time_ms"] for line in control.requests()]
    assert times[-1] - times[0] >= 150


def test_calls_of_several_objects_keep_to_one_documented_limit(connect, sandbox, control):
    """Five lists of open orders a second, whatever ``rateLimit`` says and whoever asks."""
    seed(control)
    apis = [connect(sandbox.rest_url, rateLimit=1) for _ in range(2)]
    control.clear_requests()
    for turn in range(6):
        apis[turn % 2]("fetch_open_orders", "BTC/USDT")
    assert apis[0]("cancel_and_confirm", "BTC/USDT", [], 10).outcome == "confirmed"
    times = [line["time_ms"] for line in control.requests() if line["path"].endswith("/open")]
    assert len(times) == 7
    assert all(after - before >= 1000 for before, after in zip(times, times[5:], strict=False))


def test_a_cancel_all_that_was_given_up_counts_from_then(connect, sandbox, control):
    """It may have connected late: the next one keeps its second from the latest moment."""
    seed(control)
    api = connect(sandbox.rest_url)
    control.add_fault("delay", method="DELETE", path="/margin/orders/*", seconds=1)
    api("cancel_and_confirm", "BTC/USDT", [], 0.6)
    assert api.exchange.rate_limits.cancel_all.wait() > 0.8
