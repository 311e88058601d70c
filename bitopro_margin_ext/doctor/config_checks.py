"""Are the versions right, and does the config load the plugin and let an emergency happen?"""

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..core import assumptions
from . import CheckResult, State, fail, note, ok

FACTORY: Final = "bitopro_margin_ext.enable"
_COPY: Final = "add the block that `bitopro-margin init --print-log-config` prints"
TRADING_MODES: Final = ("margin", "futures")
HOOK: Final = "emergency_exit"
SECTIONS: Final = (
    "exchange",
    "order_types",
    "order_time_in_force",
    "unfilledtimeout",
    "entry_pricing",
    "exit_pricing",
    "internals",
    "api_server",
    "log_config",
    "bitopro_margin",
)
CCXT_SECTIONS: Final = ("ccxt_config", "ccxt_sync_config", "ccxt_async_config")


def check_sections(config: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Sections that are something else than an object, at which Freqtrade would stumble."""
    places = [(name, config.get(name)) for name in SECTIONS]
    exchange = config.get("exchange")
    if isinstance(exchange, Mapping):
        places += [(f"exchange.{name}", exchange.get(name)) for name in CCXT_SECTIONS]
    elif "exchange" not in config:
        yield fail("exchange", "missing", 'add "exchange": {"name": "bitopromargin", …}')
    for name, value in places:
        present = name.rpartition(".")[2] in (exchange if "." in name else config)  # type: ignore[operator]
        if present and not isinstance(value, Mapping):
            yield fail(name, f"{value!r} is no object of settings", f'write "{name}": {{…}}')


def check_settings(config: Mapping[str, Any]) -> Iterator[CheckResult]:
    """What the merged config says by itself; ``config_files`` are its files, as
    Freqtrade orders them."""
    yield _check_filter(config)
    exchange = config.get("exchange")
    name = exchange.get("name") if isinstance(exchange, Mapping) else None
    yield _check_value("exchange.name", name, "bitopromargin")
    mode = config.get("trading_mode")
    yield _check_value("trading_mode", mode, mode if mode in TRADING_MODES else TRADING_MODES[0])
    yield _check_value("margin_mode", config.get("margin_mode"), "cross")
    yield from _check_options(config)
    if mode == "futures":
        yield from _check_leverage(config)
    yield from _check_pairs(config)
    if config.get("dry_run"):
        yield note("dry_run", "on: orders are simulated, and nothing is sent with the key")


def check_orders(settings: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Order types and time-outs, as the config and the strategy have them together."""
    types = settings.get("order_types") or {}
    exit_type = types.get("emergency_exit", "market")
    if exit_type == "market":
        yield ok("order_types.emergency_exit", "market")
    else:
        yield fail(
            "order_types.emergency_exit",
            f"{exit_type!r} may rest unfilled in an emergency",
            'set it to "market"',
        )
    stoploss = _check_stoploss(types)
    yield stoploss
    unfilled = settings.get("unfilledtimeout") or {}
    count = unfilled.get("exit_timeout_count", 0)
    if isinstance(count, int) and count > 0:
        unit = unfilled.get("unit", "minutes")
        text = f"an exit that times out {count} times ({unfilled.get('exit')} {unit} each)"
        yield ok("unfilledtimeout", f"{text} becomes an emergency exit")
        return
    text = "an exit that never fills never becomes an emergency exit"
    if stoploss.state is State.NOTE:
        text += ", and no stoploss can be refused: the hook can never fire"
    yield fail("unfilledtimeout", text, "set unfilledtimeout.exit_timeout_count to 1 or more")


def _check_filter(config: Mapping[str, Any]) -> CheckResult:
    log_config = config.get("log_config")
    if not isinstance(log_config, Mapping):
        return fail("log_config", "missing, so nothing loads the plugin", _COPY)
    filters = log_config.get("filters")
    entries = filters.values() if isinstance(filters, Mapping) else ()
    if not any(isinstance(entry, Mapping) and entry.get("()") == FACTORY for entry in entries):
        return fail("log_config", "its filters do not name the plugin", _COPY)
    root = log_config.get("root")
    handlers = root.get("handlers") if isinstance(root, Mapping) else None
    if not handlers:
        return fail("log_config", "its root has no handlers, so the log is lost", _COPY)
    return ok("log_config", f"its filter loads {FACTORY}")


def _check_value(name: str, found: Any, wanted: str) -> CheckResult:
    if found == wanted:
        return ok(name, wanted)
    return fail(name, f"{found!r}, not {wanted!r}", f'set "{name.split(".")[-1]}": "{wanted}"')


def _check_options(config: Mapping[str, Any]) -> Iterator[CheckResult]:
    from ..bot.options import parse_options

    try:
        options = parse_options(config)
    except ValueError as error:
        yield fail("bitopro_margin", str(error), "correct it")
        return
    yield ok("bitopro_margin", options.describe())
    if HOOK not in options.cancel_on:
        yield note(
            "bitopro_margin.cancel_on",
            f"{HOOK} is NOT in it: in an emergency nothing is cancelled before the exit",
        )
    if options.heartbeat_file is not None:
        yield ok("bitopro_margin.heartbeat_file", f"{options.heartbeat_file} can be written")


def _check_leverage(config: Mapping[str, Any]) -> Iterator[CheckResult]:
    """How far the bot would borrow, and whether it gets out before the exchange acts."""
    from ..bot.leverage_options import parse_leverage_options

    try:
        options = parse_leverage_options(config)
    except ValueError:
        # Said with the other options.
        return
    yield ok(
        "leverage",
        f"at most {options.max_leverage(False):g}x long and {options.max_leverage(True):g}x short,"
        f" no entry below an adRatio of {options.min_ad_ratio_entry:g}, liquidation expected at"
        f" {options.liquidation_ad_ratio:g}",
    )
    types = config.get("order_types")
    if isinstance(types, Mapping) and types.get("stoploss") == "limit":
        yield note(
            "order_types.stoploss",
            '"limit": a liquidation exit that rests is no exit; "market" without a stop on the'
            " exchange gets out",
        )
    pricing = config.get("exit_pricing")
    side = pricing.get("price_side") if isinstance(pricing, Mapping) else None
    if side not in ("other", "ask", "bid"):
        yield note("exit_pricing.price_side", 'Freqtrade wants "other" for market exits')


def _check_pairs(config: Mapping[str, Any]) -> Iterator[CheckResult]:
    """What can be said of the whitelist without the exchange's list of pairs."""
    exchange = config.get("exchange")
    pairs = exchange.get("pair_whitelist") if isinstance(exchange, Mapping) else None
    for pair in pairs if isinstance(pairs, list) else ():
        name, colon, _ = str(pair).partition(":")
        if colon:
            yield fail(
                "pair_whitelist",
                f"{pair} is a futures contract, which BitoPro does not have",
                f'write "{name}"',
            )
        base, _, quote = name.partition("/")
        if config.get("trading_mode") == "futures" and quote in assumptions.MARGIN_QUOTES:
            yield ok(
                "pair_whitelist",
                f"{name}: {quote} is not lent: longs at 1x, shorts borrow {base}",
            )


def _check_stoploss(types: Mapping[str, Any]) -> CheckResult:
    name = "order_types.stoploss_on_exchange"
    if not types.get("stoploss_on_exchange"):
        return note(name, "off: the stop rests in the bot, and ends with it")
    if types.get("stoploss") != "limit":
        kind = types.get("stoploss")
        return fail(
            name, f"on, with the stop type {kind!r}", 'set "stoploss": "limit" in order_types'
        )
    return ok(name, "on, as a stop-limit order")


OWN_NAME: Final = "bitopro-margin-ext"


def check_versions() -> Iterator[CheckResult]:
    """Python, ccxt and Freqtrade, against what our own package metadata asks for."""
    running = ".".join(map(str, sys.version_info[:3]))
    wanted = importlib.metadata.metadata(OWN_NAME)["Requires-Python"]
    if _satisfies(running, wanted):
        yield ok("Python", f"{running} (needs {wanted})")
    else:
        yield fail("Python", f"{running}, needs {wanted}", "install a newer Python")
    for name in ("ccxt", "freqtrade"):
        yield _check_package(name, required_range(name))


def required_range(name: str) -> str:
    """The range of versions that our extras ask for, as ``>=1.2``."""
    for line in importlib.metadata.requires(OWN_NAME) or ():
        match = re.match(rf"{name}\s*\(?([<>=!~0-9.,\s]*)\)?\s*(;|$)", line, re.IGNORECASE)
        if match is not None:
            return match[1].strip()
    return ""


def _check_package(name: str, wanted: str) -> CheckResult:
    install = f"pip install '{name}{wanted}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return fail(name, "not installed", install)
    if not _satisfies(version, wanted):
        return fail(name, f"{version}, needs {wanted}", install)
    if name == "freqtrade":
        from ..bot import freqtrade_internals

        try:
            freqtrade_internals.check_classes()
        except freqtrade_internals.UnsupportedFreqtradeError as error:
            return fail(name, str(error), install)
    return ok(name, f"{version} (needs {wanted or 'any'})")


def _satisfies(version: str, wanted: str) -> bool:
    for part in filter(None, (part.strip() for part in wanted.split(","))):
        match = re.fullmatch(r"(>=|<)\s*([0-9.]+)", part)
        if match is None:
            continue
        newer = _numbers(version) >= _numbers(match[2])
        if newer is not (match[1] == ">="):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
