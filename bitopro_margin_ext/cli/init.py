"""``bitopro-margin init``: a user folder from which Freqtrade starts with the plugin on."""

import argparse
import json
import os
import secrets
from importlib import resources
from pathlib import Path
from typing import Final

from .common import ExitCode, UsageError, print_out

HELP: Final = "write a Freqtrade config with the plugin enabled, and an example strategy"
STRATEGY: Final = "emergency_cancel_strategy.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say where to write."""
    parser.add_argument(
        "--userdir",
        "--user-data-dir",
        type=Path,
        default=Path("user_data"),
        metavar="FOLDER",
        help="Freqtrade's user folder, made if it is not there (default: user_data)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite what is there")


def run(args: argparse.Namespace) -> int:
    """Write both files, or neither; overwrite nothing unless told to."""
    config = args.userdir / "config.json"
    strategy = args.userdir / "strategies" / STRATEGY
    texts = {config: build_config(), strategy: _template(f"{STRATEGY}.txt")}
    present = [str(path) for path in texts if path.exists()]
    if present and not args.force:
        raise UsageError(
            f"{' and '.join(present)} already there: nothing was written; --force overwrites"
        )
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, text)
    except OSError as error:
        raise UsageError(f"{args.userdir} cannot be written to: {error.strerror}") from None
    for path in texts:
        print_out(f"wrote {path}")
    print_out(_NEXT_STEPS.format(config=config, userdir=args.userdir))
    return ExitCode.CONFIRMED


def build_config() -> str:
    """The config as text: the template with secrets of its own for Freqtrade's REST server."""
    document = json.loads(_template("config.json"))
    document["api_server"]["jwt_secret_key"] = secrets.token_hex(32)
    document["api_server"]["password"] = secrets.token_urlsafe(16)
    return json.dumps(document, indent=2) + "\n"


_NEXT_STEPS: Final = """
The filter "bitopro_margin" in log_config is what enables the plugin: a config of your own needs
the whole log_config block of this one, or Freqtrade does not know the exchange bitopromargin.
Dry-run is on. Keys go into exchange.key and exchange.secret, or into the variables
FREQTRADE__EXCHANGE__KEY and FREQTRADE__EXCHANGE__SECRET.

Next:  freqtrade trade --userdir {userdir} -c {config}
       bitopro-margin doctor --userdir {userdir} -c {config}"""


def _template(name: str) -> str:
    folder = resources.files("bitopro_margin_ext") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read: a config is where keys end up."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    path.chmod(0o600)
