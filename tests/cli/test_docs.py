"""``bitopro-margin docs``: the pages that the package carries."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import bitopro_margin_ext
from bitopro_margin_ext.cli.docs import lay_out, read_pages
from bitopro_margin_ext.sandbox.control_api import reference

from .conftest import Runner

PACKAGE = Path(bitopro_margin_ext.__file__).parent
PAGES = read_pages()


def test_the_list_names_every_page_with_its_title(run):
    done = run("docs")
    assert done.code == 0
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert lines.keys() == PAGES.keys()
    assert lines["architecture"].startswith("Which room does what")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_printed_as_it_is_written(run, page):
    done = run("docs", page)
    assert (done.code, done.out) == (0, PAGES[page].rstrip() + "\n")


def test_a_page_that_is_not_there_is_one_line(run):
    done = run("docs", "nothing")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "architecture" in done.err


@pytest.mark.parametrize("page", PAGES)
def test_links_between_the_pages_lead_somewhere(page):
    home = PACKAGE if page == "architecture" else PACKAGE / "docs"
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page])
    assert [link for link in links if not (home / link).exists()] == []


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_page_on_a_terminal_is_whole_at_any_width(width: int) -> None:
    for name, text in read_pages().items():
        console = Console(file=io.StringIO(), width=width, color_system=None)
        console.print(lay_out(text))
        laid_out = console.file.getvalue()  # type: ignore[attr-defined]
        assert laid_out.count("…") <= text.count("…"), name
        assert max(map(len, laid_out.splitlines())) <= width, name


def test_what_a_newcomer_reads_first_fits_a_terminal(run_here: Runner) -> None:
    lines = run_here("--help").out.splitlines() + reference().splitlines()
    assert [line for line in lines if len(line) > 80] == []
