"""One rising sequence of nonces for each key, and what is done when the exchange refuses one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bitopro_margin_ext.core import signing
from bitopro_margin_ext.core.calls import MAX_NONCE_RETRIES, Sleep, call
from bitopro_margin_ext.core.endpoints import BALANCES
from bitopro_margin_ext.core.errors import Failure, Meaning, classify
from bitopro_margin_ext.core.http_call import TURN_SECONDS
from bitopro_margin_ext.core.signing import Nonces, Signer, nonces_of

NOW = 1_800_000_000_000


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = NOW

    found = Clock()
    monkeypatch.setattr(signing, "_now_ms", lambda: found.now)
    return found


class Account:
    def __init__(self):
        self.clock_offset_ms = 0
        self.key_nonces = Nonces()


def test_they_only_rise_across_threads():
    start, nonces = threading.Barrier(8), Nonces()

    def many(_):
        start.wait()
        return [nonces.next() for _ in range(500)]

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(many, range(8)))
    assert all(run == sorted(run) for run in runs)
    assert len({nonce for run in runs for nonce in run}) == 8 * 500


def test_clients_whose_clocks_were_corrected_differently_share_a_rising_sequence(clock):
    nonces = Nonces()
    drawn = [nonces.next(offset) for offset in [0, -60_000, 500, 0, -60_000] * 50]
    assert drawn == sorted(set(drawn))


def test_a_clock_that_is_set_back_does_not_take_an_accepted_nonce_back(clock):
    nonces = Nonces()
    accepted = nonces.next()
    nonces.accepted.append(accepted)
    clock.now -= 3_600_000
    assert nonces.next() > accepted
    nonces.set_back(3_600_000)
    assert nonces.next() == accepted + 1


def test_nonces_that_were_refused_for_the_clock_are_not_followed(clock):
    nonces = Nonces()
    nonces.next(60_000)
    assert nonces.is_ahead(0)
    nonces.set_back(0)
    assert nonces.next(0) == NOW
    assert not nonces.is_ahead(0)


def test_accepted_nonces_beyond_the_exchanges_time_are_left_behind(clock):
    nonces = Nonces()
    nonces.accepted.append(nonces.next())
    nonces.set_back(-60_000)
    assert nonces.next(-60_000) == NOW - 60_000


def test_one_sequence_serves_a_key():
    assert nonces_of("a") is nonces_of("a")
    assert nonces_of("a") is not nonces_of("b")
    one, other = Signer("a", "s"), Signer("a", "s", "me@example.com", -60_000)
    one.headers(), other.headers()
    assert other.nonce > one.nonce


# -- refused nonces --------------------------------------------------------------------------------


def refused(offset_ms=None, status=409):
    failure = classify(status, '{"error": "Invalid nonce"}')
    return failure._replace(clock_offset_ms=offset_ms)


def play(account, *answers, timeout=5.0):
    flow, sent, answers = call(account, BALANCES, {}, timeout), 0, list(answers)
    try:
        step = next(flow)
        while True:
            if isinstance(step, Sleep):
                assert step.seconds < 1
                step = flow.send(None)
                continue
            sent += 1
            account.key_nonces.next(account.clock_offset_ms)
            step = flow.send(answers.pop(0) if len(answers) > 1 else answers[0])
    except StopIteration as stop:
        return stop.value, sent


@pytest.mark.parametrize("shown", [-900, -6, 0, 6, 900, None])
def test_a_clash_on_a_right_clock_is_retried_and_no_offset_kept(shown):
    account = Account()
    answer, sent = play(account, refused(shown), refused(shown), {"ok": 1})
    assert (answer, sent) == ({"ok": 1}, 3)
    assert account.clock_offset_ms == 0
    assert account.key_nonces.is_ordered


@pytest.mark.parametrize("shown", [-6, 900])
def test_a_clash_that_stays_names_the_other_process(shown):
    account = Account()
    answer, sent = play(account, refused(shown))
    assert isinstance(answer, Failure)
    assert answer.meaning is Meaning.NONCE
    assert "another process uses this API key" in answer.text
    assert "clock" not in answer.text
    assert sent == 1 + MAX_NONCE_RETRIES
    assert account.clock_offset_ms == 0


def test_without_a_date_both_causes_are_named():
    answer, _ = play(Account(), refused(None))
    assert "another process" in answer.text
    assert "clock is off" in answer.text


@pytest.mark.parametrize("offset", [-60_000, 60_000, 1_500])
def test_a_wrong_clock_is_corrected_once(offset):
    account = Account()
    answer, sent = play(account, refused(offset), {"ok": 1})
    assert (answer, sent) == ({"ok": 1}, 2)
    assert account.clock_offset_ms == offset
    assert not account.key_nonces.is_ordered


def test_a_correction_that_does_not_help_is_taken_back():
    account = Account()
    account.clock_offset_ms = 250
    answer, sent = play(account, refused(60_000))
    assert "60000 ms behind the exchange's; set it by NTP" in answer.text
    # The correction, and once more with the clock as it was.
    assert sent == 3
    assert account.clock_offset_ms == 250


def test_a_clock_that_is_right_again_leaves_refused_nonces_behind():
    account = Account()
    # Another client of the key still had the wrong clock.
    account.key_nonces.next(3_600_000)
    answer, _ = play(account, refused(0), {"ok": 1})
    assert answer == {"ok": 1}
    assert account.key_nonces.next() - time.time() * 1000 < 1000


def test_the_retries_end_with_the_time():
    answer, sent = play(Account(), refused(0), timeout=-1.0)
    assert sent == 1
    assert answer.meaning is Meaning.NONCE


def test_a_call_that_hangs_keeps_its_turn_for_a_moment_only():
    """Whatever a read waits for, a cancel must go out."""
    nonces = Nonces()
    nonces.keep_in_order()
    hanging = nonces.take_turn(0)
    assert hanging is not None
    begun = time.monotonic()
    assert nonces.take_turn(0) is None
    cancel = nonces.take_turn(10)
    assert cancel is not None
    assert TURN_SECONDS / 2 < time.monotonic() - begun < 5
    # The end of the one that hung is not the end of the turn that followed it.
    hanging.release()
    assert nonces.take_turn(0) is None
    cancel.release()
    third = nonces.take_turn(0)
    assert third is not None
    third.release()
