"""When the guard fires, over every order of observations that hypothesis can think of."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bitopro_margin_ext.guard.state import (
    MISSES,
    RECOVERY,
    Debt,
    Event,
    Observation,
    Phase,
    Rule,
    WatchState,
    confirm,
    update,
)

MINIMUM = Decimal("1.5")
RULE = Rule(after=30.0, interval=5.0, min_ad_ratio=MINIMUM)
NEVER_SEEN = WatchState()
ALIVE = WatchState(beat="z", heartbeat=Phase.ARMED)

BEGINNINGS = {
    Event.SILENT: (Event.RETURNED, Event.RETURNED_UNCONFIRMED),
    Event.RATIO_LOW: (Event.RATIO_RECOVERED, Event.RATIO_RECOVERED_UNCONFIRMED),
}

observations = st.builds(
    Observation,
    elapsed=st.one_of(
        st.floats(0, 20, allow_nan=False), st.sampled_from([-3600.0, 0.0, 5.0, 86400.0])
    ),
    beat=st.one_of(st.none(), st.sampled_from(["a", "b", "c"])),
    ad_ratio=st.one_of(
        st.none(),
        st.just(Debt.NONE),
        st.sampled_from([Decimal(0), Decimal("1"), Decimal("1.5"), Decimal("1.53"), Decimal("3")]),
    ),
    stale=st.booleans(),
)
steps = st.lists(st.tuples(observations, st.booleans()), max_size=60)
starts = st.sampled_from([NEVER_SEEN, ALIVE])


def go(
    sequence: list[tuple[Observation, bool]], state: WatchState = ALIVE, rule: Rule = RULE
) -> tuple[WatchState, list[Event]]:
    """Apply observations; each is followed by a cancel that is confirmed, or is not."""
    heard: list[Event] = []
    for seen, confirmed in sequence:
        state, events = update(state, seen, rule)
        heard += events
        if state.firing and confirmed:
            state = confirm(state)
    return state, heard


def silent(seconds: float = 5.0) -> tuple[Observation, bool]:
    return Observation(seconds, None), True


def beat(name: str, *, stale: bool = False) -> tuple[Observation, bool]:
    return Observation(5.0, name, stale=stale), True


def ratio(value: object) -> tuple[Observation, bool]:
    return Observation(0.0, None, value if value in (None, Debt.NONE) else Decimal(value)), True


# -- every order of events ---------------------------------------------------------------------


@given(starts, steps)
def test_an_event_is_reported_once_and_ends_before_the_next(
    state: WatchState, sequence: list[tuple[Observation, bool]]
) -> None:
    _, heard = go(sequence, state)
    for begins, ends in BEGINNINGS.items():
        own = [event for event in heard if event is begins or event in ends]
        assert all((event is begins) is (place % 2 == 0) for place, event in enumerate(own))


@given(starts, steps)
def test_it_fires_only_after_enough_silence_that_it_saw_itself(
    state: WatchState, sequence: list[tuple[Observation, bool]]
) -> None:
    seen, misses = 0.0, 0
    for look, confirmed in sequence:
        before = state
        state, _ = update(state, look, RULE)
        new = look.beat is not None and look.beat != before.beat
        # The first beat of all is no life if it is an old one.
        first = before.heartbeat is Phase.WAITING and before.beat is None
        alive = new and not (first and look.stale)
        seen = 0.0 if alive else seen + min(max(look.elapsed, 0.0), 2 * RULE.interval)
        misses = 0 if alive else misses + 1
        if before.heartbeat is not Phase.FIRING and state.heartbeat is Phase.FIRING:
            assert before.heartbeat is Phase.ARMED
            assert seen >= RULE.after
            assert misses >= MISSES
        if state.firing and confirmed:
            state = confirm(state)


@given(st.lists(st.tuples(observations, st.booleans()), max_size=60))
def test_a_bot_that_was_never_seen_alive_is_left_alone(
    sequence: list[tuple[Observation, bool]],
) -> None:
    """None at all, or for ever the same old one: nothing shows that the bot is dead."""
    old = [(look._replace(beat=look.beat and "old", stale=True), ok) for look, ok in sequence]
    state, heard = go(old, NEVER_SEEN, RULE._replace(min_ad_ratio=None))
    assert state.heartbeat is Phase.WAITING
    assert set(heard) <= {Event.NEVER_SEEN}


@given(steps)
def test_nothing_more_is_cancelled_once_an_event_is_confirmed(
    sequence: list[tuple[Observation, bool]],
) -> None:
    state, _ = go([silent() for _ in range(10)])
    assert state.heartbeat is Phase.FIRED
    for look, _ in sequence:
        state, _ = update(state, look._replace(beat=None, ad_ratio=None), RULE)
        assert not state.firing


@given(starts, steps, st.sampled_from(["x", "y"]))
def test_a_new_beat_arms_it_again(
    state: WatchState, sequence: list[tuple[Observation, bool]], name: str
) -> None:
    state, _ = go(sequence, state)
    state, _ = go([beat(name)], state)
    assert state.heartbeat is Phase.ARMED
    assert state.silence == 0.0


@given(starts, steps, st.sampled_from([Debt.NONE, MINIMUM * RECOVERY, Decimal(10)]))
def test_a_fall_after_every_end_of_the_last_one_fires_again(
    state: WatchState, sequence: list[tuple[Observation, bool]], end: object
) -> None:
    state, _ = go(sequence, state)
    state, _ = go([ratio(end)], state)
    assert state.ratio is Phase.ARMED
    _, heard = go([ratio("1.49")], state)
    assert Event.RATIO_LOW in heard


@given(starts, steps)
def test_what_could_not_be_read_changes_nothing_about_the_ratio(
    state: WatchState, sequence: list[tuple[Observation, bool]]
) -> None:
    state, _ = go(sequence, state)
    after, _ = update(state, Observation(1.0, None, None), RULE)
    assert after.ratio is state.ratio


# -- examples ----------------------------------------------------------------------------------


def test_it_arms_at_the_first_fresh_beat_or_the_first_change() -> None:
    assert go([beat("a")], NEVER_SEEN)[1] == [Event.ALIVE]
    state, heard = go([beat("a", stale=True), silent()], NEVER_SEEN)
    assert (state.heartbeat, heard) == (Phase.WAITING, [])
    assert go([beat("b", stale=True)], state)[1] == [Event.ALIVE]


def test_a_bot_that_never_shows_up_is_reported_once() -> None:
    state, heard = go([silent()] * 40, NEVER_SEEN)
    assert heard == [Event.NEVER_SEEN]
    assert not state.firing


def test_one_lost_look_does_not_fire_however_long_the_guard_slept() -> None:
    state, heard = go([beat("a"), (Observation(86400.0, None), True), beat("b")])
    assert heard == []
    # Also where one look is longer than the patience.
    rule = Rule(after=3.0, interval=5.0)
    state, heard = go([beat("a"), silent(5.0), beat("b")], rule=rule)
    assert heard == []
    assert state.silence == 0.0


def test_a_beat_that_stays_the_same_is_silence() -> None:
    _, heard = go([beat("a")] + [beat("a") for _ in range(6)])
    assert heard == [Event.SILENT]


def test_silence_goes_on_over_a_restart() -> None:
    state, _ = go([beat("a"), *(silent() for _ in range(5))])
    restarted = state._replace(misses=0)
    assert go([silent()], restarted)[1] == []
    assert go([silent(), silent()], restarted)[1] == [Event.SILENT]


def test_a_bot_that_returns_is_left_its_orders() -> None:
    state, heard = go([(Observation(5.0, None), False)] * 10 + [beat("b")])
    assert heard == [Event.SILENT, Event.RETURNED_UNCONFIRMED]
    assert not state.firing


def test_ad_ratio_fires_at_once_and_does_not_flutter() -> None:
    falls = [ratio(value) for value in ("2", "1.49", "1.51", "1.48", "1.6", "1.4")]
    assert go(falls)[1] == [Event.RATIO_LOW, Event.RATIO_RECOVERED, Event.RATIO_LOW]


def test_a_debt_that_is_repaid_ends_the_event_and_the_next_fall_fires() -> None:
    falls = [ratio(value) for value in ("1.4", None, Debt.NONE, None, "1.3")]
    assert go(falls)[1] == [Event.RATIO_LOW, Event.RATIO_RECOVERED, Event.RATIO_LOW]


def test_an_event_of_a_minimum_that_is_no_longer_asked_for_is_dropped() -> None:
    state = ALIVE._replace(ratio=Phase.FIRING)
    assert not go([beat("b")], state, RULE._replace(min_ad_ratio=None))[0].firing


def test_one_cancel_serves_both_causes() -> None:
    low = Observation(5.0, None, Decimal("1"))
    state, heard = go([(low, False)] * 10)
    assert set(heard) == {Event.SILENT, Event.RATIO_LOW}
    state = confirm(state)
    assert (state.heartbeat, state.ratio) == (Phase.FIRED, Phase.FIRED)
