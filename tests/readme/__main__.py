"""``python -m tests.readme [SESSION …]``: record the sessions that README and docs show anew."""

import sys
import tempfile
from pathlib import Path

from .document import home_of, with_session
from .sessions import SESSIONS, play

for name in sys.argv[1:] or SESSIONS:
    with tempfile.TemporaryDirectory() as folder:
        lines = play(name, Path(folder).resolve())
    home = home_of(name)
    home.write_text(with_session(home.read_text(), name, lines))
    print("\n".join(lines))
