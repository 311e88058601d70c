"""Every fault on both ways into an emergency and both scopes, as a table of verdicts.

``python -m tests.drill`` plays it.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bitopro_margin_ext.drill.bot_process import DrillError
from bitopro_margin_ext.drill.scenario import SCENARIOS, Drill
from bitopro_margin_ext.drill.verdict import Verdict
from bitopro_margin_ext.sandbox.server import SandboxServer

from .fault_rules import FAULTS, Fault

SCOPES: Final = ("pair", "all")
JOBS: Final = 6
"""Bots at a time: most of a drill is waiting, and starting Freqtrade is what it costs."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The end of one drill: ``problems`` is empty where both sides agree.

    ``remaining``: orders rest in scope, and the bot said so. ``unmet``: the call that the fault
    waits for was not made, because nothing was left to ask.
    """

    fault: str
    scenario: str
    scope: str
    problems: tuple[str, ...]
    remaining: bool
    unmet: bool
    seconds: float
    folder: str

    @property
    def agrees(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """The cell as plain data."""
        return {
            "fault": self.fault,
            "scenario": self.scenario,
            "scope": self.scope,
            "agrees": self.agrees,
            "problems": list(self.problems),
            "remaining": self.remaining,
            "unmet": self.unmet,
            "seconds": self.seconds,
            "folder": self.folder,
        }


def choose_faults(names: str | None) -> list[Fault]:
    """The faults of a comma-separated list, or all.

    :raises ValueError: naming one that does not exist.
    """
    if not names:
        return list(FAULTS.values())
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in FAULTS:
            raise ValueError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
    return [FAULTS[name] for name in wanted]


def run(args: argparse.Namespace) -> int:
    """Play the matrix and print it; 0 only if every cell agrees, else 1.

    :raises ValueError: for a fault that does not exist.
    """
    faults = choose_faults(getattr(args, "faults", None))
    scenarios = tuple(SCENARIOS) if args.scenario == "all" else (args.scenario,)

    def show(cell: Cell) -> None:
        verdict = "agrees" if cell.agrees else "NO: " + "; ".join(cell.problems)
        line = f"{cell.fault}, {cell.scenario}, scope {cell.scope}: {verdict} ({cell.seconds} s)"
        print(line, file=sys.stderr, flush=True)

    began = time.monotonic()
    cells = play_matrix(
        faults,
        scenarios,
        SCOPES,
        deadline=args.deadline,
        jobs=getattr(args, "jobs", None) or JOBS,
        keep=args.keep,
        show=show,
    )
    seconds = round(time.monotonic() - began, 1)
    if args.json:
        document = {"cells": [cell.to_json() for cell in cells], "seconds": seconds}
        print(json.dumps(document, indent=2))
    else:
        _print_table(cells, seconds)
    return 0 if all(cell.agrees for cell in cells) and not _never_met(cells) else 1


def play_matrix(
    faults: Sequence[Fault],
    scenarios: Sequence[str] = tuple(SCENARIOS),
    scopes: Sequence[str] = SCOPES,
    *,
    deadline: float = 10.0,
    jobs: int = JOBS,
    keep: bool = False,
    show: Callable[[Cell], None] = lambda cell: None,
) -> list[Cell]:
    """Play every combination, several at a time, each with a sandbox and a bot of its own.

    The folder of a drill is removed unless it is to be kept, or its verdict needs looking into.
    """
    wishes = [
        (fault, scenario, scope) for fault in faults for scenario in scenarios for scope in scopes
    ]
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="drill") as pool:
        running = {
            pool.submit(_play_cell, *wish, deadline, keep): number
            for number, wish in enumerate(wishes)
        }
        cells: dict[int, Cell] = {}
        for done in as_completed(running):
            cells[running[done]] = cell = done.result()
            show(cell)
    return [cells[number] for number in sorted(cells)]


def _play_cell(fault: Fault, scenario: str, scope: str, deadline: float, keep: bool) -> Cell:
    folder = Path(tempfile.mkdtemp(prefix="bitopro-margin-drill-"))
    began = time.monotonic()
    remaining = unmet = False
    try:
        with SandboxServer() as server:
            drill = Drill(
                scenario,
                server,
                folder,
                scope=scope,
                deadline=deadline,
                faults=fault.armed(scenario, scope),
                may_remain=fault.may_remain,
                patience=60 + 3 * deadline,
            )
            verdict = drill.play()
            remaining = verdict.remaining
            problems = list(_problems(verdict))
            unmet = not all(rule["hits"] for rule in server.control.faults())
    except DrillError as error:
        problems = [str(error)]
    if not keep and not problems:
        shutil.rmtree(folder, ignore_errors=True)
    return Cell(
        fault.name,
        scenario,
        scope,
        tuple(problems),
        remaining,
        unmet,
        round(time.monotonic() - began, 1),
        str(folder) if keep or problems else "",
    )


def _problems(verdict: Verdict) -> Iterable[str]:
    for row in verdict.rows:
        if not row.agrees:
            yield (
                f"order {row.order} ({row.owner}, {row.side} {row.pair}) is {row.exchange}"
                f" on the exchange and {row.freqtrade} in the database"
            )
    if not verdict.position_closed:
        yield "the position is still open"
    yield from verdict.complaints


def _never_met(cells: Iterable[Cell]) -> list[str]:
    """The faults that struck in no drill, and so have proven nothing."""
    met: dict[str, bool] = {}
    for cell in cells:
        met[cell.fault] = met.get(cell.fault, False) or not cell.unmet
    return [name for name, ever in met.items() if not ever]


def _print_table(cells: Sequence[Cell], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    columns = list(dict.fromkeys((cell.scenario, cell.scope) for cell in cells))
    table = Table("fault", "what goes wrong")
    for scenario, scope in columns:
        table.add_column(f"{scenario}\nscope {scope}")
    by_place = {(cell.fault, cell.scenario, cell.scope): cell for cell in cells}
    for name in dict.fromkeys(cell.fault for cell in cells):
        verdicts = [_mark(by_place[name, *column]) for column in columns]
        table.add_row(name, FAULTS[name].what, *verdicts)
    console.print(table)
    for cell in cells:
        for problem in cell.problems:
            console.print(
                f"[bold red]{cell.fault}, {cell.scenario}, scope {cell.scope}[/bold red]:"
                f" {problem}",
                highlight=False,
            )
        if cell.folder:
            console.print(f"kept: {cell.folder}", highlight=False)
    for name in _never_met(cells):
        console.print(f"[bold red]{name}[/bold red]: this fault never struck", highlight=False)
    agreeing = sum(cell.agrees for cell in cells)
    console.print(f"{agreeing} of {len(cells)} drills agree, {seconds} s")


def _mark(cell: Cell) -> str:
    if not cell.agrees:
        return "[bold red]NO[/bold red]"
    if cell.unmet:
        return "[green]agrees, unmet[/green]"
    # The exchange left no way to cancel, and the bot said so.
    return "[yellow]agrees, warned[/yellow]" if cell.remaining else "[green]agrees[/green]"
