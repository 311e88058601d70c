"""The pytest fixture as somebody else's tests use it, and the page of the reference."""

import re
import subprocess
import sys
from pathlib import Path

import bitopro_margin_ext
from bitopro_margin_ext.sandbox.control_api import reference

PAGE = (Path(bitopro_margin_ext.__file__).parent / "docs" / "sandbox.md").read_text()


def run_pytest(folder, *files):
    for name, text in files:
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_example_of_the_page_passes(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(example.split("\n\n\n")[1].splitlines()) <= 10
    code, output = run_pytest(tmp_path, ("test_example.py", example))
    assert code == 0, output
    assert "1 passed" in output


def test_the_page_has_the_reference():
    """When it fails: put what ``bitopro-margin sandbox --help`` prints under "Reference"."""
    assert reference() in PAGE


def test_the_fixture_is_fresh_and_announces_its_address(tmp_path):
    test = """
import os, pytest

@pytest.mark.parametrize("n", [1, 2])
def test_fresh(bitopro_sandbox, n):
    assert os.environ["BITOPRO_SANDBOX_URL"] == bitopro_sandbox.url
    assert bitopro_sandbox.control.orders() == []
    bitopro_sandbox.control.seed_order("btc_usdt", "BUY", "1", "1")

@pytest.mark.bitopro_sandbox(matching=False, liquidation_ratio="1.2")
def test_switches(bitopro_sandbox):
    assert bitopro_sandbox.exchange.switches.matching is False

def test_left_as_it_was():
    assert "BITOPRO_SANDBOX_URL" not in os.environ
"""
    code, output = run_pytest(tmp_path, ("test_fresh.py", test))
    assert code == 0, output


def test_a_missing_extra_is_one_line(tmp_path):
    hide = "import sys\nsys.modules['uvicorn'] = None\n"
    test = "def test_it(bitopro_sandbox): pass\ndef test_again(bitopro_sandbox): pass\n"
    code, output = run_pytest(tmp_path, ("conftest.py", hide), ("test_it.py", test))
    assert code == 1
    line = "the fixture bitopro_sandbox needs uvicorn: pip install 'bitopro-margin-ext[sandbox]'"
    assert line in output
    assert "Traceback" not in output
    assert "pytest_plugin.py" not in output
