"""Arguments: errors in one line, and what several commands ask in the same words."""

import argparse
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from bitopro_margin_ext.configuration import ConfigurationError, load_configuration
from bitopro_margin_ext.credentials import (
    CredentialError,
    Credentials,
    find_base_url,
    find_credentials,
    require_address,
)
from bitopro_margin_ext.wire import pair_symbol

from . import codes
from .terminal import UsageError, tell


class CommandParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating values: one may be a secret."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit."""
        tell(f"{self.prog}: {message} (see {self.prog} --help)")
        self.exit(codes.USAGE)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """Parse, and name unknown options, but not what stands behind them."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            names = [word.split("=")[0] for word in unknown if word.startswith("-")]
            self.error(f"unknown option {names[0]}" if names else "too many arguments")
        parsed: argparse.Namespace = known
        return parsed


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("give a number of seconds above 0")
    return value


def pair(text: str) -> str:
    """A pair, like BTC/USDT; nothing else, so that no slip widens what is cancelled."""
    try:
        return pair_symbol(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_access_arguments(parser: argparse.ArgumentParser) -> None:
    """Say where the key is and which host is meant."""
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="a Freqtrade config with the keys; several are merged as Freqtrade merges them",
    )
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="the address before /margin: https, or a loopback address "
        "(default: the config's, or BitoPro's)",
    )


def read_config(files: Sequence[str]) -> dict[str, Any]:
    """The merged config, of the variables alone if no file is named.

    Warns of files that others can read.

    :raises UsageError: when one cannot be read.
    """
    try:
        return load_configuration(files, os.environ, _warn_of_readers)
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def read_access(args: argparse.Namespace, config: dict[str, Any]) -> tuple[Credentials, str]:
    """Whose account at which address, by the arguments of ``add_access_arguments``.

    :raises UsageError: where there is no usable key or address.
    """
    try:
        address = None if args.base_url is None else require_address(args.base_url)
        credentials = find_credentials(config, os.environ, config_first=bool(args.config))
        return credentials, address or find_base_url(config, os.environ)
    except CredentialError as error:
        raise UsageError(str(error)) from None


def _warn_of_readers(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        tell(f"warning: {path} can be read by other users: chmod 600 {path}")
