"""What an installed package says of itself, and carries with it."""

import re
from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_licence_text_and_true_addresses_are_in_the_metadata():
    said = metadata("bitopro-margin-ext")
    assert said["License-File"] == "bitopro_margin_ext/LICENSE"
    assert "WITHOUT WARRANTY" in (ROOT / said["License-File"]).read_text()
    addresses = dict(line.split(", ") for line in said.get_all("Project-URL"))
    assert addresses
    assert all(address.startswith("https://") for address in addresses.values())


def test_nobody_is_sent_to_a_placeholder():
    texts = [ROOT / "README.md", ROOT / "setup.cfg", *ROOT.glob("bitopro_margin_ext/**/*.md")]
    assert [path for path in texts if re.search(r"\bOWNER\b", path.read_text())] == []


def test_the_linters_of_the_gate_and_of_a_commit_are_the_same():
    gate, commit = ((ROOT / name).read_text() for name in (".ci/run", ".pre-commit-config.yaml"))
    commands = set(re.findall(r"^\.venv/bin/(ruff \w+|mypy|lint-imports)", gate, re.MULTILINE))
    assert commands == set(re.findall(r"entry: \.venv/bin/(ruff \w+|mypy|lint-imports)", commit))
