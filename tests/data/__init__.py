import json
from pathlib import Path
from typing import Any


def example(name: str) -> Any:
    """A documented example, fresh at each call."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())
