"""``bitopro-margin drill``: rehearse an emergency with a real Freqtrade on the sandbox."""

import argparse
import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .common import ExitCode, UsageError

if TYPE_CHECKING:
    from ..drill.verdict import Verdict

HELP = "rehearse an emergency exit with a real freqtrade process on the sandbox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the drill."""
    parser.add_argument(
        "--scenario",
        choices=("stop-rejected", "exit-timeout", "all"),
        default="all",
        help="which way into the emergency (default: both, one after the other)",
    )
    parser.add_argument(
        "--scope",
        choices=("pair", "all"),
        default="all",
        help="what the hook cancels: the exiting pair's orders, or all (default: all)",
    )
    parser.add_argument(
        "--deadline", type=float, default=10.0, help="the hook's deadline in seconds (default: 10)"
    )
    parser.add_argument(
        "--matrix",
        action="store_true",
        help="play every fault on both scenarios and both scopes, and print a table of verdicts",
    )
    parser.add_argument(
        "--faults", metavar="NAMES", help="with --matrix: only these faults, separated by commas"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="with --matrix: so many drills at a time (default: 6)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument(
        "--keep", action="store_true", help="keep the user folder with log and database, name it"
    )


def run(args: argparse.Namespace) -> int:
    """Play, print, and exit with 0 only if both sides agree on everything."""
    if importlib.util.find_spec("freqtrade") is None:
        raise ModuleNotFoundError("freqtrade", name="freqtrade")
    from ..bot.options import parse_options

    try:
        parse_options({"bitopro_margin": {"scope": args.scope, "deadline": args.deadline}})
    except ValueError as error:
        raise UsageError(str(error)) from None
    if args.matrix:
        from ..drill import matrix

        try:
            return matrix.run(args)
        except ValueError as error:
            raise UsageError(str(error)) from None
    scenarios = ["stop-rejected", "exit-timeout"] if args.scenario == "all" else [args.scenario]
    verdicts = []
    for scenario in scenarios:
        verdict = _play(scenario, args)
        if verdict is None:
            return ExitCode.REMAINING
        verdicts.append(verdict)
        if not args.json:
            _print_verdict(verdict)
    if args.json:
        print(json.dumps([verdict.to_json() for verdict in verdicts], indent=2))
    return ExitCode.CONFIRMED if all(verdict.agrees for verdict in verdicts) else ExitCode.REMAINING


def _play(scenario: str, args: argparse.Namespace) -> "Verdict | None":
    from ..drill.scenario import SCENARIOS, Drill, DrillError
    from ..sandbox.server import SandboxServer

    out = sys.stderr if args.json else sys.stdout

    def story(line: str) -> None:
        print(line, file=out, flush=True)

    folder = Path(tempfile.mkdtemp(prefix="bitopro-margin-drill-"))
    story(f"\n{scenario}: {SCENARIOS[scenario]}")
    try:
        with SandboxServer() as server:
            drill = Drill(
                scenario, server, folder, scope=args.scope, deadline=args.deadline, story=story
            )
            return drill.play()
    except DrillError as error:
        print(f"the drill stopped: {error}", file=sys.stderr)
        return None
    finally:
        if args.keep:
            story(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _print_verdict(verdict: "Verdict") -> None:
    from rich.console import Console
    from rich.table import Table

    # A pipe has no width of its own, and a cut reason would be no proof.
    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table("order", "owner", "pair", "side", "on the exchange", "in Freqtrade's database")
    table.add_column("cancel reason")
    table.add_column("agrees")
    for row in verdict.rows:
        mark = "[green]yes[/green]" if row.agrees else "[bold red]NO[/bold red]"
        table.add_row(
            row.order, row.owner, row.pair, row.side, row.exchange, row.freqtrade,
            row.cancel_reason, mark,
        )  # fmt: skip
    console.print(table)
    for complaint in verdict.complaints:
        console.print(f"[bold red]{complaint}[/bold red]")
    closed = "closed" if verdict.position_closed else "STILL OPEN"
    agreeing = sum(row.agrees for row in verdict.rows)
    console.print(
        f"{verdict.scenario}, scope {verdict.scope}: {agreeing} of {len(verdict.rows)} orders"
        f" agree, position {closed}, {verdict.seconds} s"
    )
