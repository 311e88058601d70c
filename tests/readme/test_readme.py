"""What the README shows is what happens."""

from pathlib import Path

import pytest

from .document import README, session_block
from .sessions import SESSIONS, comparable, play


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_in_the_readme_is_what_the_command_prints(name: str, tmp_path: Path) -> None:
    shown = session_block(README.read_text(), name)

    assert comparable(shown) == comparable(play(name, tmp_path.resolve()))
