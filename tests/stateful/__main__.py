"""Run the state machines: ``python -m tests.stateful``, with ``--deep`` for as long as it takes."""

import argparse
import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PARTS = {
    "sweep": ("tests/core/test_sweep_machine.py", 10_000),
    "client": ("tests/stateful/test_client.py", 10_000),
    "bot": ("tests/stateful/test_bot.py", 1_000),
    "leverage": ("tests/stateful/test_leverage.py", 500),
    "kills": ("tests/stateful/test_kills.py", 1),
    "faults of shorts": ("tests/stateful/test_short_faults.py", 1),
}
"""The machines, and how many examples of each the deep run has; the last two play all there is."""

SHARD = 1250
"""How many examples one process runs."""


def main() -> int:
    """Run, print what was run, and exit with 0 only if nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.stateful", description=__doc__)
    parser.add_argument("--deep", action="store_true", help="10,000 examples and more")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="to repeat a run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many examples")
    options = parser.parse_args()
    root = Path(__file__).parents[2]
    if not options.deep:
        return subprocess.call([sys.executable, "-m", "pytest", "tests/stateful", "-q"], cwd=root)
    began = time.monotonic()
    print(f"seed {options.seed}, {options.jobs} processes", flush=True)
    failed = [name for name in PARTS if not _run(name, options, root)]
    verdict = f"FAILED: {', '.join(failed)}" if failed else "everything held"
    print(f"{verdict}, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


def _run(name: str, options: argparse.Namespace, root: Path) -> bool:
    """One machine in shards, each with a seed of its own: hypothesis remembers every example."""
    path, examples = PARTS[name]
    wanted = math.ceil(examples * options.scale)
    shards = max(options.jobs, math.ceil(wanted / SHARD))
    share = math.ceil(wanted / shards)

    def run(number: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", path, "-q", "-p", "no:cacheprovider"]
        # A shard is one test, and takes as long as it takes.
        command += ["--timeout=0", "-o", "faulthandler_timeout=0"]
        command += ["--hypothesis-profile=deep", f"--hypothesis-seed={options.seed + number}"]
        environment = {**os.environ, "PROOF_EXAMPLES": str(share)}
        environment["PROOF_SHARD"] = f"{number}/{shards}"
        return subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, check=False
        )

    began = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        done = list(pool.map(run, range(shards)))
    for number, one in enumerate(done):
        if one.returncode:
            print(f"seed {options.seed + number}:\n{one.stdout}{one.stderr}", flush=True)
    held = not any(one.returncode for one in done)
    seconds = time.monotonic() - began
    verdict = "held" if held else "FAILED"
    print(f"{name}: {share * shards} examples {verdict} in {seconds:.0f} s", flush=True)
    return held


if __name__ == "__main__":
    sys.exit(main())
