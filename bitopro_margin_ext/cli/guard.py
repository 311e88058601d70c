"""``bitopro-margin guard``: cancel everything when the bot falls silent."""

import argparse
import hashlib
import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .common import (
    ExitCode,
    UsageError,
    add_access_arguments,
    print_err,
    read_access,
    read_config,
    seconds,
)

if TYPE_CHECKING:
    from ..guard.heartbeat import Heartbeat

HELP: Final = "cancel all margin orders when the bot falls silent"
AFTER: Final = 120.0
INTERVAL: Final = 5.0
DEADLINE: Final = 20.0
PROCESS_THROTTLE_SECS: Final = 5
"""Freqtrade's default."""
WEBHOOK_VARIABLE: Final = "BITOPRO_GUARD_WEBHOOK"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what to watch, and when to fire."""
    parser.epilog = (
        "A bot is silent while it finishes no round, also when it was stopped on purpose: end the "
        "guard first. It is armed by the first sign of life that it sees, fires once for one "
        "event, and is armed again when the bot is back."
    )
    parser.add_argument(
        "--after",
        type=seconds,
        default=AFTER,
        metavar="SECONDS",
        help="how long the bot may be silent (default: %(default)g)",
    )
    parser.add_argument(
        "--interval",
        type=seconds,
        default=INTERVAL,
        metavar="SECONDS",
        help="look every so many seconds, or thrice within --after (default: %(default)g)",
    )
    parser.add_argument(
        "--min-ad-ratio", type=_ratio, metavar="RATIO", help="fire as well below this adRatio"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--heartbeat-file",
        metavar="FILE",
        help="watch a file that the bot touches (its option bitopro_margin.heartbeat_file)",
    )
    where.add_argument(
        "--bot-url",
        metavar="URL",
        help="Freqtrade's REST server (default: where the config's api_server listens)",
    )
    parser.add_argument(
        "--armed-from-start",
        action="store_true",
        help="fire for a bot that has never shown a sign of life, too",
    )
    parser.add_argument(
        "--deadline",
        type=seconds,
        default=DEADLINE,
        metavar="SECONDS",
        help="for one try at cancelling; tries follow until confirmed (default: %(default)g)",
    )
    parser.add_argument(
        "--webhook",
        metavar="URL",
        help=f"POST what happens to this address too (better in {WEBHOOK_VARIABLE})",
    )
    parser.add_argument(
        "--state-file",
        type=Path,
        metavar="FILE",
        help="what the guard remembers over its restart (default: one in $STATE_DIRECTORY, "
        "$XDG_STATE_HOME or ~/.local/state)",
    )
    add_access_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Watch until a signal ends it."""
    config = read_config(args.config)
    credentials, base_url = read_access(args, config)
    webhook_url = args.webhook or os.environ.get(WEBHOOK_VARIABLE) or None
    if webhook_url is not None and not webhook_url.startswith(("https://", "http://")):
        raise UsageError("the webhook must be an address that begins with https:// or http://")
    heartbeat = _heartbeat(args, config)
    _check_throttle(config, args.after)

    import logging
    import signal

    from ..core import redaction
    from ..core.client import MarginClient
    from ..guard.state import Phase, Rule, StateFile
    from ..guard.watch import READ_SECONDS, Watch, Webhook, refusal

    redaction.redact_all_records()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logger = logging.getLogger(__name__)
    rule = Rule(args.after, min(args.interval, args.after / 3), args.min_ad_ratio)
    client = MarginClient(credentials, base_url)
    subject = _digest(f"{heartbeat.identity} {base_url} {credentials.key}")
    watch = Watch(
        rule,
        heartbeat,
        client,
        StateFile(args.state_file or _default_state_file(subject), subject),
        Webhook(webhook_url),
        deadline=args.deadline,
        armed_from_start=args.armed_from_start,
    )
    never_seen = watch.state.beat is None
    if heartbeat.look(READ_SECONDS) is None and heartbeat.refused and never_seen:
        raise UsageError(f"the guard could never see the bot: {heartbeat.refused}")
    refused = refusal(client)
    if refused is not None:
        raise UsageError(f"the guard could not cancel anything: {refused}")
    ended_by: list[int] = []

    def end(number: int, frame: Any) -> None:
        # A cancel-all on its way is finished first: its deadline bounds it.
        ended_by.append(number)
        watch.stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    low = "" if rule.min_ad_ratio is None else f", or adRatio below {rule.min_ad_ratio}"
    logger.info(
        f"watching {heartbeat} every {rule.interval:g} s: {rule.after:g} s of silence{low} cancels "
        f"every margin order of {credentials.account} at {base_url}"
    )
    if watch.state.heartbeat is Phase.WAITING:
        logger.info("not armed yet: the first sign of life of the bot arms it")
    watch.run()
    logger.info("the guard has ended: nobody watches the bot now")
    return ExitCode.INTERRUPTED if signal.SIGINT in ended_by else ExitCode.CONFIRMED


def _heartbeat(args: argparse.Namespace, config: dict[str, Any]) -> "Heartbeat":
    from ..core.credentials import heartbeat_path
    from ..guard.heartbeat import BeatFile, find_health

    own = config.get("bitopro_margin")
    configured = own.get("heartbeat_file") if isinstance(own, dict) else None
    last = args.config[-1] if args.config else None
    try:
        if args.heartbeat_file is not None:
            path = heartbeat_path(args.heartbeat_file)
            if configured and (bots := heartbeat_path(str(configured), last)) != path:
                print_err(f"warning: the bot touches {bots}, by its config, and not {path}")
            return BeatFile(path)
        health = find_health(config, args.bot_url)
        if health is not None:
            return health
        if configured:
            return BeatFile(heartbeat_path(str(configured), last))
    except ValueError as error:
        raise UsageError(str(error)) from None
    raise UsageError(
        "nothing to watch: enable api_server in the config given with -c, or name the bot's "
        "--heartbeat-file or --bot-url"
    )


def _check_throttle(config: dict[str, Any], after: float) -> None:
    """Refuse to call a bot silent that only waits for its next round."""
    internals = config.get("internals")
    # A whole config, rather than one with the keys alone, leaves Freqtrade's default standing.
    throttle = PROCESS_THROTTLE_SECS if "stake_currency" in config else None
    if isinstance(internals, dict):
        throttle = internals.get("process_throttle_secs", throttle)
    if isinstance(throttle, bool) or not isinstance(throttle, int | float):
        return
    if throttle >= after:
        raise UsageError(
            f"--after {after:g} is too short: the bot makes a round every {throttle:g} s "
            "(internals.process_throttle_secs), and would look silent between two of them"
        )


def _ratio(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError("give a ratio above 0, like 1.5")
    return value


def _digest(text: str) -> str:
    """A name for one watch, which gives nothing away."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _default_state_file(subject: str) -> Path:
    # systemd sets the first for a unit with StateDirectory=.
    name = f"guard-{subject}.json"
    base = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if base:
        return Path(base) / name
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "bitopro-margin" / name
