"""``python -m tests.drill``: play every fault on both scenarios and both scopes."""

import argparse
import sys

from bitopro_margin_ext.drill.scenario import SCENARIOS

from . import matrix

parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
parser.add_argument("--scenario", choices=(*SCENARIOS, "all"), default="all")
parser.add_argument("--faults", metavar="NAMES", help="only these, separated by commas")
parser.add_argument("--jobs", type=int, help="so many drills at a time (default: 6)")
parser.add_argument("--deadline", type=float, default=10.0, help="of the hook, in seconds")
parser.add_argument("--keep", action="store_true", help="keep the folders")
parser.add_argument("--json", action="store_true", help="print one document")
try:
    sys.exit(matrix.run(parser.parse_args()))
except ValueError as error:
    parser.error(str(error))
