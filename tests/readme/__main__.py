"""``python -m tests.readme [SESSION …]``: write the generated parts of the README anew."""

import sys
import tempfile
from pathlib import Path

from .document import README, with_session
from .sessions import SESSIONS, play

for name in sys.argv[1:] or SESSIONS:
    with tempfile.TemporaryDirectory() as folder:
        lines = play(name, Path(folder).resolve())
    README.write_text(with_session(README.read_text(), name, lines))
    print("\n".join(lines))
