"""``bitopro-margin init``: a user folder from which Freqtrade starts with the plugin on."""

import argparse
import json
import os
import secrets
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from ..core.endpoints import SANDBOX_URL
from ..sandbox import API_KEY, API_SECRET
from .common import ExitCode, UsageError, print_out

HELP: Final = "write a Freqtrade config with the plugin on, and a strategy"
STRATEGY: Final = "emergency_cancel_strategy.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say where to write."""
    parser.add_argument(
        "--userdir",
        "--user-data-dir",
        type=Path,
        metavar="FOLDER",
        help="Freqtrade's user folder, made if it is not there (default: user_data)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace what is there; it is kept beside it, with .bak at its end",
    )
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="point the config at the sandbox; for a config that is there already, write a "
        "sandbox.json to be given after it",
    )
    parser.add_argument(
        "--print-log-config",
        action="store_true",
        help="write nothing; print the log_config block that enables the plugin in any config",
    )


def run(args: argparse.Namespace) -> int:
    """Write both files, or neither; replace nothing unless asked to."""
    if args.print_log_config:
        if args.force or args.sandbox or args.userdir is not None:
            raise UsageError("--print-log-config writes nothing: give it alone")
        block = json.loads(_template("config.json"))["log_config"]
        print_out(json.dumps({"log_config": block}, indent=2))
        return ExitCode.CONFIRMED
    userdir = args.userdir or Path("user_data")
    config = userdir / "config.json"
    strategy = userdir / "strategies" / STRATEGY
    overlay = userdir / "sandbox.json" if args.sandbox and config.exists() else None
    if overlay is not None:
        texts = {overlay: _as_text(sandbox_settings(userdir))}
    else:
        settings = sandbox_settings(userdir) if args.sandbox else {}
        texts = {config: build_config(settings), strategy: _template(f"{STRATEGY}.txt")}
    present = [path for path in texts if path.exists()]
    if present and not args.force:
        raise UsageError(
            f"{' and '.join(map(str, present))} already there: nothing was written; --force "
            "replaces, and keeps what is there with .bak at its end"
        )
    try:
        for path in present:
            print_out(f"kept {_set_aside(path)}")
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, text)
    except OSError as error:
        raise UsageError(f"{userdir} cannot be written to: {error.strerror}") from None
    for path in texts:
        print_out(f"wrote {path}")
    files = f"-c {config}" + (f" -c {overlay}" if overlay else "")
    steps = _SANDBOX_STEPS if args.sandbox else _NEXT_STEPS
    print_out(steps.format(files=files, userdir=userdir, sandbox=SANDBOX_URL))
    return ExitCode.CONFIRMED


def build_config(changes: Mapping[str, Any] | None = None) -> str:
    """The config as text: the template with secrets of its own for Freqtrade's REST server."""
    document = json.loads(_template("config.json"))
    document["api_server"]["jwt_secret_key"] = secrets.token_hex(32)
    document["api_server"]["password"] = secrets.token_urlsafe(16)
    exchange = document["exchange"] | (changes or {}).get("exchange", {})
    return _as_text(document | (changes or {}) | {"exchange": exchange})


def sandbox_settings(userdir: Path) -> dict[str, Any]:
    """What makes a bot trade on the sandbox: its address, its published key, a database apart."""
    return {
        "dry_run": False,
        "db_url": f"sqlite:///{userdir.resolve() / 'sandbox.sqlite'}",
        "exchange": {
            "key": API_KEY,
            "secret": API_SECRET,
            "ccxt_config": {"sandbox": True},
        },
    }


_NEXT_STEPS: Final = """
The filter "bitopro_margin" in log_config is what enables the plugin: a config of your own needs
the whole log_config block of this one, or Freqtrade does not know the exchange bitopromargin.
`bitopro-margin init --print-log-config` prints that block.
Dry-run is on. Keys go into exchange.key and exchange.secret, or into the variables
FREQTRADE__EXCHANGE__KEY and FREQTRADE__EXCHANGE__SECRET.

Next:  freqtrade trade --userdir {userdir} {files}
       bitopro-margin doctor --userdir {userdir} {files}"""

_SANDBOX_STEPS: Final = """
The sandbox, in a terminal of its own; its page is {sandbox}/ :
  bitopro-margin sandbox
The bot on it, with a database of its own; its orders; and how to move a price:
  freqtrade trade --userdir {userdir} {files}
  bitopro-margin orders {files}
  curl -d '{{"pair": "btc_usdt", "price": "59000"}}' {sandbox}/_sandbox/price"""


def _set_aside(path: Path) -> Path:
    """Rename a file to one that is not there yet: keys in it must not be lost."""
    number = 0
    while True:
        kept = path.with_name(f"{path.name}.bak{number or ''}")
        if not kept.exists():
            path.rename(kept)
            return kept
        number += 1


def _as_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _template(name: str) -> str:
    folder = resources.files("bitopro_margin_ext") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read: a config is where keys end up."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    path.chmod(0o600)
