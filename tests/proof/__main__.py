"""Run the proof by itself: ``python -m tests.proof``, with ``--deep`` for as long as it takes."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

PARTS = {"client": ("tests/proof/test_client.py", 10_000), "bot": ("tests/proof/test_bot.py", 400)}
"""The two machines, and how many examples of each the deep proof has."""


def main() -> int:
    """Run, print what was run, and exit with 0 only if nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--deep", action="store_true", help="10,000 examples and more")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="to repeat a run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many examples")
    options = parser.parse_args()
    root = Path(__file__).parents[2]
    if not options.deep:
        return subprocess.call([sys.executable, "-m", "pytest", "tests/proof", "-q"], cwd=root)
    began = time.monotonic()
    print(f"seed {options.seed}, {options.jobs} processes", flush=True)
    failed = [name for name in PARTS if not _run(name, options, root)]
    verdict = f"FAILED: {', '.join(failed)}" if failed else "everything held"
    print(f"{verdict}, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


def _run(name: str, options: argparse.Namespace, root: Path) -> bool:
    path, examples = PARTS[name]
    share = -(-int(examples * options.scale) // options.jobs)
    began = time.monotonic()
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pytest",
                path,
                "-q",
                "-p",
                "no:cacheprovider",
                "--hypothesis-profile=deep",
                f"--hypothesis-seed={options.seed + number}",
            ],
            cwd=root,
            env={**os.environ, "PROOF_EXAMPLES": str(share)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(options.jobs)
    ]
    outputs = [process.communicate()[0] for process in running]
    held = all(process.returncode == 0 for process in running)
    if not held:
        print("\n".join(outputs), flush=True)
    seconds = time.monotonic() - began
    verdict = "held" if held else "FAILED"
    print(f"{name}: {share * options.jobs} examples {verdict} in {seconds:.0f} s", flush=True)
    return held


if __name__ == "__main__":
    sys.exit(main())
