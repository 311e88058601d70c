"""``bitopro-margin drill``: rehearse an emergency with a real Freqtrade on the sandbox."""

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import common
from .common import ExitCode, UsageError, print_err, print_out, read_config, seconds
from .doctor import add_strategy_arguments, find_config
from .view import Cell, Column, Rows, print_table

if TYPE_CHECKING:
    from ..drill.own_bot import OwnBot
    from ..drill.verdict import Verdict

HELP: Final = "rehearse an emergency with a real freqtrade on the sandbox"
WAYS: Final = ("stop-rejected", "exit-timeout")
SCOPE: Final = "all"
DEADLINE: Final = 10.0
PATIENCE: Final = 45.0
"""Seconds for each step of the drill."""
PATIENCE_WITH_OWN: Final = 90.0
"""And where the strategy may have more to compute than ours."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the drill."""
    parser.epilog = (
        "With -c or -s it is your own bot that is rehearsed: a copy of its config and strategies, "
        "at the sandbox's address with the sandbox's key and a database of its own. Nothing of "
        "yours is written to, and nothing but the sandbox is called for orders."
    )
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="the config of your own bot; several are merged as Freqtrade merges them",
    )
    add_strategy_arguments(parser)
    parser.add_argument(
        "--scenario",
        choices=(*WAYS, "all"),
        default="all",
        help="which way into the emergency (default: both, one after the other)",
    )
    parser.add_argument(
        "--scope",
        choices=("pair", "all"),
        help="what the hook cancels: the exiting pair's orders, or all (default: the config's, "
        "or all)",
    )
    parser.add_argument(
        "--deadline",
        type=seconds,
        metavar="SECONDS",
        help="the hook's deadline (default: the config's, or 10)",
    )
    parser.add_argument(
        "--watch", action="store_true", help="show the sandbox's page while the drill is played"
    )
    parser.add_argument(
        "--leverage",
        action="store_true",
        help="play a long and a short with borrowed money instead: interest, emergency, repayment",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument(
        "--keep", action="store_true", help="keep the user folder with log and database, name it"
    )


class Plan(NamedTuple):
    """What is to be played, on which bot."""

    ways: tuple[str, ...]
    scope: str
    deadline: float
    own: "OwnBot | None" = None


def run(args: argparse.Namespace) -> int:
    """Play, print, and exit with 0 only if both sides agree on everything."""
    if importlib.util.find_spec("freqtrade") is None:
        raise ModuleNotFoundError("freqtrade", name="freqtrade")
    if args.leverage:
        names = ("config", "userdir", "strategy", "strategy_path", "scope", "deadline")
        given = [name.replace("_", "-") for name in names if getattr(args, name)]
        given += ["scenario"] if args.scenario != "all" else []
        if given:
            raise UsageError(
                f"--leverage plays a scenario of its own: give it without --{given[0]}; a bot of "
                'your own with "trading_mode": "futures" is rehearsed without it'
            )
        return _run_leverage(args)
    ways = WAYS if args.scenario == "all" else (args.scenario,)
    if args.config or args.strategy or args.userdir or args.strategy_path:
        plan = _plan_own(args, ways)
    else:
        plan = Plan(ways, args.scope or SCOPE, args.deadline or DEADLINE)
        _check_options({"scope": plan.scope, "deadline": plan.deadline})
    documents = []
    agree = True
    for way in plan.ways:
        verdict, problem = _play(way, plan, args)
        agree &= verdict is not None and verdict.agrees
        documents.append(_document(way, plan, verdict, problem))
        if verdict is not None and not args.json:
            _print_verdict(verdict)
        if verdict is None:
            print_err(f"the drill stopped: {problem}")
            break
    if args.json:
        print_out(json.dumps(documents, indent=2))
    return ExitCode.CONFIRMED if agree else ExitCode.REMAINING


# -- the user's own bot ------------------------------------------------------------------------


def _plan_own(args: argparse.Namespace, ways: tuple[str, ...]) -> Plan:
    """Load the copy as Freqtrade would, and see which ways into an emergency it has.

    :raises UsageError: where it cannot be loaded, or has no such way.
    """
    from ..drill.own_bot import OwnBot, choose_pairs

    userdir = args.userdir or Path("user_data")
    config = read_config(args.config or [str(find_config(args.userdir))])
    name = args.strategy or config.get("strategy")
    if not name:
        raise UsageError("no strategy: name one with -s, or in the config")
    block = config.setdefault("bitopro_margin", {})
    if isinstance(block, dict):
        for option, value in (("scope", args.scope), ("deadline", args.deadline)):
            if value is not None:
                block[option] = value
    _check_config(config)
    try:
        pairs = choose_pairs(config)
    except ValueError as error:
        raise UsageError(str(error)) from None
    given = (userdir / "strategies", args.strategy_path, config.get("strategy_path"))
    folders = tuple(Path(folder) for folder in given if folder and Path(folder).is_dir())
    own = OwnBot(config, str(name), folders, pairs)
    loaded = _load(own)
    return Plan(
        _possible_ways(loaded, ways),
        block.get("scope", "pair"),
        float(block.get("deadline", DEADLINE)),
        own.controllable(loaded),
    )


def _check_config(config: dict[str, Any]) -> None:
    """Refuse what would not be this plugin's bot: it could call other places than the sandbox."""
    from ..doctor import State
    from ..doctor.config_checks import check_settings

    for result in check_settings(config):
        # The log is the copy's own.
        if result.state is State.FAIL and result.subject not in ("log_config", "pair_whitelist"):
            raise UsageError(f"{result.subject}: {result.text}; {result.fix}")
    _check_options(config.get("bitopro_margin") or {})


def _load(own: "OwnBot") -> dict[str, Any]:
    from ..doctor import State
    from ..doctor.strategy_checks import check_mixin, load

    with _folder(keep=False) as folder:
        try:
            path = own.write_as_it_is(folder)
            config, strategy = load(
                {"config": [str(path)], "user_data_dir": str(folder), "strategy": own.strategy}
            )
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise UsageError(f"Freqtrade refuses config or strategy: {text}") from None
    mixin = check_mixin(type(strategy))
    if mixin.state is State.FAIL:
        raise UsageError(f"{mixin.text}: {mixin.fix}")
    return config


def _possible_ways(config: dict[str, Any], ways: tuple[str, ...]) -> tuple[str, ...]:
    missing = {}
    if not config.get("order_types", {}).get("stoploss_on_exchange"):
        missing["stop-rejected"] = "order_types.stoploss_on_exchange is off"
    if not config.get("unfilledtimeout", {}).get("exit_timeout_count"):
        missing["exit-timeout"] = "unfilledtimeout.exit_timeout_count is 0"
    possible = tuple(way for way in ways if way not in missing)
    reasons = "; ".join(f"{way}: {missing[way]}" for way in ways if way in missing)
    if not possible:
        raise UsageError(f"with this config the hook never fires that way ({reasons})")
    if reasons:
        print_err(f"not played, because this config has no such emergency: {reasons}")
    return possible


def _check_options(block: dict[str, Any]) -> None:
    from ..bot.options import parse_options

    named = {name: value for name, value in block.items() if name != "heartbeat_file"}
    try:
        parse_options({"bitopro_margin": named})
    except ValueError as error:
        raise UsageError(str(error)) from None


# -- playing -----------------------------------------------------------------------------------


def _play(way: str, plan: Plan, args: argparse.Namespace) -> "tuple[Verdict | None, str | None]":
    """One scenario on a sandbox of its own: its verdict, or why it could not be played."""
    from ..drill.bot_process import DrillError
    from ..drill.scenario import SCENARIOS, Drill
    from ..sandbox.control_client import ControlError
    from ..sandbox.server import SandboxServer

    story: Callable[[str], object] = print_err if args.json else print_out
    story(f"\n{way}: {SCENARIOS[way]}")
    with _folder(keep=args.keep) as folder, SandboxServer() as server:
        if args.watch:
            _show_page(f"{server.url}/", story)
        drill = Drill(
            way,
            server,
            folder,
            scope=plan.scope,
            deadline=plan.deadline,
            story=story,
            own=plan.own,
            patience=PATIENCE if plan.own is None else PATIENCE_WITH_OWN,
        )
        try:
            verdict = drill.play()
        except DrillError as error:
            return None, str(error)
        except ControlError as error:
            return None, f"an order was gone before the drill could fill it: {error}"
        finally:
            if args.keep:
                story(f"kept: {folder}")
        if args.watch and common.on_terminal():
            print_err("press Enter to end the sandbox and its page")
            sys.stdin.readline()
        return verdict, None


def _run_leverage(args: argparse.Namespace) -> int:
    from ..drill.bot_process import DrillError
    from ..drill.leverage_scenario import LeverageDrill
    from ..sandbox.server import SandboxServer

    story: Callable[[str], object] = print_err if args.json else print_out
    with _folder(keep=args.keep) as folder, SandboxServer() as server:
        if args.watch:
            _show_page(f"{server.url}/", story)
        try:
            verdict = LeverageDrill(server, folder, story=story).play()
        except DrillError as error:
            if args.json:
                found = {"scenario": "leverage", "agrees": False, "outcome": "failed"}
                print_out(json.dumps([found | {"error": str(error)}]))
            print_err(f"the drill stopped: {error}")
            return ExitCode.REMAINING
        finally:
            if args.keep:
                story(f"kept: {folder}")
    if args.json:
        ended = "confirmed" if verdict.agrees else "failed"
        why = "; ".join(verdict.complaints) or None
        print_out(json.dumps([verdict.to_json() | {"outcome": ended, "error": why}], indent=2))
        return ExitCode.CONFIRMED if verdict.agrees else ExitCode.REMAINING
    columns = [Column("pair"), Column("side"), Column("leverage", right=True), Column("left by")]
    columns += [Column(name, right=True) for name in ("interest", "profit", "owed", "of")]
    rows: list[tuple[Cell, ...]] = [
        (
            row.pair,
            row.side,
            f"{row.leverage:g}x",
            row.exit_reason,
            f"{row.interest:.8f}",
            f"{row.profit:.8f}",
            (row.owed, "green" if Decimal(row.owed) == 0 else "bold red"),
            row.currency,
        )
        for row in verdict.rows
    ]
    print_table(Rows(columns, rows))
    print_out(f"database {verdict.earned:.8f} USDT, account {verdict.changed:.8f} USDT")
    for complaint in verdict.complaints:
        print_out(f"DISAGREE: {complaint}")
    if verdict.agrees:
        print_out("AGREE: nothing is owed, and both sides say the same")
    return ExitCode.CONFIRMED if verdict.agrees else ExitCode.REMAINING


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bitopro-margin-drill-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _show_page(url: str, story: Callable[[str], object]) -> None:
    """Name the page, and open it where a browser has a screen: some others fill the terminal."""
    story(f"look at {url}")
    screen = sys.platform in ("darwin", "win32") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if screen:
        webbrowser.open(url)


def _document(
    way: str, plan: Plan, verdict: "Verdict | None", problem: str | None
) -> dict[str, Any]:
    if verdict is None:
        found: dict[str, Any] = {"scenario": way, "scope": plan.scope, "agrees": False}
    else:
        found = verdict.to_json()
        problem = None if verdict.agrees else _sentence(verdict)
    return found | {"outcome": "failed" if problem else "confirmed", "error": problem}


# -- printing ----------------------------------------------------------------------------------

COLUMNS: Final = (
    Column("order"),
    Column("owner"),
    Column("pair"),
    Column("side"),
    Column("agrees"),
    Column("on the exchange"),
    Column("in Freqtrade"),
    Column("cancel reason"),
)


def _print_verdict(verdict: "Verdict") -> None:
    rows: list[tuple[Cell, ...]] = [
        (
            row.order,
            row.owner,
            row.pair,
            row.side,
            ("yes", "green") if row.agrees else ("NO", "bold red"),
            row.exchange,
            row.freqtrade,
            row.cancel_reason,
        )
        for row in verdict.rows
    ]
    print_table(Rows(COLUMNS, rows, heads=5))
    for complaint in verdict.complaints:
        print_out(complaint)
    print_out(_sentence(verdict))


def _sentence(verdict: "Verdict") -> str:
    closed = "closed" if verdict.position_closed else "STILL OPEN"
    agreeing = sum(row.agrees for row in verdict.rows)
    return (
        f"{verdict.scenario}, scope {verdict.scope}: {agreeing} of {len(verdict.rows)} orders"
        f" agree, position {closed}, {verdict.seconds} s"
    )
