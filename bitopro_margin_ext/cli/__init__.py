"""The ``bitopro-margin`` command: one module a subcommand, imported only when it runs.

A command's module has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args) -> int``,
and imports what is heavy inside ``run``.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from .._version import __version__
from .common import OUTCOMES, ExitCode, UsageError, finish, print_err, print_out

COMMANDS: Final = (
    "cancel-all",
    "orders",
    "account",
    "loans",
    "plot",
    "doctor",
    "guard",
    "init",
    "sandbox",
    "drill",
    "docs",
)
EXTRAS: Final = {
    "loans": "freqtrade",
    "plot": "freqtrade,plot",
    "doctor": "freqtrade",
    "sandbox": "sandbox",
    "drill": "freqtrade,sandbox",
}
"""What a command needs beyond a plain install."""

PROGRAM: Final = "bitopro-margin"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code, a value of ``common.ExitCode``."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        return _dispatch(arguments)
    except SystemExit as stop:
        # argparse ends --help so.
        return stop.code if isinstance(stop.code, int) else ExitCode.CONFIRMED
    except KeyboardInterrupt:
        print_err("interrupted")
        return ExitCode.INTERRUPTED
    except UsageError as error:
        return _fail(arguments, ExitCode.USAGE, str(error), error.command)
    except ModuleNotFoundError as missing:
        package = (missing.name or "a package").split(".")[0]
        extra = EXTRAS.get(arguments[0])
        install = f"bitopro-margin-ext[{extra}]" if extra else package
        text = f"{package} is not installed: pip install '{install}'"
        return _fail(arguments, ExitCode.USAGE, text)
    except Exception as error:
        text = f"{_locate(error)}; please report it. Nothing is certain: look again"
        return _fail(arguments, ExitCode.UNKNOWN, text)
    finally:
        finish()


def _fail(arguments: list[str], code: ExitCode, text: str, command: str = "") -> ExitCode:
    """Say why a command did not come to its own end; whoever asked for a document gets one."""
    if "--json" in arguments:
        try:
            fields = getattr(_module(arguments[0]), "EMPTY_DOCUMENT", {})
        except Exception:
            fields = {}
        print_out(json.dumps({**fields, "outcome": OUTCOMES[code], "error": text}))
    print_err(f"{f'{PROGRAM} {command}'.rstrip()}: {text}")
    return code


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print_out(_overview())
        return ExitCode.CONFIRMED if arguments else ExitCode.USAGE
    name, *rest = arguments
    if name in ("-V", "--version"):
        print_out(f"{PROGRAM} {__version__}")
        return ExitCode.CONFIRMED
    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name.lower().replace("_", "-"), COMMANDS, n=1)
        there_are = f"there are {', '.join(COMMANDS)}"
        raise UsageError(f"no such command: {f'did you mean {near[0]}?' if near else there_are}")
    from .common import CommandParser

    command = _module(name)
    parser = CommandParser(prog=f"{PROGRAM} {name}", description=command.HELP, allow_abbrev=False)
    command.add_arguments(parser)
    code: int = command.run(parser.parse_args(rest))
    return code


def _module(name: str) -> Any:
    return importlib.import_module(f".{name.replace('-', '_')}", __name__)


def _overview() -> str:
    lines = [f"usage: {PROGRAM} COMMAND [OPTIONS]", ""]
    for name in COMMANDS:
        try:
            summary = _module(name).HELP
        except ImportError:
            summary = f"(needs pip install 'bitopro-margin-ext[{EXTRAS.get(name, name)}]')"
        lines.append(f"  {name:<11} {summary}")
    lines += ["", f"{PROGRAM} COMMAND --help says more. Exit codes: 0 confirmed or well, 1"]
    lines += ["orders remain or a check failed, 2 usage or configuration, 3 unknown, 130"]
    lines += ["interrupted."]
    return "\n".join(lines)


def _locate(error: Exception) -> str:
    """Name an error that nobody foresaw, by type and place: its text could hold anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else ""
    return f"unexpected {type(error).__name__}{where}"
