"""What the README shows is what happens."""

import re
from pathlib import Path

import pytest

from .document import README, home_of, session_block
from .sessions import SESSIONS, comparable, play


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_in_the_readme_is_what_the_command_prints(name: str, tmp_path: Path) -> None:
    shown = session_block(home_of(name).read_text(), name)

    assert comparable(shown) == comparable(play(name, tmp_path.resolve()))


@pytest.mark.parametrize(
    ("shown", "played", "alike"),
    [
        ("ok    ccxt: 4.5.4 (needs >=4.5.4)", "ok    ccxt: 4.5.90 (needs >=4.5.4)", True),
        ("ok    ccxt: 4.5.90 (needs >=4.5.90)", "ok    ccxt: 4.5.90 (needs >=4.5.4)", False),
        ("an exit that times out 3 times", "an exit that times out 2 times", False),
        ("(2 requests, 10 ms)", "(2 requests, 7 ms)", True),
        ("(2 requests, 10 ms)", "(3 requests, 10 ms)", False),
        ("buy  canceled (filled 0 of 0.01)", "buy  canceled (filled 0 of 0.02)", False),
    ],
)
def test_numbers_are_compared_unless_they_differ_from_run_to_run(
    shown: str, played: str, alike: bool
) -> None:
    assert (comparable([shown]) == comparable([played])) is alike


def test_the_doctors_session_shows_what_is_required() -> None:
    required = Path(__file__).parents[2].joinpath("setup.cfg").read_text()
    shown = "\n".join(session_block(README.read_text(), "doctor"))
    for name in ("ccxt", "freqtrade"):
        wanted = next(
            line.strip().removeprefix(name)
            for line in required.splitlines()
            if line.strip().startswith(f"{name}>")
        )
        assert f"ok    {name}: " in shown
        assert f"(needs {wanted})" in shown


def test_the_readme_is_short() -> None:
    # The reference, the benchmarks and the controls of the sandbox have pages of their own.
    assert len(README.read_text().split()) <= 2200


def test_links_lead_somewhere() -> None:
    text = README.read_text()
    files = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [name for name in files if not (README.parent / name).exists()] == []
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    anchors = set(re.findall(r"\]\(#([^)]+)", text))
    assert anchors
    assert anchors <= headings
