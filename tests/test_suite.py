"""The suite itself ends, whatever it is started with."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

CHILD = """
import signal, subprocess, sys
def test_a_child_can_be_interrupted():
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; print('up', flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    assert child.wait(10) != 0
    child.stdout.close()
"""


def test_children_can_be_interrupted_though_the_suite_ignores_it(tmp_path):
    (tmp_path / "test_child.py").write_text(CHILD)
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    ignoring = "import signal, runpy, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    ignoring += "sys.argv = ['pytest', '-q', '-p', 'no:cacheprovider', 'test_child.py']; "
    ignoring += "runpy.run_module('pytest', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", ignoring], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_test_that_hangs_is_ended(pytestconfig):
    assert 0 < float(pytestconfig.getini("timeout")) <= 300
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
