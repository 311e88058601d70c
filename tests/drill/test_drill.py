"""The drill as a user runs it: a real freqtrade process, both emergencies, both sides compared."""

import json
import os
import subprocess
import sys

import pytest

from .matrix import choose_faults, play_matrix


def drill(*arguments, timeout=240):
    return subprocess.run(
        [sys.executable, "-m", "bitopro_margin_ext", "drill", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("scope", "ways"),
    # The other way on the pair alone is in the matrix below.
    [("pair", ["exit-timeout"]), ("all", ["stop-rejected", "exit-timeout"])],
)
def test_both_emergencies_end_in_agreement(scope, ways):
    played = drill("--scope", scope, "--scenario", ways[0] if len(ways) == 1 else "all")
    assert played.returncode == 0, played.stderr[-3000:] + played.stdout[-3000:]
    verdicts = json.loads(played.stdout)
    assert [verdict["scenario"] for verdict in verdicts] == ways
    for verdict in verdicts:
        assert verdict["agrees"]
        assert verdict["position_closed"]
        assert verdict["complaints"] == []
        assert len(verdict["rows"]) >= 6
        assert all(row["agrees"] for row in verdict["rows"])
        swept = [row for row in verdict["rows"] if "emergency" in row["cancel_reason"]]
        assert swept
        assert verdict["outcome"] == "confirmed"
        assert verdict["error"] is None
    assert "both sides agree" in played.stderr


@pytest.mark.timeout(300)
def test_the_matrix_judges_each_fault_on_both_emergencies_and_scopes():
    faults = choose_faults("process-close,401")
    cells = play_matrix(faults, ["stop-rejected"], jobs=2)
    assert len(cells) == 2 * 2
    assert all(cell.agrees and not cell.unmet for cell in cells), cells
    # A refused key leaves the orders where they are, and the bot says so.
    assert {cell.fault for cell in cells if cell.remaining} <= {"401"}


def test_what_moved_to_the_tests_is_no_option_any_more():
    for gone in (["--faults", "nope"], ["--matrix"], ["--jobs", "3"]):
        played = drill(*gone)
        assert played.returncode == 2
        assert f"unknown option {gone[0]}" in played.stderr
        assert json.loads(played.stdout)["outcome"] == "refused"
