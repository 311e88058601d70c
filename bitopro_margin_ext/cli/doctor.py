"""``bitopro-margin doctor``: check everything that an emergency depends on."""

import argparse
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .common import ExitCode, UsageError, add_access_arguments, print_out, read_access, read_config

if TYPE_CHECKING:
    from ..doctor import Finding

HELP: Final = "check versions, config, strategy, host and key; one line a check, with the fix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which bot."""
    parser.add_argument(
        "--userdir",
        "--user-data-dir",
        type=Path,
        metavar="FOLDER",
        help="Freqtrade's user folder; its config.json is taken if none is named",
    )
    parser.add_argument("--strategy", metavar="NAME", help="the strategy, if not in the config")
    parser.add_argument(
        "--offline", action="store_true", help="only what can be checked on this machine"
    )
    add_access_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Check and print; exit with 1 if a check failed."""
    from ..doctor import State

    if not args.config:
        default = (args.userdir or Path("user_data")) / "config.json"
        if not default.is_file():
            raise UsageError(f"no config: there is no {default}; name one with -c")
        args.config = [str(default)]
    config = read_config(args.config)
    failures = 0
    for finding in _findings(args, config):
        print_out(str(finding))
        failures += finding.state is State.FAIL
    print_out("nothing to mend" if not failures else f"{failures} to mend")
    return ExitCode.REMAINING if failures else ExitCode.CONFIRMED


def _findings(args: argparse.Namespace, config: dict[str, Any]) -> "Iterator[Finding]":
    from ..doctor import note
    from ..doctor.config_checks import check_orders, check_settings
    from ..doctor.version_checks import check_versions

    yield from check_versions()
    yield from check_settings(config)
    if importlib.util.find_spec("freqtrade") is None:
        yield note("strategy", "cannot be checked without Freqtrade")
        yield from check_orders(config)
    else:
        from ..doctor.strategy_checks import check_strategy

        yield from check_strategy(config, args.config, args.userdir, args.strategy)
    if not args.offline:
        yield from _online(args, config)


def _online(args: argparse.Namespace, config: dict[str, Any]) -> "Iterator[Finding]":
    from ..core.client import MarginClient
    from ..core.credentials import CredentialError, require_address
    from ..core.endpoints import REST_URL
    from ..doctor import State, fail, note
    from ..doctor.account_checks import check_host, check_key

    try:
        credentials, base_url = read_access(args, config)
    except UsageError as error:
        if config.get("dry_run"):
            yield note("key", f"a dry run needs none; {error}")
        else:
            yield fail("key", str(error), "give the bot its key")
        try:
            yield from check_host(require_address(args.base_url or REST_URL))
        except CredentialError as problem:
            yield fail("host", str(problem), "correct --base-url")
        return
    reached = True
    for finding in check_host(base_url):
        reached &= not (finding.subject == "host" and finding.state is State.FAIL)
        yield finding
    if reached:
        yield from check_key(MarginClient(credentials, base_url))
