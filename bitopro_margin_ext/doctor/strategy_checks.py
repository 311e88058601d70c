"""Would Freqtrade start with this config and strategy, and does the mixin come first in it?

Everything is asked of Freqtrade's own code, in a dry run and without the keys.
"""

import contextlib
import copy
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ..core import redaction
from . import CheckResult, fail, note, ok
from .config_checks import check_orders

SHOWN_PAIRS: Final = 5
CORRECT: Final = "correct what it names"
FAR_LISTS: Final = frozenset({"MarketCapPairList", "ProducerPairList", "RemotePairList"})
"""Pair lists that ask somebody else than the exchange: not fetched for a check."""


def check_strategy(
    merged: Mapping[str, Any], arguments: Mapping[str, Any], *, base_url: str | None
) -> Iterator[CheckResult]:
    """Load and check as the bot does at its start; ``arguments`` are those of ``freqtrade trade``.

    ``merged`` is what the files say by themselves: all there is where Freqtrade refuses them. With
    ``base_url`` the exchange there is asked for its pairs.
    """
    import bitopro_margin_ext

    bitopro_margin_ext.register()
    try:
        with _silence():
            config = _load_config(arguments)
    except Exception as error:
        yield fail("Freqtrade", f"refuses the config: {_line(error)}", CORRECT)
        yield from check_orders(merged)
        return
    yield ok("Freqtrade", "accepts the config")
    try:
        with _silence():
            strategy = _load_strategy(config)
    except Exception as error:
        text = f"cannot be loaded: {_line(error)}{_import_problem(config)}"
        yield fail("strategy", text, "correct it, or name it by -s")
        yield from check_orders(merged)
        return
    yield ok("strategy", f"{type(strategy).__name__} loads")
    yield check_mixin(type(strategy))
    yield from _check_start(config, strategy, base_url)
    # The resolver has put the strategy's own values where the config had none.
    yield from check_orders(config)


def check_mixin(cls: type) -> CheckResult:
    """Whether the mixin is there, and before ``IStrategy``, so that its callbacks are called."""
    from ..bot.mixin import EmergencyCancelMixin

    # A class with the two the wrong way round cannot be made, so it has not been loaded either.
    line = f"class {cls.__name__}(EmergencyCancelMixin, IStrategy)"
    if not issubclass(cls, EmergencyCancelMixin):
        return fail("EmergencyCancelMixin", "the strategy does not have it", f"write {line}")
    return ok("EmergencyCancelMixin", "comes before IStrategy")


def _check_start(
    config: dict[str, Any], strategy: Any, base_url: str | None
) -> Iterator[CheckResult]:
    """Each thing for which the start would be refused, rather than the first."""
    from freqtrade.configuration.config_validation import validate_config_consistency
    from freqtrade.plugins.protectionmanager import ProtectionManager
    from freqtrade.resolvers import ExchangeResolver

    from ..bot.options import check_reasons, parse_options

    config = _harmless(config, base_url)
    try:
        with _silence():
            exchange = ExchangeResolver.load_exchange(config, validate=False)
    except Exception as error:
        yield fail("Freqtrade", f"would not start: {_line(error)}", CORRECT)
        return
    try:
        timeframe = config.get("timeframe")
        candles = int(config.get("startup_candle_count") or 0)
        steps: dict[str, Callable[[], Any]] = {
            "settings": lambda: validate_config_consistency(config),
            "timeframe": lambda: exchange.validate_timeframes(timeframe),
            "startup_candle_count": lambda: exchange.validate_required_startup_candles(
                candles, timeframe
            ),
            "order_types": lambda: exchange.validate_ordertypes(config.get("order_types", {})),
            "order_time_in_force": lambda: exchange.validate_order_time_in_force(
                config.get("order_time_in_force", {})
            ),
            "exit_pricing": lambda: exchange.validate_pricing(config["exit_pricing"]),
            "entry_pricing": lambda: exchange.validate_pricing(config["entry_pricing"]),
            "protections": lambda: ProtectionManager(config, strategy.protections),
            "bitopro_margin.cancel_on": lambda: check_reasons(parse_options(config), strategy),
        }
        problems = [found for name, step in steps.items() if (found := _refusal(name, step))]
        yield from problems
        if config.get("trading_mode") == "margin" and getattr(strategy, "can_short", False):
            problems.append(
                fail("can_short", "the margin mode is long only", "set can_short = False")
            )
            yield problems[-1]
        yield from _check_pairlists(config, exchange, online=base_url is not None)
        if not problems:
            yield ok("Freqtrade", "would start with these settings")
    finally:
        with _silence():
            exchange.close()


def _check_pairlists(
    config: dict[str, Any], exchange: Any, *, online: bool
) -> Iterator[CheckResult]:
    from freqtrade.plugins.pairlistmanager import PairListManager

    methods = [str(entry.get("method")) for entry in config.get("pairlists", [])]
    names = ", ".join(methods) or "none"
    static = 'use "StaticPairList" with a pair_whitelist'
    try:
        with _silence():
            manager = PairListManager(exchange, config)
    except Exception as error:
        yield fail("pairlists", f"{names}: {_line(error)}", static)
        return
    if not online:
        yield note("pairlists", f"{names}: which pairs there are is not known without the exchange")
        return
    try:
        with _silence():
            exchange.reload_markets(True, load_leverage_tiers=False)
            exchange.validate_stakecurrency(config["stake_currency"])
    except Exception as error:
        yield fail("pairlists", f"the pairs cannot be checked: {_line(error)}", "correct it")
        return
    strange = list(_strange_pairs(config, exchange))
    yield from strange
    if FAR_LISTS & set(methods):
        yield note("pairlists", f"{names}: fetched elsewhere, so not checked")
        return
    try:
        with _silence():
            manager.refresh_pairlist()
    except Exception as error:
        yield fail("pairlists", f"{names}: {_line(error)}", static)
        return
    pairs = manager.whitelist
    if pairs:
        more = f" and {len(pairs) - SHOWN_PAIRS} more" if len(pairs) > SHOWN_PAIRS else ""
        yield ok("pairlists", f"{names}: {', '.join(pairs[:SHOWN_PAIRS])}{more}")
    elif not strange:
        yield fail("pairlists", f"{names}: no pair is left to trade", static)


def _strange_pairs(config: dict[str, Any], exchange: Any) -> Iterator[CheckResult]:
    """Pairs of the whitelist that the bot would leave out, with a line in its log alone."""
    from freqtrade.plugins.pairlist.pairlist_helpers import expand_pairlist

    wanted = config["exchange"].get("pair_whitelist") or []
    markets = exchange.markets
    for pair in expand_pairlist(wanted, list(markets), keep_invalid=True):
        if ":" in pair:
            continue  # said without the exchange
        if pair not in markets:
            yield fail("pair_whitelist", f"BitoPro has no pair {pair}", "correct or remove it")
        elif not exchange.market_is_tradable(markets[pair]):
            yield fail("pair_whitelist", f"{pair} cannot be traded on margin", "remove it")


def _harmless(config: dict[str, Any], base_url: str | None) -> dict[str, Any]:
    """The config for a dry run, without keys, at the address that is being checked."""
    config = copy.deepcopy(config)
    config["dry_run"] = True
    exchange = config["exchange"]
    for name in ("key", "secret", "password", "uid", "apiKey", "api_key"):
        exchange.pop(name, None)
    for name in ("ccxt_config", "ccxt_sync_config", "ccxt_async_config"):
        section = exchange.setdefault(name, {})
        for secret in ("apiKey", "secret", "password", "login"):
            section.pop(secret, None)
        if base_url is not None:
            for word in ("sandbox", "testnet"):
                section.pop(word, None)
                section.get("options", {}).pop(word, None)
            section["urls"] = {"api": {"rest": base_url}}
    return config


def _refusal(name: str, step: Callable[[], Any]) -> CheckResult | None:
    try:
        with _silence():
            step()
    except Exception as error:
        return fail(name, f"Freqtrade would not start: {_line(error)}", CORRECT)
    return None


def load(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Config and strategy as Freqtrade loads them for these arguments of ``freqtrade trade``.

    The config has the strategy's own values where it had none. What Freqtrade raises is passed on.
    """
    import bitopro_margin_ext

    bitopro_margin_ext.register()
    with _silence():
        config = _load_config(arguments)
        return config, _load_strategy(config)


def _load_config(arguments: Mapping[str, Any]) -> dict[str, Any]:
    from freqtrade.configuration import Configuration
    from freqtrade.enums import RunMode

    config: dict[str, Any] = Configuration(dict(arguments), RunMode.DRY_RUN).get_config()
    return config


def _load_strategy(config: dict[str, Any]) -> Any:
    from freqtrade.resolvers import StrategyResolver

    return StrategyResolver.load_strategy(config)


def _import_problem(config: dict[str, Any]) -> str:
    """Why a strategy's file could not be imported, which Freqtrade says in a warning only."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    resolver = logging.getLogger("freqtrade.resolvers.iresolver")
    with _silence(), contextlib.suppress(Exception):
        logging.disable(logging.NOTSET)
        before, resolver.propagate = resolver.propagate, False
        resolver.addHandler(handler)
        try:
            _load_strategy(config)
        finally:
            resolver.removeHandler(handler)
            resolver.propagate = before
    said = [redaction.redact(line) for line in found if line.startswith("Could not import")]
    return f" {' '.join(said[-1].split())[:300]}" if said else ""


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """A strategy may print, and Freqtrade sets up the logging that the config asks for."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _line(error: Exception) -> str:
    text = redaction.redact(str(error)).strip() or type(error).__name__
    # Freqtrade gives its schema's words on, but not which setting they are about.
    first = error.__context__
    path = getattr(first, "absolute_path", None)
    if path and getattr(first, "message", None) == str(error):
        text = f"{'.'.join(map(str, path))}: {text}"
    return " ".join(text.split())[:300]
