"""What the commands share: exit codes, printing, asking, and the arguments that name an account."""

import argparse
import enum
import math
import os
import select
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from ..core.credentials import CredentialError, Credentials, find_base_url, find_credentials
from ..core.endpoints import pair_symbol
from ..core.errors import BitoproMarginError
from ..core.redaction import redact
from .freqtrade_config import ConfigurationError, load_configuration


class ExitCode(enum.IntEnum):
    """How a command ended."""

    CONFIRMED = 0
    """The exchange's own list shows nothing open in scope. Of other commands: all is well."""
    REMAINING = 1
    """Orders remain open. Of other commands: a check failed."""
    USAGE = 2
    """Usage or configuration: the exchange was not asked, or refused. Nothing was done."""
    UNKNOWN = 3
    """The exchange did not say enough: look again."""
    INTERRUPTED = 130
    """Interrupted, or not agreed to, after saying what is known so far."""


OUTCOMES: Final = {
    ExitCode.CONFIRMED: "confirmed",
    ExitCode.REMAINING: "remaining",
    ExitCode.USAGE: "refused",
    ExitCode.UNKNOWN: "unknown",
    ExitCode.INTERRUPTED: "interrupted",
}
"""The word for each in the field ``outcome`` of every document."""

PIPE_PATIENCE: Final = 0.2
"""Seconds to wait for a byte of a pipe: what writes it may have started just now."""
LONGEST_ANSWER: Final = 64
NOT_AGREED: Final = "the answer is not y or yes"


class UsageError(BitoproMarginError):
    """The command cannot do what was asked; the text is one line that says what to do.

    ``command`` names it where the line is about its own arguments.
    """

    def __init__(self, text: str, command: str = "") -> None:
        super().__init__(text)
        self.command = command


def print_out(text: str) -> bool:
    """Print a line. A closed pipe or an odd encoding does not stop the caller.

    :returns: whether somebody reads on.
    """
    return write_line(redact(text), sys.stdout)


def print_err(text: str) -> bool:
    """Print a line for people, where it does not mix with a document on standard output."""
    return write_line(redact(text), sys.stderr)


def write_line(line: str, stream: TextIO | None) -> bool:
    """Write what needs no blanking any more, as ``print_out`` does."""
    if stream is None:
        return True
    try:
        try:
            stream.write(line + "\n")
        except UnicodeEncodeError:
            stream.write(line.encode("ascii", "backslashreplace").decode() + "\n")
        stream.flush()
    except (OSError, ValueError):
        # Nobody reads it: that must not keep orders open.
        return False
    return True


def ask(question: str) -> bool | None:
    """Ask on the terminal, where no answer is a no; without one, read the line that was piped in.

    On a pipe y and yes agree, and any other word is a no: it was meant as an answer. None where
    nothing is said: a kill switch in a script must not wait to be agreed to.
    """
    if on_terminal():
        if sys.stderr is not None:
            sys.stderr.write(f"{question} [y/N] ")
            sys.stderr.flush()
        try:
            return sys.stdin.readline().strip().lower() in ("y", "yes")
        except KeyboardInterrupt:
            return False
    line = _piped_line().strip().lower()
    return line in (b"y", b"yes") if line else None


def on_terminal() -> bool:
    """Whether there is somebody who could be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def _piped_line() -> bytes:
    """One line of standard input, as far as it is there; what follows it is left for others."""
    line = b""
    if sys.stdin is None:
        return line
    try:
        while len(line) < LONGEST_ANSWER and not line.endswith(b"\n"):
            if not select.select([sys.stdin], [], [], PIPE_PATIENCE)[0]:
                break
            character = os.read(sys.stdin.fileno(), 1)
            if not character:
                break
            line += character
    except (AttributeError, OSError, ValueError):
        return b""  # nothing that can be read
    return line


def finish() -> None:
    """Flush; if the reader has gone, keep the interpreter from complaining about it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class CommandParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating values: one may be a secret."""

    def error(self, message: str) -> NoReturn:
        """Leave the line to whoever runs the command.

        :raises UsageError: always.
        """
        raise UsageError(f"{message} (see {self.prog} --help)", self.prog.partition(" ")[2])

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


def add_pair_argument(parser: argparse.ArgumentParser) -> None:
    """Say which pairs; none means all."""
    parser.add_argument(
        "--pair",
        type=pair,
        action="append",
        dest="pairs",
        default=[],
        metavar="PAIR",
        help="only this pair, like BTC/USDT; may be given several times (default: all)",
    )


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
        "--url",
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


def read_address(args: argparse.Namespace, config: dict[str, Any]) -> str:
    """The exchange that the arguments of ``add_access_arguments`` mean.

    :raises UsageError: for an address that cannot be used.
    """
    try:
        return find_base_url(config, os.environ, args.base_url)
    except CredentialError as error:
        raise UsageError(str(error)) from None


def read_access(args: argparse.Namespace, config: dict[str, Any]) -> tuple[Credentials, str]:
    """Whose account at which address, by the arguments of ``add_access_arguments``.

    :raises UsageError: where there is no usable key or address.
    """
    address = read_address(args, config)
    try:
        return find_credentials(config, os.environ, config_first=bool(args.config)), address
    except CredentialError as error:
        raise UsageError(str(error)) from None


def _warn_of_readers(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        print_err(f"warning: {path} can be read by other users: chmod 600 {path}")
