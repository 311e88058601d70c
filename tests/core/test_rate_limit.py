import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from bitopro_margin_ext.core import rate_limit
from bitopro_margin_ext.core.rate_limit import CancelAllLimiter, cancel_all_limiter


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 50.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(rate_limit, "time", found)
    return found


def test_the_first_leaves_at_once_then_one_a_second(clock):
    limiter = CancelAllLimiter()
    first, second, third = (limiter.reserve() for _ in range(3))
    assert first == 0
    assert 1 < second < 1.2
    assert third == pytest.approx(2 * second)
    clock.now += 3 * second - 0.5
    assert limiter.reserve() == pytest.approx(0.5)
    clock.now += 100
    assert limiter.reserve() == 0


def test_looking_takes_no_slot(clock):
    limiter = CancelAllLimiter(1)
    limiter.reserve()
    assert [limiter.wait(), limiter.wait(), limiter.reserve()] == [1, 1, 1]


def test_a_wait_that_is_too_long_takes_no_slot(clock):
    limiter = CancelAllLimiter(1)
    assert limiter.reserve_within(0.1) == 0
    assert limiter.reserve_within(0.9) is None
    assert limiter.reserve_within(math.inf) == 1
    assert limiter.reserve_within(0) is None


def test_threads_get_slots_of_their_own(clock):
    limiter = CancelAllLimiter(1)
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: limiter.reserve(), range(40)))
    assert waits == pytest.approx(range(40))


def test_one_limiter_serves_all_clients_of_a_host():
    assert cancel_all_limiter("a.example") is cancel_all_limiter("a.example")
    assert cancel_all_limiter("a.example") is not cancel_all_limiter("b.example")
