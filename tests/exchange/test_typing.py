"""What a user's type checker sees of the classes."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]

# ccxt itself has no types, so ``ccxt.bitopromargin`` is Any to a checker: the annotation, or the
# import from here, is what brings them.
SNIPPET = """
import ccxt
from bitopro_margin_ext.exchange import bitopromargin, bitopromargin_async, bitopromargin_pro

blocking: bitopromargin = ccxt.bitopromargin({"apiKey": "key"})
reveal_type(blocking.cancel_all_orders("BTC/USDT"))
reveal_type(blocking.borrow_cross_margin("BTC", "0.1"))
reveal_type(blocking.cancel_and_confirm())
reveal_type(bitopromargin({}).fetch_margin_account())
blocking.transfer("USDT", 1, "spot")
blocking.cancel_all_orders(7)
blocking.fetch_my_trades("BTC/USDT", since="yesterday")


async def stream() -> None:
    reveal_type(await bitopromargin_async().fetch_balance())
    pro = bitopromargin_pro()
    reveal_type(await pro.watch_orders("BTC/USDT"))
    reveal_type(await pro.create_orders([]))
    await pro.watch_mark_price()
"""
REVEALED = [
    "list[dict[str, Any]]",
    "dict[str, Any]",
    "bitopro_margin_ext.core.report.CancelReport",
    "dict[str, Any]",
    "dict[str, Any]",
    "list[dict[str, Any]]",
    "list[dict[str, Any]]",
]
MISTAKES = ["call-arg", "arg-type", "arg-type", "call-arg"]


def test_methods_and_their_arguments_are_known(tmp_path):
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    command += ["--config-file", os.devnull, "--cache-dir", str(ROOT / ".mypy_cache")]
    found = subprocess.run(
        [*command, "--allow-untyped-calls", "--disable-error-code", "import-untyped", str(snippet)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    ).stdout
    own = "\n".join(line for line in found.splitlines() if "snippet.py" in line)
    assert re.findall(r'Revealed type is "(.*)"', own) == REVEALED, found
    assert re.findall(r"error: .*\[([\w-]+)\]", own) == MISTAKES, found
