"""When the guard fires, over every order of looks that hypothesis can think of."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bitopro_margin_ext.guard.state import MISSES, Look, News, Phase, Rule, Standing, confirm, judge

FRESH = Standing()
RULE = Rule(after=30.0, interval=5.0, min_ad_ratio=Decimal("1.5"))

looks = st.builds(
    Look,
    elapsed=st.one_of(
        st.floats(0, 20, allow_nan=False), st.sampled_from([-3600.0, 0.0, 5.0, 86400.0])
    ),
    beat=st.one_of(st.none(), st.sampled_from(["a", "b", "c"])),
    ad_ratio=st.one_of(
        st.none(), st.sampled_from([Decimal("1"), Decimal("1.5"), Decimal("1.52"), Decimal("3")])
    ),
)
steps = st.lists(st.tuples(looks, st.booleans()), max_size=60)


def go(
    sequence: list[tuple[Look, bool]], standing: Standing = FRESH, rule: Rule = RULE
) -> tuple[Standing, list[News]]:
    told: list[News] = []
    for look, confirmed in sequence:
        standing, news = judge(standing, look, rule)
        told += news
        if standing.firing and confirmed:
            standing = confirm(standing)
    return standing, told


def silent(seconds: float = 5.0) -> tuple[Look, bool]:
    return Look(seconds, None), True


def beat(name: str) -> tuple[Look, bool]:
    return Look(5.0, name), True


@given(steps)
def test_an_event_is_told_once_and_ends_before_the_next(
    sequence: list[tuple[Look, bool]],
) -> None:
    _, told = go(sequence)
    for begins, ends in (
        (News.SILENT, (News.RETURNED, News.RETURNED_UNCONFIRMED)),
        (News.RATIO_LOW, (News.RATIO_RECOVERED, News.RATIO_RECOVERED_UNCONFIRMED)),
    ):
        own = [news for news in told if news is begins or news in ends]
        assert all((news is begins) is (place % 2 == 0) for place, news in enumerate(own))


@given(steps)
def test_it_fires_only_after_enough_silence_that_it_saw_itself(
    sequence: list[tuple[Look, bool]],
) -> None:
    standing, seen, misses = Standing(), 0.0, 0
    for look, confirmed in sequence:
        fresh = look.beat is not None and look.beat != standing.beat
        before = standing.heartbeat
        standing, _ = judge(standing, look, RULE)
        seen = 0.0 if fresh else seen + min(max(look.elapsed, 0.0), 2 * RULE.interval)
        misses = 0 if fresh else misses + 1
        if before is Phase.ARMED and standing.heartbeat is Phase.FIRING:
            assert seen >= RULE.after
            assert misses >= MISSES
        if standing.firing and confirmed:
            standing = confirm(standing)


@given(steps)
def test_nothing_more_is_cancelled_once_an_event_is_confirmed(
    sequence: list[tuple[Look, bool]],
) -> None:
    standing, _ = go([silent() for _ in range(10)])
    assert standing.heartbeat is Phase.FIRED
    for look, _ in sequence:
        standing, _ = judge(standing, look._replace(beat=None, ad_ratio=None), RULE)
        assert not standing.firing


@given(steps, st.sampled_from(["x", "y"]))
def test_a_new_beat_arms_it_again(sequence: list[tuple[Look, bool]], name: str) -> None:
    standing, _ = go(sequence)
    standing, _ = go([beat(name)], standing)
    assert standing.heartbeat is Phase.ARMED
    assert standing.silence == 0.0


def test_one_lost_look_does_not_fire_however_long_the_guard_slept() -> None:
    standing, told = go([beat("a"), (Look(86400.0, None), True), beat("b")], rule=RULE)
    assert told == []
    # Also where one look is longer than the patience.
    rule = Rule(after=3.0, interval=5.0)
    standing, told = go([beat("a"), silent(5.0), beat("b")], rule=rule)
    assert told == []
    assert standing.silence == 0.0


def test_a_beat_that_stays_the_same_is_silence() -> None:
    _, told = go([beat("a")] + [beat("a") for _ in range(6)])
    assert told == [News.SILENT]


def test_silence_goes_on_over_a_restart() -> None:
    standing, _ = go([beat("a"), *(silent() for _ in range(5))])
    restarted = standing._replace(misses=0)
    _, told = go([silent()], restarted)
    assert told == []
    _, told = go([silent(), silent()], restarted)
    assert told == [News.SILENT]


def test_a_bot_that_returns_is_left_its_orders() -> None:
    standing, told = go([(Look(5.0, None), False)] * 10 + [beat("b")])
    assert told == [News.SILENT, News.RETURNED_UNCONFIRMED]
    assert not standing.firing


def test_ad_ratio_fires_at_once_and_does_not_flutter() -> None:
    def ratio(value: str) -> tuple[Look, bool]:
        return Look(5.0, value, Decimal(value)), True

    sequence = [ratio("2"), ratio("1.49"), ratio("1.51"), ratio("1.48"), ratio("1.6")]
    _, told = go([*sequence, ratio("1.4")])
    assert told == [News.RATIO_LOW, News.RATIO_RECOVERED, News.RATIO_LOW]


def test_one_cancel_serves_both_causes() -> None:
    low = Look(5.0, None, Decimal("1"))
    standing, told = go([(low, False)] * 10)
    assert set(told) == {News.SILENT, News.RATIO_LOW}
    standing = confirm(standing)
    assert (standing.heartbeat, standing.ratio) == (Phase.FIRED, Phase.FIRED)
