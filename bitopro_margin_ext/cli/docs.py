"""``bitopro-margin docs``: the reference that is shipped with the package."""

import argparse
import sys
from importlib import resources
from typing import TYPE_CHECKING, ClassVar, Final

from .common import ExitCode, UsageError, print_out

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown

HELP: Final = "show a page of the reference: sandbox, ccxt, leverage and more"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which page."""
    parser.add_argument("page", nargs="?", metavar="PAGE", help="without it: the list of pages")


def run(args: argparse.Namespace) -> int:
    """Print the page, laid out on a terminal and as it is written elsewhere."""
    pages = read_pages()
    if args.page is None:
        width = max(map(len, pages))
        print_out("\n".join(f"{name:<{width}}  {_title(text)}" for name, text in pages.items()))
        return ExitCode.CONFIRMED
    text = pages.get(args.page.lower().removesuffix(".md"))
    if text is None:
        raise UsageError(f"no such page; there are {', '.join(pages)}")
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console

        Console().print(lay_out(text))
    else:
        print_out(text.rstrip())
    return ExitCode.CONFIRMED


def read_pages() -> dict[str, str]:
    """Every page's text by its name: what is in ``docs``, and the plan of the package."""
    package = resources.files("bitopro_margin_ext")
    files = [package / "ARCHITECTURE.md", *(package / "docs").iterdir()]
    pages = {file.name[:-3].lower(): file for file in files if file.name.endswith(".md")}
    return {name: pages[name].read_text(encoding="utf-8") for name in sorted(pages)}


def lay_out(text: str) -> "Markdown":
    """A page for a terminal of any width: rich itself crops long words in narrow tables."""
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

    class WholeTable(TableElement):
        def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
            for part in super().__rich_console__(console, options):
                if isinstance(part, Table):
                    for column in part.columns:
                        column.overflow = "fold"
                yield part

    class WholeMarkdown(Markdown):
        elements: ClassVar = {**Markdown.elements, "table_open": WholeTable}

    return WholeMarkdown(text)


def _title(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ")
