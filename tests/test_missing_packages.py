"""Without a host there is one line that says what to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("missing", "code", "said"),
    [
        (
            "ccxt",
            "import bitopro_margin_ext; bitopro_margin_ext.register()",
            "register() needs ccxt: pip install 'bitopro-margin-ext[ccxt]'",
        ),
        (
            "freqtrade",
            "from bitopro_margin_ext import EmergencyCancelMixin",
            "EmergencyCancelMixin needs freqtrade: pip install 'bitopro-margin-ext[freqtrade]'",
        ),
        (
            "ccxt",
            "import bitopro_margin_ext; bitopro_margin_ext.EmergencyCancelMixin",
            "EmergencyCancelMixin needs ccxt: pip install 'bitopro-margin-ext[freqtrade]'",
        ),
        (
            "freqtrade",
            "from bitopro_margin_ext.cli import main; raise SystemExit(main(['drill']))",
            "freqtrade is not installed: pip install 'bitopro-margin-ext[freqtrade,sandbox]'",
        ),
    ],
)
def test_a_missing_host_is_one_line(missing: str, code: str, said: str) -> None:
    blocked = f"import sys; sys.modules[{missing!r}] = None; {code}"
    done = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert said in done.stderr.splitlines()[-1]
    # No chain of imports before it.
    assert "During handling" not in done.stderr
    assert "direct cause" not in done.stderr


def test_the_package_itself_needs_neither() -> None:
    code = (
        "import sys; sys.modules['ccxt'] = sys.modules['freqtrade'] = None;"
        " import bitopro_margin_ext, bitopro_margin_ext.cli; print(bitopro_margin_ext.__version__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
