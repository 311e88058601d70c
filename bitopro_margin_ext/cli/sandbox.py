"""``bitopro-margin sandbox``: a local exchange to try things on."""

from __future__ import annotations

import argparse
import signal
import threading
from types import FrameType

from ..sandbox import API_KEY, API_SECRET, HOST, PORT
from .common import UsageError

HELP = "run a local exchange that behaves as BitoPro documents"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; the epilog documents every control and fault."""
    parser.add_argument("--host", default=HOST, help="loopback address to listen on")
    parser.add_argument(
        "--port", type=int, default=PORT, help="port, 0 for any (default %(default)s)"
    )
    parser.add_argument(
        "--latency-ms", type=_milliseconds, default=0, metavar="MS", help="round trip to imitate"
    )
    parser.add_argument(
        "--no-rate-limits", action="store_true", help="do not enforce the documented limits"
    )
    parser.add_argument(
        "--no-matching", action="store_true", help="orders rest until a control fills them"
    )
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="listen on an address that is not loopback; whoever reaches it controls everything",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _reference()


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 60_000:
        raise argparse.ArgumentTypeError("give milliseconds, from 0 to 60000")
    return value


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ..sandbox.server import SandboxServer
    from ..sandbox.state import Switches

    try:
        server = SandboxServer(
            args.host,
            args.port,
            latency_ms=args.latency_ms,
            rate_limits=not args.no_rate_limits,
            switches=Switches(matching=not args.no_matching),
            allow_remote=args.allow_remote,
        ).start()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen on {args.host}:{args.port}: {reason}") from None
    except ValueError as error:
        raise UsageError(f"{error} (use --allow-remote to listen anyway)") from None
    print(
        f"sandbox ready: rest={server.rest_url} ws={server.ws_url} control={server.control_url} "
        f"key={API_KEY} secret={API_SECRET}",
        f"to watch and steer it, open {server.url}/ in a browser",
        sep="\n",
        flush=True,
    )
    _wait_for_interrupt()
    server.stop()
    return 0


def _wait_for_interrupt() -> None:
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    ended.wait()


def _reference() -> str:
    try:
        from ..sandbox.control_api import reference
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed: pip install 'bitopro-margin-ext[sandbox]'"
    return reference()
