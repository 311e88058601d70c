"""Showing what was read: a table, a document, or a table that renews itself."""

import argparse
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from . import common
from .common import add_access_arguments, say, seconds, tell

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

WATCH_SECONDS: Final = 2.0
DEADLINE: Final = 10.0


def plain_table(caption: "RenderableType | None") -> "Table":
    """A table without lines, in which numbers and ids are never cut."""
    from rich import box
    from rich.table import Table

    return Table(
        caption=caption,  # type: ignore[arg-type]
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
    )


def add_columns(table: "Table", *headings: str, right: bool = False) -> None:
    """Add columns; ``right`` for numbers."""
    for heading in headings:
        justify: Literal["left", "right"] = "right" if right else "left"
        table.add_column(heading, justify=justify, no_wrap=True, overflow="fold")


class View(NamedTuple):
    """One reading: its exit code, its document, its table, and what went wrong, if it did."""

    code: int
    document: dict[str, Any]
    table: "Callable[[], RenderableType] | None" = None
    problem: str | None = None


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    """Say how to show what was read."""
    parser.add_argument("--json", action="store_true", help="one document on standard output")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=seconds,
        const=WATCH_SECONDS,
        metavar="SECONDS",
        help="read again every so many seconds (%(const)g if none are given) until interrupted",
    )
    parser.add_argument(
        "--deadline",
        type=seconds,
        default=DEADLINE,
        metavar="SECONDS",
        help="keep trying to read for so long (default: %(default)g)",
    )
    add_access_arguments(parser)


def show(read: Callable[[], View], args: argparse.Namespace) -> int:
    """Show one reading, or with ``--watch`` one after the other, and return the exit code."""
    if args.watch is None:
        view = read()
        _show_once(view, args)
        return view.code
    if args.json:
        while True:
            _show_once(read(), args)
            time.sleep(args.watch)
    return _show_live(read, args.watch)


def _show_once(view: View, args: argparse.Namespace) -> None:
    if args.json:
        say(json.dumps(view.document))
    elif view.table is not None:
        from rich.console import Console

        console = Console()
        if not console.is_terminal:
            # Whoever reads a file or a pipe can scroll; a cut number would be of no use.
            console = Console(width=200)
        console.print(view.table())
    if view.problem:
        tell(view.problem)


def _show_live(read: Callable[[], View], interval: float) -> int:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    shown: RenderableType | None = None
    read_at = "never"
    with Live(auto_refresh=False) as live:
        while True:
            view = read()
            if view.code == common.USAGE:
                tell(view.problem or "refused")
                return view.code
            if view.table is not None:
                shown, read_at = view.table(), time.strftime("%H:%M:%S")
            # What could not be read again stays on the screen, and says how old it is.
            state = Text(f"as of {read_at}", style="dim")
            if view.problem:
                state.append(f"  {view.problem}", style="bold red")
            live.update(Group(*([] if shown is None else [shown]), state), refresh=True)
            time.sleep(interval)
