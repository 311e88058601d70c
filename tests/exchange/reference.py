"""The generated parts of ``docs/ccxt.md``; ``python -m tests.exchange.reference`` writes them."""

import pathlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import ccxt
import ccxt.pro

import bitopro_margin_ext
from bitopro_margin_ext import exchange
from bitopro_margin_ext.core.endpoints import ENDPOINTS, STREAMS, Stream
from bitopro_margin_ext.exchange.describe import MARGIN_FEATURES, STREAMING, margin_description
from bitopro_margin_ext.exchange.params import TAKEN

PAGE = pathlib.Path(bitopro_margin_ext.__file__).parent / "docs" / "ccxt.md"


def table(*rows: Iterable[Any]) -> str:
    """Markdown of a table; the first row is its head."""
    head, *body = [[str(cell) for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def endpoints() -> str:
    """Every endpoint and stream: method, path with its page, limit, unified method."""
    rows = [
        (row.method, f"[`/{row.path}`]({row.documentation})", row.limit, _names(row.unified))
        for row in ENDPOINTS
    ]
    rows += [
        ("stream", f"[`{_path(row)}`]({row.documentation})", "", _names(row.unified))
        for row in STREAMS
    ]
    return table(("Method", "Path", "Limit", "Unified method"), *rows)


def _path(stream: Stream) -> str:
    return ("/auth/" if stream.private else "/") + stream.path


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "the documented path's other spelling"


def parameters() -> str:
    """The words that each method takes."""
    by_words: dict[tuple[str, ...], list[str]] = {}
    for method, words in TAKEN.items():
        by_words.setdefault(words, []).append(method)
    rows = [
        (_names(methods), ", ".join(f"`{word}`" for word in words) or "none")
        for words, methods in sorted(by_words.items())
    ]
    return table(("Methods", "Parameters beside `type`, `marginMode` and `raw`"), *rows)


OPTIONS = {
    "checkReduceOnly": "look at the balances before an order with `reduceOnly`",
    "clockOffset": "the exchange's clock minus ours, in ms; learnt from its answers",
    "createMarketBuyOrderRequiresPrice": "with False, a market buy's amount is its cost in quote",
    "defaultType": "the account of calls that name none: `margin` or `spot`",
    "fetchMargins": "ask which currencies can be margined when markets are loaded with keys",
    "marginCurrencies": "those that can be margined, where the exchange was not asked",
    "maxLeverage": "`limits.leverage.max` of margin pairs; no page states a number",
    "orderAmountPrecision": "which field of a pair bounds the decimals of an order's amount",
    "streamPatience": "seconds that a `watch` call dials in vain before it raises",
    "streamResync": "seconds of silence after which REST is asked what order streams have lost",
}


def options() -> str:
    """Our options with their defaults."""
    defaults = {**margin_description("")["options"], **STREAMING["options"]}
    rows = [
        (f"`{name}`", f"`{defaults[name]!r}`", OPTIONS[name])
        for name in sorted(defaults, key=str.lower)
    ]
    return table(("Option", "Default", "What it does"), *rows)


ELSEWHERE = re.compile(
    r"Position|Funding|Leverage|OpenInterest|Greeks|ADL|Option|Settlement|LongShort|MarginMode"
    r"|Convert|Index|Premium|Isolated|[a-z]MarkOHLCV|MarginAdjustment|^(add|reduce)Margin$"
    r"|^(swap|future|option|publicAPI|privateAPI)$|Ws$|L2OrderBook"
)
"""What is not about spot or cross-margin trading over REST or streams."""

INSTEAD = {
    "createMarketOrderWithCost": "a sell is counted in base: `createMarketBuyOrderWithCost`",
    "createMarketSellOrderWithCost": "a sell is counted in base",
    "createTrailingPercentOrder": "BitoPro has no trailing orders",
    "editOrder": "no such endpoint; ccxt's method of that name cancels and creates",
    "editOrders": "no such endpoint",
    "fetchBidsAsks": "`fetchOrderBook`, a pair at a time",
    "fetchBorrowRateHistory": "only the rate of now is given",
    "fetchDepositAddress": "no such endpoint",
    "fetchLastPrices": "`fetchTickers`",
    "fetchLedger": "`fetchBorrows`, `fetchRepays`, `fetchTransfers`, `fetchMyLiquidations`",
    "fetchLedgerEntry": "as `fetchLedger`",
    "fetchOpenOrder": "`fetchOrder`",
    "fetchStatus": "no such endpoint",
    "fetchTime": "no such endpoint: the clock is learnt from the `Date` header after a 409",
    "fetchTradingFee": "`fetchTradingFees`",
    "fetchTradingLimits": "the markets' `limits`",
    "fetchTransactionFee": "`fetchDepositWithdrawFees`",
    "fetchTransactionFees": "`fetchDepositWithdrawFees`",
    "watchBidsAsks": "`watchOrderBook`",
    "watchLiquidations": "no such stream",
    "watchLiquidationsForSymbols": "no such stream",
    "watchMyLiquidations": "no such stream: `fetchMyLiquidations`",
    "watchMyLiquidationsForSymbols": "no such stream: `fetchMyLiquidations`",
    "watchOHLCV": "no such stream",
    "watchOHLCVForSymbols": "no such stream",
    "watchOrderBookForSymbols": "`watchOrderBook` for each",
    "watchOrdersForSymbols": "`watchOrders` without a symbol is for all pairs",
    "watchTickers": "`watchTicker` for each",
    "watchTradesForSymbols": "`watchTrades` for each",
}


def methods() -> str:
    """``has`` of both classes, where either has it."""
    theirs, ours = ccxt.pro.binance().has, exchange.bitopromargin_pro().has
    rows = []
    for name in sorted({*theirs, *ours}, key=str.lower):
        left, right = bool(theirs.get(name)), bool(ours.get(name))
        if not (left or right) or ELSEWHERE.search(name):
            continue
        if name.startswith("unWatch"):
            continue
        note = INSTEAD[name] if left and not right else ""
        rows.append((f"`{name}`", _yes(left), _yes(right), note))
    return table(("Method", "`binance`", "`bitopromargin`", "Instead, or why not"), *rows)


def features() -> str:
    """``features`` of both classes: theirs of spot and cross margin, which share one block."""
    theirs = ccxt.binance().features["spot"]
    rows = []
    for method, own in MARGIN_FEATURES.items():
        if not isinstance(own, dict):
            continue
        other = theirs.get(method) or {}
        for name in own:
            rows.append((f"`{method}.{name}`", _shown(other.get(name)), _shown(own[name])))
    return table(("Feature", "`binance`", "`bitopromargin`"), *rows)


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(sorted(name for name, known in value.items() if known)) or "none"
    if value is None:
        return "-"
    return _yes(value) if isinstance(value, bool) else str(value)


def ccxt_version() -> str:
    """Which ccxt the comparison was made with."""
    return f"Made with ccxt {ccxt.__version__}."


PARTS: dict[str, Callable[[], str]] = {
    "endpoints": endpoints,
    "parameters": parameters,
    "options": options,
    "ccxt version": ccxt_version,
    "methods": methods,
    "features": features,
}
OF_THIS_CCXT = ("ccxt version", "methods", "features")
"""Parts that another ccxt says otherwise."""


def part(document: str, name: str) -> str:
    """A generated part of the page.

    :raises ValueError: when its marks are not there.
    """
    _, found, rest = document.partition(f"<!-- {name}: begin -->\n")
    text, closed, _ = rest.partition(f"\n<!-- {name}: end -->")
    if not found or not closed:
        raise ValueError(f"the page lacks the marks of {name!r}")
    return text


def with_part(document: str, name: str, text: str) -> str:
    """The page with a part brought up to date."""
    old = f"<!-- {name}: begin -->\n{part(document, name)}\n<!-- {name}: end -->"
    return document.replace(old, f"<!-- {name}: begin -->\n{text}\n<!-- {name}: end -->")


if __name__ == "__main__":
    page = PAGE.read_text()
    for part_name, make in PARTS.items():
        page = with_part(page, part_name, make())
    PAGE.write_text(page)
