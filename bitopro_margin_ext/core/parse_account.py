"""BitoPro's answers about the account, its loans, transfers and trades, as plain dicts. Pure.

The counterpart of ``parse`` for what is not an order. Amounts stay decimal strings and currencies
stay the exchange's own names; ``exchange`` makes ccxt's numbers and codes of them.
"""

from collections.abc import Mapping
from typing import Any, Final

from .assumptions import (
    INTEREST_YEAR_MS,
    TRANSFER_HISTORY_KINDS,
)
from .endpoints import pair_symbol
from .parse import (
    Row,
    amount_of,
    is_zero,
    milliseconds,
    number,
    text,
)

Parsed = dict[str, Any]

AD_RATIO_ACTIONS: Final = {"borrow": 1, "repay": 2, "transfer_in": 3, "transfer_out": 4}
"""What can be tried out on the account's ratio of assets to debts."""

BORROW_STATUSES: Final = {"1": "open", "2": "closed"}
"""Whether a loan still waits for its repayment."""

TRANSFER_STATUSES: Final = {"2": "ok"}
REPAY_STATUSES: Final = {"1": "ok"}
LIQUIDATION_STATUSES: Final = {"2": "ok"}
"""No page names any other status: None then, rather than a guess."""

SWITCHED_ON: Final = "1"
"""``borrowStatus`` and ``transferStatus``: 0 off, 1 on, 2 under maintenance."""
SWITCHED_OFF: Final = "0"


def parse_margin_account(answer: Row) -> Parsed:
    """The account as a whole: its ratio of assets to debts, the label of that ratio, its totals."""
    return {
        "id": text(answer, "accountID"),
        "adRatio": number(answer, "adRatio"),
        "adRatioLabel": text(answer, "adRatioLabel"),
        "accountStatus": text(answer, "accountStatus"),
        "marginStatus": text(answer, "marginStatus"),
        "currency": text(answer, "calculateUnit"),
        "totalAsset": number(answer, "totalAssetAmount"),
        "totalDebt": number(answer, "totalDebtAmount"),
        "info": answer,
    }


def parse_ad_ratio(answer: Row) -> Parsed:
    """What the account would be after a loan, a repayment or a transfer."""
    return {
        "action": text(answer, "action"),
        "adRatio": number(answer, "ADRatio"),
        "totalAsset": number(answer, "totalUSDTAsset"),
        "totalDebt": number(answer, "totalUSDTDebt"),
        "assets": _amounts(answer, "userAssetAmounts"),
        "debts": _amounts(answer, "userBorrowAmounts"),
        "markPrices": _amounts(answer, "usdtMarkPrices"),
        "info": answer,
    }


def _amounts(answer: Row, key: str) -> dict[str, str | None]:
    return {str(row["currency"]): number(row, "amount") for row in answer.get(key) or ()}


def parse_borrow_rate(row: Row) -> Parsed:
    """The interest on a loan as a fraction, and the time in ms after which it is due."""
    return {
        "currency": text(row, "currency"),
        "rate": _fraction(number(row, "annualInterestPercentage")),
        "period": INTEREST_YEAR_MS,
        "info": row,
    }


def _fraction(percent: str | None) -> str | None:
    """A hundredth of a decimal string, by moving its point: exact, and without a float."""
    if percent is None:
        return None
    sign, digits = ("-", percent[1:]) if percent.startswith("-") else ("", percent)
    whole, _, rest = digits.partition(".")
    whole = whole.rjust(3, "0")
    return f"{sign}{whole[:-2].lstrip('0') or '0'}.{whole[-2:]}{rest}"


def parse_loan(row: Row) -> Parsed:
    """A line of the loans: ``open`` until it is repaid."""
    return {
        "id": text(row, "serial"),
        "currency": text(row, "currency"),
        "amount": number(row, "amount"),
        "status": BORROW_STATUSES.get(text(row, "status") or ""),
        "timestamp": milliseconds(row, "timestamp"),
        "info": row,
    }


def parse_repayment(row: Row) -> Parsed:
    """A line of the repayments; ``amount`` is None where the exchange gives its parts only."""
    total = number(row, "totalRepayAmount")
    return {
        "id": text(row, "serial"),
        "currency": text(row, "currency"),
        "amount": None if is_zero(total) else total,
        "principal": number(row, "principalRepayAmount"),
        "interest": number(row, "interestRepayAmount"),
        "status": REPAY_STATUSES.get(text(row, "status") or ""),
        "timestamp": milliseconds(row, "timestamp"),
        "info": row,
    }


def parse_transfer(row: Row) -> Parsed:
    """A line of the transfers between spot and margin."""
    return {
        "id": text(row, "serial"),
        "currency": text(row, "currency"),
        "amount": number(row, "amount"),
        "fromAccount": _account(row, "from"),
        "toAccount": _account(row, "to"),
        "status": TRANSFER_STATUSES.get(text(row, "status") or ""),
        "timestamp": milliseconds(row, "timestamp"),
        "info": row,
    }


def _account(row: Row, key: str) -> str | None:
    kind = text(row, key)
    return None if kind is None else TRANSFER_HISTORY_KINDS.get(int(kind))


def parse_liquidation(row: Row) -> Parsed:
    """A line of the liquidations; a repayment in kind names no asset."""
    return {
        "debtCurrency": text(row, "debtCurrency"),
        "debtAmount": number(row, "debtAmount"),
        "assetCurrency": text(row, "assetCurrency"),
        "assetAmount": number(row, "assetAmount"),
        "status": LIQUIDATION_STATUSES.get(text(row, "status") or ""),
        "timestamp": milliseconds(row, "finishTimestamp"),
        "info": row,
    }


def parse_mark_prices(answer: Mapping[str, Any]) -> dict[str, str | None]:
    """Prices in USDT by currency, from the endpoint's rows or from the stream's plain numbers."""
    return {
        currency: number(row if isinstance(row, Mapping) else {"price": row}, "price")
        for currency, row in answer.items()
    }


# -- trades ----------------------------------------------------------------------------------------


def parse_trade(row: Row, symbol: str | None) -> dict[str, Any]:
    """A row of the own-trades list."""
    fee, currency = number(row, "fee"), text(row, "feeSymbol")
    is_taker = row.get("isTaker")
    return {
        "id": text(row, "tradeId"),
        "order": text(row, "orderId"),
        "timestamp": milliseconds(row, "timestamp", "createdTimestamp"),
        "symbol": symbol,
        "type": None,
        "side": (text(row, "action") or "").lower() or None,
        "takerOrMaker": None if is_taker is None else ("taker" if is_taker else "maker"),
        "price": amount_of(row, "price"),
        "amount": amount_of(row, "baseAmount"),
        "cost": amount_of(row, "quoteAmount"),
        "fee": None if fee is None else {"cost": fee, "currency": (currency or "").upper() or None},
        "info": row,
    }


def parse_stream_trade(data: Row) -> dict[str, Any]:
    """The data of a USER_TRADE event; margin's carry no trade id."""
    base, quote = text(data, "base"), text(data, "quote")
    fee, currency = number(data, "fee"), text(data, "feeCurrency")
    is_maker = data.get("isMaker")
    return {
        "id": text(data, "matchID"),
        "order": text(data, "orderID"),
        "timestamp": milliseconds(data, "transactionTimestamp", "eventTimestamp"),
        "symbol": pair_symbol(f"{base}_{quote}"),
        "type": (text(data, "orderType") or "").lower() or None,
        "side": {"ask": "sell", "bid": "buy"}.get(text(data, "side") or ""),
        "takerOrMaker": None if is_maker is None else ("maker" if is_maker else "taker"),
        "price": amount_of(data, "price"),
        "amount": amount_of(data, "volume"),
        "fee": None if fee is None else {"cost": fee, "currency": (currency or "").upper() or None},
        "info": data,
    }
