"""``bitopro-margin doctor``: check everything that an emergency depends on."""

import argparse
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..core.endpoints import REST_URL
from .common import (
    ExitCode,
    UsageError,
    add_access_arguments,
    print_out,
    read_access,
    read_address,
    read_config,
)

if TYPE_CHECKING:
    from ..doctor import CheckResult

HELP: Final = "check versions, config, strategy, host and key, with the fixes"
EMPTY_DOCUMENT: Final[dict[str, Any]] = {"checks": [], "failures": 0}
DEFAULT_CONFIG: Final = "config.json"
"""As Freqtrade does without -c: in the user folder, or else in this one."""


def add_strategy_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which bot, as Freqtrade's commands do."""
    parser.add_argument(
        "--userdir",
        "--user-data-dir",
        type=Path,
        metavar="FOLDER",
        help="Freqtrade's user folder; its config.json is taken if none is named",
    )
    parser.add_argument("-s", "--strategy", type=_name, metavar="NAME", help="the strategy's class")
    parser.add_argument(
        "--strategy-path", type=_folder, metavar="FOLDER", help="where to look for it first"
    )


def _name(text: str) -> str:
    if not text.isidentifier():
        raise argparse.ArgumentTypeError("give the name of a class")
    return text


def _folder(text: str) -> str:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text!r}")
    return text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which bot, and how to show what was found."""
    add_strategy_arguments(parser)
    parser.add_argument(
        "--offline", action="store_true", help="only what can be checked on this machine"
    )
    parser.add_argument("--json", action="store_true", help="one document on standard output")
    add_access_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Check and print; exit with 1 if a check failed."""
    from ..doctor import State

    if args.offline and args.base_url is not None:
        raise UsageError("--base-url is where to ask, and --offline asks nobody: give one of them")
    args.config = args.config or [str(find_config(args.userdir))]
    config = read_config(args.config)
    found = []
    for result in _checks(args, config):
        found.append(result)
        if not args.json:
            print_out(str(result))
    failures = sum(result.state is State.FAIL for result in found)
    code = ExitCode.REMAINING if failures else ExitCode.CONFIRMED
    problems = "1 problem" if failures == 1 else f"{failures} problems"
    verdict = f"{problems} found" if failures else "no problems found"
    if args.json:
        document = {
            "outcome": "failed" if failures else "confirmed",
            "error": verdict if failures else None,
            "checks": [result.to_json() for result in found],
            "failures": failures,
        }
        print_out(json.dumps(document))
    else:
        print_out(verdict)
    return code


def find_config(userdir: Path | None) -> Path:
    """The config that Freqtrade takes where none is named.

    :raises UsageError: where there is none.
    """
    places = (userdir or Path("user_data")) / DEFAULT_CONFIG, Path(DEFAULT_CONFIG)
    for place in places:
        if place.is_file():
            return place
    raise UsageError(f"no config: there is no {places[0]}; name one with -c")


def _checks(args: argparse.Namespace, config: dict[str, Any]) -> "Iterator[CheckResult]":
    from ..doctor import State, fail, note, ok
    from ..doctor.account_checks import check_host
    from ..doctor.config_checks import (
        check_orders,
        check_sections,
        check_settings,
        check_versions,
    )

    address: str | None = None
    try:
        address = read_address(args, config)
    except UsageError as error:
        yield fail("address", str(error), "correct --base-url, or exchange.ccxt_config")
    else:
        kind = "the live exchange" if address == REST_URL else "not the live exchange"
        yield ok("address", f"{address}, {kind}")
    yield from check_versions()
    misshapen = list(check_sections(config))
    if misshapen:
        yield from misshapen
        yield note("Freqtrade", "not asked: it would stumble at the above")
        return
    yield from check_settings({**config, "config_files": args.config[::-1]})
    host = [] if args.offline or address is None else list(check_host(address))
    reached = all(result.subject != "host" or result.state is not State.FAIL for result in host)
    if importlib.util.find_spec("freqtrade") is None:
        yield note("strategy", "cannot be checked without Freqtrade")
        yield from check_orders(config)
    else:
        from ..doctor.strategy_checks import check_strategy

        arguments = {"config": args.config, "strategy": args.strategy}
        if args.userdir is not None:
            arguments["user_data_dir"] = str(args.userdir)
        if args.strategy_path is not None:
            arguments["strategy_path"] = args.strategy_path
        online = address if host and reached else None
        yield from check_strategy(config, arguments, base_url=online)
    yield from host
    if host and address is not None:
        yield from _check_account(args, config, address, reached=reached)


def _check_account(
    args: argparse.Namespace, config: dict[str, Any], address: str, *, reached: bool
) -> "Iterator[CheckResult]":
    from ..core.client import MarginClient
    from ..doctor import fail, note
    from ..doctor.account_checks import check_key

    try:
        credentials, _ = read_access(args, config)
    except UsageError as error:
        if config.get("dry_run"):
            yield note("key", f"a dry run needs none; {error}")
        else:
            yield fail("key", str(error), "give the bot its key")
        return
    if reached:
        yield from check_key(MarginClient(credentials, address))
