"""Showing what was read: a table, a document, or a table that renews itself.

A table is as wide as its terminal allows, and never at the cost of a number or an id: where it does
not fit, columns that may be missed are left out, and then each row becomes a paragraph.
"""

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..core.redaction import redact
from .common import (
    OUTCOMES,
    ExitCode,
    add_access_arguments,
    print_err,
    print_out,
    seconds,
    write_line,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

WATCH_SECONDS: Final = 2.0
DEADLINE: Final = 10.0
FILE_WIDTH: Final = 200
"""Columns where there is no terminal: whoever reads a file or a pipe can scroll."""
GAP: Final = 2

Cell = str | tuple[str, str]
"""What a table shows: a text, or a text with its style."""


class Column(NamedTuple):
    """A column: ``right`` for numbers, ``optional`` where a narrow terminal may do without."""

    name: str
    right: bool = False
    optional: bool = False


class Rows:
    """A table without lines for ``rich``, which becomes paragraphs where it is too narrow.

    Control characters in a cell are written out: what is shown comes from another machine.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[Cell]],
        *,
        heads: int = 1,
    ) -> None:
        """``heads``: how many columns stand in the first line of a paragraph, without a label."""
        self._columns = columns
        self._rows = [[_cell(cell) for cell in row] for row in rows]
        self._heads = heads

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        every = list(range(len(self._columns)))
        kept = [number for number in every if not self._columns[number].optional]
        for shown in (every, kept):
            if self._width(shown) <= options.max_width:
                yield from self._table(shown)
                return
        yield from self._paragraphs(options.max_width)

    def _widths(self, shown: Sequence[int]) -> list[int]:
        return [
            max([len(self._columns[number].name), *(row[number].cell_len for row in self._rows)])
            for number in shown
        ]

    def _width(self, shown: Sequence[int]) -> int:
        return sum(self._widths(shown)) + GAP * (len(shown) - 1)

    def _table(self, shown: Sequence[int]) -> "Iterable[Text]":
        from rich.text import Text

        names = [Text(self._columns[number].name, style="bold") for number in shown]
        widths = self._widths(shown)
        for cells in (names, *([row[number] for number in shown] for row in self._rows)):
            line = Text()
            for number, cell, width in zip(shown, cells, widths, strict=True):
                padding = " " * (width - cell.cell_len)
                line.append("" if not line else " " * GAP)
                line.append(padding if self._columns[number].right else "")
                line.append_text(cell)
                line.append("" if self._columns[number].right else padding)
            line.rstrip()
            yield line

    def _paragraphs(self, width: int) -> "Iterable[Text]":
        from rich.text import Text

        labels = [column.name for column in self._columns[self._heads :]]
        indent = max(map(len, labels), default=0) + 2 + GAP
        for row in self._rows:
            heads = [cell for cell in row[: self._heads] if cell.plain]
            yield from _wrapped(heads, width, first="", rest="  ")
            for label, cell in zip(labels, row[self._heads :], strict=True):
                if cell.plain in ("", "-"):
                    continue
                first = f"  {label}".ljust(indent)
                if indent + cell.cell_len <= width:
                    yield Text(first) + cell
                else:
                    yield Text(f"  {label}")
                    yield from _wrapped(_words(cell), width, first="    ", rest="    ", gap=" ")


def _cell(cell: Cell) -> "Text":
    from rich.text import Text

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(redact(text), style=style)


def _words(cell: "Text") -> "list[Text]":
    from rich.text import Text

    return [Text(word, style=cell.style) for word in cell.plain.split()]


def _wrapped(
    pieces: "Sequence[Text]", width: int, *, first: str, rest: str, gap: str = "  "
) -> "Iterable[Text]":
    """Lines of whole pieces: one that is too long for a line has a line to itself, uncut."""
    from rich.text import Text

    line = Text(first)
    begun = False
    for piece in pieces:
        if begun and line.cell_len + len(gap) + piece.cell_len > width:
            yield line
            line, begun = Text(rest), False
        line.append(gap if begun else "")
        line.append_text(piece)
        begun = True
    if begun:
        yield line


def sparkline(values: Sequence[float], width: int = 30) -> str:
    """The course of the last values as one line of blocks, from their lowest to their highest."""
    blocks = "▁▂▃▄▅▆▇█"
    shown = values[-width:]
    low, high = min(shown), max(shown)
    span = high - low or 1.0
    return "".join(blocks[round((value - low) / span * (len(blocks) - 1))] for value in shown)


class View(NamedTuple):
    """One reading: its exit code, its document, its table, and what went wrong, if it did."""

    code: ExitCode
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


def show(read: Callable[[], View], title: str, args: argparse.Namespace) -> int:
    """Show one reading, or with ``--watch`` one after the other, and return the exit code.

    The title says whose account at which address is meant, before anything is asked. Where there
    is no terminal to renew, readings follow one another until their reader has gone.
    """
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if args.watch is not None and terminal and not args.json:
        return _show_live(read, title, args.watch)
    (print_err if args.json else print_out)(title)
    while True:
        view = read()
        anybody = _show_once(view, args)
        if args.watch is None or not anybody or view.code is ExitCode.USAGE:
            return view.code
        time.sleep(args.watch)


def print_table(table: "RenderableType") -> bool:
    """Print a table on standard output, in colour where that is a terminal.

    :returns: whether somebody reads on.
    """
    return write_line(render(table).rstrip("\n"), sys.stdout)


def render(table: "RenderableType", *, out: Any = None) -> str:
    """A table as text, as wide as standard output."""
    from rich.console import Console

    # Not to standard output itself: rich would end the process where its reader has gone.
    real = Console(file=out)
    wide = real.is_terminal or "COLUMNS" in os.environ
    text = io.StringIO()
    Console(
        file=text,
        width=real.width if wide else FILE_WIDTH,
        force_terminal=real.is_terminal,
        color_system=real.color_system,  # type: ignore[arg-type]
        highlight=False,
    ).print(table)
    return text.getvalue()


def _show_once(view: View, args: argparse.Namespace) -> bool:
    anybody = True
    if args.json:
        found = {"outcome": OUTCOMES[view.code], "error": view.problem, **view.document}
        anybody = print_out(json.dumps(found))
    elif view.table is not None:
        anybody = print_table(view.table())
    if args.watch is not None and not args.json:
        anybody &= print_out(f"as of {time.strftime('%H:%M:%S')}")
    if view.problem:
        print_err(view.problem)
    return anybody


def _show_live(read: Callable[[], View], title: str, interval: float) -> int:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    shown: RenderableType | None = None
    read_at = "never"
    # Rows that a low terminal cannot hold scroll away; they are not cut off.
    with Live(console=Console(), auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            view = read()
            if view.code is ExitCode.USAGE:
                print_err(view.problem or "refused")
                return view.code
            if view.table is not None:
                shown, read_at = view.table(), time.strftime("%H:%M:%S")
            # What could not be read again stays on the screen, and says how old it is.
            state = Text(f"as of {read_at}", style="dim")
            if view.problem:
                state.append(f"  {redact(view.problem)}", style="bold red")
            seen = [] if shown is None else [shown]
            live.update(Group(Text(title), *seen, state), refresh=True)
            time.sleep(interval)
