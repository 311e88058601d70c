"""The drill as a user runs it: a real freqtrade process, both emergencies, both sides compared."""

import json
import os
import subprocess
import sys

import pytest


def drill(*arguments, timeout=240):
    return subprocess.run(
        [sys.executable, "-m", "bitopro_margin_ext", "drill", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("scope", ["pair", "all"])
def test_both_emergencies_end_in_agreement(scope):
    played = drill("--scope", scope)
    assert played.returncode == 0, played.stderr[-3000:] + played.stdout[-3000:]
    verdicts = json.loads(played.stdout)
    assert [verdict["scenario"] for verdict in verdicts] == ["stop-rejected", "exit-timeout"]
    for verdict in verdicts:
        assert verdict["agrees"]
        assert verdict["position_closed"]
        assert verdict["complaints"] == []
        assert len(verdict["rows"]) >= 6
        assert all(row["agrees"] for row in verdict["rows"])
        swept = [row for row in verdict["rows"] if "emergency" in row["cancel_reason"]]
        # Where a refused stoploss leaves nothing of the bot's on the pair, nothing of it is swept.
        assert swept or (scope == "pair" and verdict["scenario"] == "stop-rejected")
    assert "both sides agree" in played.stderr


def test_the_matrix_judges_each_fault_on_both_emergencies_and_scopes():
    played = drill("--matrix", "--faults", "process-close,401", "--jobs", "4")
    assert played.returncode == 0, played.stderr[-3000:]
    cells = json.loads(played.stdout)["cells"]
    assert len(cells) == 2 * 2 * 2
    assert all(cell["agrees"] and not cell["unmet"] for cell in cells)
    # A refused key leaves the orders where they are, and the bot says so.
    assert {cell["fault"] for cell in cells if cell["remaining"]} == {"401"}


def test_a_fault_that_does_not_exist_is_a_usage_error():
    played = drill("--matrix", "--faults", "gremlins")
    assert played.returncode == 2
    assert "no fault 'gremlins'" in played.stderr
    assert played.stdout == ""
