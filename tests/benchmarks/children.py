"""Processes that the benchmark starts, each as an installed package would run."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository: what is measured is the code beside this, installed or not."""
_CREDENTIALS = ("sandbox-key", "sandbox-secret", "sandbox@example.com")
KEY, SECRET, EMAIL = _CREDENTIALS


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: bytecode may be kept, as pip leaves it; no stray settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME")
        # (Freqtrade leaves logging alone where it finds itself under pytest.)
        and not name.startswith(("BITOPRO_", "FREQTRADE__", "PYTEST_"))
    }
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, **more}
