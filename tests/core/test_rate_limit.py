import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from bitopro_margin_ext.core.endpoints import (
    BALANCES,
    CANCEL_ALL,
    CANCEL_BATCH,
    CANCEL_ORDER,
    CANCEL_PAIR,
    CREATE_BATCH,
    ENDPOINTS,
    OPEN_ORDERS,
    OPEN_ORDERS_FALLBACK,
)
from bitopro_margin_ext.core.rate_limit import (
    ARRIVAL_MARGIN_SECONDS,
    CancelAllLimiter,
    RateLimiter,
    RateLimits,
    limiter_of,
    limits_of,
)


class Clock:
    now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def leave(limits, clock, endpoint, count):
    """The moments at which so many calls leave, one after the other."""
    moments = []
    for _ in range(count):
        clock.now += limits.try_reserve(endpoint)
        moments.append(clock.now)
    return moments


def test_the_first_leaves_at_once_then_one_a_second(clock):
    limiter = CancelAllLimiter(clock)
    first, second, third = (limiter.try_reserve() for _ in range(3))
    assert first == 0
    assert 1 < second < 1.2
    assert third == pytest.approx(2 * second)
    clock.now += 3 * second - 0.5
    assert limiter.try_reserve() == pytest.approx(0.5)
    clock.now += 100
    assert limiter.try_reserve() == 0


def test_what_arrives_late_counts_from_then(clock):
    limiter = CancelAllLimiter(clock)
    limiter.try_reserve()
    clock.now += 0.4
    limiter.arrived()
    assert limiter.wait() == pytest.approx(1.1)


def test_looking_takes_no_turn(clock):
    limiter = RateLimiter(1, 1 - ARRIVAL_MARGIN_SECONDS, clock)
    limiter.try_reserve()
    assert [limiter.wait(), limiter.wait(), limiter.try_reserve()] == [1, 1, 1]


def test_a_wait_that_is_too_long_takes_no_turn(clock):
    limiter = RateLimiter(1, 1 - ARRIVAL_MARGIN_SECONDS, clock)
    assert limiter.try_reserve(0.1) == 0
    assert limiter.try_reserve(0.9) is None
    assert limiter.try_reserve(math.inf) == 1
    assert limiter.try_reserve(0) is None


def test_threads_get_turns_of_their_own(clock):
    limiter = RateLimiter(1, 1 - ARRIVAL_MARGIN_SECONDS, clock)
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: limiter.try_reserve(), range(40)))
    assert waits == pytest.approx(range(40))


@pytest.mark.parametrize(
    ("endpoint", "burst", "window"),
    [
        (BALANCES, 600, 60),
        (OPEN_ORDERS, 5, 1),
        (CANCEL_BATCH, 2, 1),
        (CREATE_BATCH, 90, 60),
        (CANCEL_ALL, 1, 1),
        (CANCEL_ORDER, 600, 60),
    ],
)
def test_a_burst_then_the_pace_of_the_documented_window(clock, endpoint, burst, window):
    moments = leave(RateLimits(clock), clock, endpoint, burst * 3)
    assert moments[burst - 1] == moments[0], "the burst leaves at once"
    for first, last in zip(moments, moments[burst:], strict=False):
        assert window < last - first < window + 0.2


def test_the_general_limit_counts_every_call(clock):
    limits = RateLimits(clock)
    for _ in range(600):
        assert limits.try_reserve(BALANCES) == 0
    assert limits.try_reserve(OPEN_ORDERS, 5) is None
    # An emergency waits for its own limit only.
    assert limits.try_reserve(CANCEL_ALL, 5) == 0
    assert limits.try_reserve(CANCEL_PAIR, 5) == pytest.approx(1.1)


def test_two_spellings_of_a_path_share_a_limit(clock):
    limits = RateLimits(clock)
    for endpoint in (OPEN_ORDERS, OPEN_ORDERS_FALLBACK) * 2:
        assert limits.try_reserve(endpoint) == 0
    assert limits.try_reserve(OPEN_ORDERS) == 0
    assert limits.wait(OPEN_ORDERS_FALLBACK) > 0


def test_every_documented_limit_is_understood():
    assert all(limiter_of(endpoint.limit) for endpoint in ENDPOINTS)
    with pytest.raises(ValueError, match="is no limit"):
        limiter_of("often")


def test_one_set_of_limits_serves_all_clients_of_a_host():
    assert limits_of("https://a.example/v3") is limits_of("https://a.example")
    assert limits_of("https://a.example") is not limits_of("https://b.example")
