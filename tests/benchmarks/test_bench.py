"""The benchmark runs and compares what it says. No time is asserted: machines differ."""

import json
import subprocess
import sys

import pytest

from tests.benchmarks.children import ROOT, environment
from tests.benchmarks.machine import Machine
from tests.benchmarks.readings import Contender, Row, Sample
from tests.benchmarks.tables import as_markdown

pytestmark = pytest.mark.timeout(600)


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def document() -> dict:
    return json.loads(run("--json"))


def test_all_five_measurements_are_made(document):
    rows = document["rows"]
    assert {row["measurement"] for row in rows} == {1, 2, 3, 4, 5}
    for row in rows:
        assert row["ours"]["samples"], row["what"]
        assert row["others"] or row["measurement"] == 5, row["what"]
        for other in row["others"]:
            ratio = row["ours"]["seconds"] / other["seconds"]
            assert other["ours_to_theirs"] == pytest.approx(ratio)


def test_date_and_machine_are_told(document):
    assert {"date", "cpu", "cores", "python", "load"} <= set(document["machine"])


def test_exits_are_compared_with_the_floor_and_with_other_ways(document):
    one, two = (row for row in document["rows"] if row["measurement"] == 2)
    for row in (one, two):
        assert [other["name"] for other in row["others"]] == ["floor", "Freqtrade", "one by one"]
    # Cancel and open orders are asked once for all pairs, the ends once a pair; the exit and the
    # balances come after.
    assert one["ours"]["requests"] - 1 <= two["ours"]["requests"] - 2


def test_the_table_is_ready_to_paste():
    ours = Contender("ours", lambda: Sample(0.0), [Sample(0.5, 3), Sample(0.1, 3), Sample(0.2, 3)])
    slow = Contender("theirs", lambda: Sample(0.0), [Sample(0.4)])
    left_out = Contender("others", lambda: Sample(0.0), dropped="left out")
    machine = Machine("today", "a CPU", 2, "3.11", "4.5", "2026.9", 0.1)
    table = as_markdown(machine, [Row(3, "sweep", 50, ours, [slow, left_out], "less", True)])
    assert table.splitlines()[-1] == (
        "| 3 | sweep | 50 ms | 200 ms (4.0 round trips, 3 requests, n=3)"
        " | theirs 400 ms (8.0 round trips, n=1): 0.5x; others: left out | less: met |"
    )
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
