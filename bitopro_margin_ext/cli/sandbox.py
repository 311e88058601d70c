"""``bitopro-margin sandbox``: a local exchange to try things on."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from types import FrameType

from ..sandbox import defaults

HELP = "run a local exchange that behaves as BitoPro documents"

_CONTROLS = """\
controls (JSON, no key, under /_sandbox; bitopro_margin_ext.sandbox.SandboxControl calls them):
  POST /price          {"pair": "btc_usdt", "price": "60000"} (bid, ask as wished), or
                       {"prices": {"btc_usdt": "60000", "eth_usdt": "3000"}}
  POST /orders         put orders on the account as if by hand: {"orders": [{"pair": "btc_usdt",
                       "action": "SELL", "amount": "0.1", "price": "61000", ...}]}; more fields:
                       kind (margin, spot), type (also SP_OCO_STOPLIMIT, SL_OCO_STOPLIMIT), status,
                       executedAmount, stopPrice, condition, timeInForce, clientId, id, age, fund
  POST /orders/ID/fill {"fraction": "0.5"} of the original, or {"amount": "0.1"}; empty: the rest
  POST /orders/ID/cancel
  POST /stops/reject   {"times": 1, "text": "..."}: refuse the next stop orders
  POST /balances       {"kind": "margin", "balances": {"USDT": "1000"}}
  POST /accounts       {"email": "...", "keys": [{"key": "k", "secret": "s", "margin": true}]}
  POST /keys           {"key": "k", "revoked": true} or {"key": "k", "margin": false}
  POST /pairs          {"pair": "eth_usdt", "listed": false} or {"maintain": true}
  POST /clock          {"advance": 3600} lets time pass, {"skew": 60} makes the clock wrong
  GET, POST /switches  the ambiguities of the documents, rate_limits, latency_ms, matching
  GET /state           everything that is true
  GET, DELETE /requests   the request log (?after=N)
  POST /streams/drop   {"path": "*"} cuts websockets; POST /streams/refuse {"times": 1}
  POST, GET, DELETE /faults   rules, with hit counts; see below
  POST /reset          start afresh

faults: {"kind": ..., "method": "DELETE", "path": "/margin/orders/*", "times": 1, ...}
  path is a glob (a regular expression with "regex": true), with or without /v3; times null is for
  ever; "after": n lets n calls pass first; "probability" and "seed" hit at random, repeatably;
  method WS is for the handshakes of streams, which close, delay and clock can hit
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; the epilog documents every control and fault."""
    parser.add_argument("--host", default=defaults.HOST, help="loopback address to listen on")
    parser.add_argument(
        "--port", type=int, default=defaults.PORT, help="port, 0 for any (default %(default)s)"
    )
    parser.add_argument(
        "--latency-ms", type=float, default=0, metavar="MS", help="round trip to imitate"
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
    parser.epilog = _CONTROLS + _fault_lines()


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        from ..sandbox.server import SandboxServer
        from ..sandbox.state import Switches
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is missing: pip install 'bitopro-margin-ext[sandbox]'")
    try:
        server = SandboxServer(
            args.host,
            args.port,
            latency_ms=args.latency_ms,
            rate_limits=not args.no_rate_limits,
            switches=Switches(matching=not args.no_matching),
            allow_remote=args.allow_remote,
        )
        server.start()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return _fail(f"cannot listen on {args.host}:{args.port}: {reason}")
    except ValueError as error:
        return _fail(f"{error} (use --allow-remote to listen anyway)")
    print(
        f"sandbox ready: rest={server.rest_url} ws={server.ws_url} control={server.control_url} "
        f"key={defaults.API_KEY} secret={defaults.API_SECRET}",
        flush=True,
    )
    _wait_for_the_end()
    server.stop()
    return 0


def _wait_for_the_end() -> None:
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    ended.wait()


def _fail(text: str) -> int:
    print(f"bitopro-margin sandbox: {text}", file=sys.stderr)
    return 2


def _fault_lines() -> str:
    from ..sandbox.faults import KINDS

    lines = []
    for kind, (options, meaning) in KINDS.items():
        named = f" ({', '.join(options)})" if options else ""
        lines.append(f"  {kind}{named}: {meaning}")
    return "\n".join(lines) + "\n"
