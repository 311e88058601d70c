"""Does the config switch the plugin on, and let an emergency happen?"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from . import Finding, fail, note, ok

FACTORY: Final = "bitopro_margin_ext.enable"
_COPY: Final = "copy the whole log_config block that `bitopro-margin init` writes"


def check_settings(config: Mapping[str, Any]) -> Iterator[Finding]:
    """What the merged config says by itself."""
    yield _check_filter(config)
    exchange = config.get("exchange")
    name = exchange.get("name") if isinstance(exchange, Mapping) else None
    yield _check_value("exchange.name", name, "bitopromargin")
    yield _check_value("trading_mode", config.get("trading_mode"), "margin")
    yield _check_value("margin_mode", config.get("margin_mode"), "cross")
    yield _check_options(config)
    if config.get("dry_run"):
        yield note("dry_run", "on: orders are simulated, and nothing is sent with the key")


def check_orders(settings: Mapping[str, Any]) -> Iterator[Finding]:
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
    yield _check_stoploss(types)
    unfilled = settings.get("unfilledtimeout") or {}
    count = unfilled.get("exit_timeout_count", 0)
    if isinstance(count, int) and count > 0:
        unit = unfilled.get("unit", "minutes")
        text = f"an exit that times out {count} times ({unfilled.get('exit')} {unit} each)"
        yield ok("unfilledtimeout", f"{text} becomes an emergency exit")
    else:
        yield fail(
            "unfilledtimeout",
            "an exit that never fills never becomes an emergency exit",
            "set unfilledtimeout.exit_timeout_count to 1 or more",
        )


def _check_filter(config: Mapping[str, Any]) -> Finding:
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


def _check_value(name: str, found: Any, wanted: str) -> Finding:
    if found == wanted:
        return ok(name, wanted)
    return fail(name, f"{found!r}, not {wanted!r}", f'set "{name.split(".")[-1]}": "{wanted}"')


def _check_options(config: Mapping[str, Any]) -> Finding:
    from ..bot.options import parse_options

    try:
        options = parse_options(config)
    except ValueError as error:
        return fail("bitopro_margin", str(error), "correct it")
    return ok("bitopro_margin", options.describe())


def _check_stoploss(types: Mapping[str, Any]) -> Finding:
    name = "order_types.stoploss_on_exchange"
    if not types.get("stoploss_on_exchange"):
        return note(name, "off: the stop rests in the bot, and ends with it")
    if types.get("stoploss") != "limit":
        kind = types.get("stoploss")
        return fail(
            name, f"on, with the stop type {kind!r}", 'set "stoploss": "limit" in order_types'
        )
    return ok(name, "on, as a stop-limit order")
