"""``python -m tests.benchmarks``: measure and print the table."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from . import tables
from .machine import this_machine
from .venue import running_venue

MEASUREMENTS = {
    1: "cold_start",
    2: "exit_time",
    3: "processor_time",
    4: "bot_start",
    5: "steady_state",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only", type=int, choices=MEASUREMENTS, action="append", help="only this measurement"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, small sizes")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one document, with every sample")
    how.add_argument("--markdown", action="store_true", help="the table as the README has it")
    args = parser.parse_args(argv)
    machine = this_machine()
    rows = []
    with running_venue() as venue:
        for number in sorted(set(args.only or MEASUREMENTS)):
            for row in import_module(f".{MEASUREMENTS[number]}", __package__).measure(
                venue, args.quick
            ):
                rows.append(row)
                print(tables.as_line(row), file=sys.stderr, flush=True)
    show = tables.as_text
    if args.json or args.markdown:
        show = tables.as_json if args.json else tables.as_markdown
    print(show(machine, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
