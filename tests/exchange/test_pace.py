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
