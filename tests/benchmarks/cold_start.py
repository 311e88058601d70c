"""Measurement 1: from the start of a process to the first byte of its cancel-all on the wire."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bitopro_margin_ext.core.signing import Signer

from .children import EMAIL, KEY, SECRET, environment
from .readings import Contender, Row, Sample, take_turns
from .tap import Tap
from .venue import Venue

NUMBER = 1
AIM = 1.15
FEW = 2
"""Rounds of a quick run, which does not warm up."""

FLOOR = """\
import requests
headers = {headers!r}
answer = requests.delete("{url}/v3/margin/orders/all", headers=headers)
answer.raise_for_status()
print(answer.text)
"""
CCXT = """\
import ccxt
api = ccxt.bitopro({config!r})
print(api.cancel_all_orders())
"""


def measure(venue: Venue, quick: bool) -> Iterator[Row]:
    with Tap(venue.url) as tap, TemporaryDirectory() as folder:
        for round_trip, rounds in ((0, FEW),) if quick else ((0, 31), (50, 9), (200, 9)):
            venue.restart(round_trip)
            yield _compare(tap, Path(folder), round_trip, rounds)


def _compare(tap: Tap, folder: Path, round_trip: int, rounds: int) -> Row:
    def ours() -> Sample:
        return _run(
            tap,
            [*_command(), "cancel-all", "--yes", "--base-url", f"{tap.url}/v3"],
            BITOPRO_API_KEY=KEY,
            BITOPRO_API_SECRET=SECRET,
            BITOPRO_EMAIL=EMAIL,
        )

    def floor() -> Sample:
        script = folder / "floor.py"
        headers = Signer(KEY, SECRET, EMAIL).headers()
        script.write_text(FLOOR.format(headers=headers, url=tap.url))
        return _run(tap, [sys.executable, str(script)])

    def ccxt() -> Sample:
        script = folder / "with_ccxt.py"
        config = {"apiKey": KEY, "secret": SECRET, "urls": {"api": {"rest": f"{tap.url}/v3"}}}
        script.write_text(CCXT.format(config=config))
        return _run(tap, [sys.executable, str(script)])

    sides = [
        Contender("bitopro-margin cancel-all", ours),
        Contender("5 lines of requests, already signed", floor),
        Contender("ccxt.bitopro", ccxt),
    ]
    if rounds > FEW:
        for side in sides:
            side.measure()  # files into the cache, bytecode to its place
    take_turns(sides, rounds, budget=30)
    row = Row(
        NUMBER, "process start to first byte of the cancel-all", round_trip, sides[0], sides[1:]
    )
    ratio = row.ratio(sides[1])
    assert ratio is not None
    row.aim, row.met = f"≤ {AIM}x requests", ratio <= AIM
    return row


def _command() -> Sequence[str]:
    script = shutil.which("bitopro-margin", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "bitopro_margin_ext"]


def _run(tap: Tap, command: Sequence[str], **variables: str) -> Sample:
    tap.forget()
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        arrived = tap.await_delete()
    finally:
        _, errors = process.communicate(timeout=60)
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {errors.decode()}")
    return Sample(arrived - began)
