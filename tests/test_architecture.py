"""The imports hold the rules of ARCHITECTURE.md, and the tree those of its readers."""

import re
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bitopro_margin_ext"
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_the_arrows_point_one_way(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_room_is_on_the_page():
    page = (PACKAGE / "ARCHITECTURE.md").read_text()
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"templates"}
    assert {name for name in rooms if f"| `{name}` |" not in page} == set()


def test_the_files_that_the_page_names_exist():
    page = (PACKAGE / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:\w+/)+\w+\.(?:py|toml|md))`", page))
    assert named
    homes = (PACKAGE, ROOT)
    assert {name for name in named if not any((home / name).exists() for home in homes)} == set()


def test_imports_inside_the_package_are_relative():
    # The drills' strategies are copied into a user folder, where they stand alone.
    alone = set((PACKAGE / "drill").glob("*_strategy.py"))
    absolute = re.compile(r"^\s*(from|import) bitopro_margin_ext\b(?!$)", re.MULTILINE)
    assert [p for p in MODULES if p not in alone and absolute.search(p.read_text())] == []
