"""The whole truth as JSON, for tests: not the documented shapes, and nothing secret."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal

from .state import Account, ApiKey, Exchange, Kind, Order, Trade
from .state.accounts import KINDS
from .state.amounts import plain
from .state.markets import LoanTerms

Json = dict[str, object]

OVERVIEW_ROWS = 100
OVERVIEW_TRADES = 20
OVERVIEW_LEVELS = 7


def order(one: Order) -> Json:
    """An order with everything that is known of it."""
    return {
        "id": one.id,
        "kind": one.kind,
        "account": one.email,
        "pair": one.pair.name,
        "action": one.action,
        "type": one.type,
        "status": int(one.status),
        "open": one.is_open,
        "by_hand": one.by_hand,
        "price": plain(one.price),
        "stopPrice": None if one.stop_price is None else plain(one.stop_price),
        "condition": one.condition,
        "timeInForce": one.time_in_force,
        "clientId": one.client_id,
        "askedAmount": plain(one.asked),
        "originalAmount": plain(one.original),
        "executedAmount": plain(one.executed),
        "remainingAmount": plain(one.remaining),
        "total": plain(one.total),
        "fee": plain(one.fee),
        "feeSymbol": one.receives.lower(),
        "locked": plain(one.locked),
        "created_ms": one.created_ms,
        "updated_ms": one.updated_ms,
    }


def trade(one: Trade) -> Json:
    """A trade with everything that is known of it."""
    return {
        "id": str(one.number),
        "orderId": one.order_id,
        "kind": one.kind,
        "account": one.email,
        "pair": one.pair.name,
        "action": one.action,
        "price": plain(one.price),
        "amount": plain(one.amount),
        "quoteAmount": plain(one.quote_amount),
        "fee": plain(one.fee),
        "feeSymbol": one.fee_currency.lower(),
        "isTaker": one.is_taker,
        "at_ms": one.at_ms,
    }


def wallet(account: Account, kind: Kind) -> Json:
    """One side of an account."""
    side = account.wallets[kind]
    return {
        name: {"available": plain(side[name].available), "locked": plain(side[name].locked)}
        for name in side.currencies()
    }


def key(one: ApiKey) -> Json:
    """A key without its secret."""
    return {"key": one.key, "account": one.email, "margin": one.margin, "revoked": one.revoked}


def account(exchange: Exchange, email: str) -> Json:
    """An account with its wallets, debts and keys."""
    one, standing = exchange.account(email), exchange.loans.standing(email)
    return {
        "email": email,
        "id": one.account_id,
        **{kind: wallet(one, kind) for kind in KINDS},
        "debts": {name: plain(owed) for name, owed in standing.debts.items()},
        "adRatio": plain(round(standing.ratio, 8)),
        "liquidations": len(one.liquidations),
        "keys": [key(k) for k in exchange.keys.values() if k.email == email],
    }


def account_point(exchange: Exchange) -> Json:
    """The default account at this moment, in USDT; no ratio where nothing is owed."""
    standing = exchange.loans.standing()
    owes = bool(standing.total_debts)
    return {
        "time_ms": exchange.clock.now_ms(),
        "ratio": float(standing.ratio) if owes else None,
        "assets": float(standing.total_assets),
        "debts": float(standing.total_debts),
    }


def overview(exchange: Exchange, pair: str) -> Json:
    """What the page shows of the default account and of one pair."""
    with exchange.lock:
        one, switches = exchange.account(), exchange.switches
        standing = exchange.loans.standing()
        return {
            "now_ms": exchange.clock.now_ms(),
            "account": one.email,
            "label": exchange.loans.label(standing.ratio),
            "ratios": {
                "safe": float(switches.safe_ratio),
                "warning": float(switches.warning_ratio),
                "liquidation": float(switches.liquidation_ratio),
            },
            "balances": _balances(exchange, one),
            "liquidations": len(one.liquidations),
            "prices": {name: exchange.describe_price(name) for name in exchange.pairs},
            "pair": pair,
            "decimals": exchange.pairs[pair].price_decimals,
            "books": {kind: _book(exchange, pair, kind) for kind in KINDS},
            "orders": [order(o) for o in exchange.orders(only_open=True)][-OVERVIEW_ROWS:],
            "trades": [trade(t) for t in exchange.matching.trades[-OVERVIEW_TRADES:]],
            "pending_stop_rejections": len(exchange.stop_rejections),
        }


def _balances(exchange: Exchange, one: Account) -> list[Json]:
    rows: list[Json] = []
    held = {name for kind in KINDS for name in one.wallets[kind].currencies()}
    for name in sorted(held | set(exchange.margin_currencies())):
        row: Json = {"currency": name}
        for kind in KINDS:
            balance = one.wallets[kind][name]
            row[kind] = {"available": plain(balance.available), "locked": plain(balance.locked)}
        debt = exchange.loans.debt(name, one.email)
        row["owed"], row["interest"] = plain(debt.owed), plain(debt.interest)
        rows.append(row)
    return rows


def _book(exchange: Exchange, pair: str, kind: Kind) -> Json:
    """The best levels of a side's book: price, amount, and how much of it is the accounts' own."""
    own = [
        (o.action, o.price, o.remaining)
        for o in exchange.orders(kind, pair, only_open=True)
        if o.status >= 0 and o.type != "MARKET"
    ]
    mine: dict[Decimal, Decimal] = {}
    for _, price, amount in own:
        mine[price] = mine.get(price, Decimal(0)) + amount
    bids, asks = exchange.quotes[pair].depth(own)
    return {
        side: [
            [plain(x.price), plain(x.amount), plain(mine.get(x.price, Decimal(0)))]
            for x in levels[:OVERVIEW_LEVELS]
        ]
        for side, levels in (("bids", bids), ("asks", asks))
    }


def loan_terms(terms: LoanTerms) -> Json:
    """What is lent of a currency."""
    return {
        name: plain(value) if isinstance(value, Decimal) else value
        for name, value in asdict(terms).items()
    }


def state(exchange: Exchange, streams: list[str]) -> Json:
    """Everything."""
    return {
        "now_ms": exchange.clock.now_ms(),
        "offset_ms": exchange.clock.offset_ms,
        "prices": {name: exchange.describe_price(name) for name in exchange.pairs},
        "mark_prices": {name: plain(p) for name, p in exchange.loans.mark_prices().items()},
        "accounts": [account(exchange, email) for email in exchange.accounts],
        "orders": [order(one) for one in exchange.orders()],
        "trades": [trade(one) for one in exchange.matching.trades],
        "pending_stop_rejections": len(exchange.stop_rejections),
        "loan_terms": {name: loan_terms(one) for name, one in exchange.loans.terms.items()},
        "switches": exchange.switches.model_dump(mode="json"),
        "streams": streams,
    }
