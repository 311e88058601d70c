"""The benchmark runs and compares what it says. No time is asserted: machines differ."""

import json
import subprocess
import sys

import pytest

from tests.bench.children import ROOT, environment


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", *arguments],
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


def test_all_five_measurements_compare_both_sides(document):
    rows = document["rows"]
    assert {row["measurement"] for row in rows} == {1, 2, 3, 4, 5}
    for row in rows:
        assert row["ours"]["samples"], row["what"]
        assert row["others"], row["what"]
        for other in row["others"]:
            ratio = row["ours"]["seconds"] / other["seconds"]
            assert other["ours_to_theirs"] == pytest.approx(ratio)


def test_date_and_machine_are_told(document):
    assert {"date", "cpu", "cores", "python", "load"} <= set(document["machine"])


def test_a_sweep_asks_three_times_a_pair_and_once_for_balances(document):
    found = {row["what"]: row for row in document["rows"] if row["measurement"] == 3}
    one, two = found.values()
    assert one["ours"]["requests"] == 3 + 1
    # Cancel and open orders are asked once for all pairs, the ends once a pair.
    assert two["ours"]["requests"] == 2 + 2 + 1
    assert one["met"]
    assert two["met"]


def test_markdown_is_ready_to_paste():
    lines = run("--only", "2", "--markdown").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 2
    assert len({line.count("|") for line in table}) == 1
