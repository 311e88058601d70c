"""A client of the controls, for tests and drills: typed, on ``requests`` alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import requests

from .defaults import CONTROL_PREFIX

Json = dict[str, Any]
Amount = str | int | Decimal
TIMEOUT = 30


class ControlError(Exception):
    """A control call that the sandbox did not understand; the text says what was wrong."""


class SandboxControl:
    """Steers a running sandbox, in this process or in another one."""

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/") + CONTROL_PREFIX
        self._session = requests.Session()
        # A proxy in the environment has nothing to do with the loopback.
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    # The market

    def set_price(
        self, pair: str, price: Amount, bid: Amount | None = None, ask: Amount | None = None
    ) -> Json:
        """Move a pair's price; the touch is put around it unless given."""
        wish = {"pair": pair, "price": str(price), "bid": _text(bid), "ask": _text(ask)}
        return self._post("/price", wish)

    def set_prices(self, prices: Mapping[str, Amount]) -> Json:
        """Move several prices, in that order."""
        return self._post("/price", {"prices": {p: str(v) for p, v in prices.items()}})

    def delist(self, pair: str) -> Json:
        """Take a pair off the list; its open orders are cancelled, its paths answer 404."""
        return self._post("/pairs", {"pair": pair, "listed": False})

    def set_maintenance(
        self, pair: str, maintain: bool | str = True, text: str | None = None
    ) -> Json:
        """Refuse ``new orders`` (True), ``writes`` or ``all`` private calls; False opens again."""
        return self._post("/pairs", {"pair": pair, "maintain": maintain, "text": text})

    def set_margin(self, pair: str, margin: bool = True) -> Json:
        """Open a pair for margin trading (its currencies need not be lent), or close it."""
        return self._post("/pairs", {"pair": pair, "margin": margin})

    # Orders

    def seed_order(
        self,
        pair: str,
        action: str,
        amount: Amount,
        price: Amount,
        *,
        account: str | None = None,
        **fields: Any,
    ) -> Json:
        """Put one order on the account as if by hand; fields as in ``seed_orders``."""
        line = {"pair": pair, "action": action, "amount": str(amount), "price": str(price)}
        return self.seed_orders([{**line, **fields}], account=account)[0]

    def seed_orders(
        self, orders: Iterable[Mapping[str, Any]], *, account: str | None = None
    ) -> list[Json]:
        """Put orders on the account.

        Each has pair, action, amount, price, and as wished: kind (margin or spot), type (with the
        web page's OCO types), status, executedAmount, stopPrice, condition, timeInForce, clientId,
        id, age (seconds), fund (default true: the order brings the money that it locks).
        """
        lines = [{k: _plain(v) for k, v in order.items()} for order in orders]
        answer = self._post("/orders", {"orders": lines, "account": account})
        seeded: list[Json] = answer["orders"]
        return seeded

    def fill(
        self,
        order_id: str,
        *,
        fraction: Amount | None = None,
        amount: Amount | None = None,
        price: Amount | None = None,
        pair: str | None = None,
        maker: bool = True,
    ) -> Json:
        """Fill a fraction of an order's original amount, or an amount in base, or the rest."""
        wish = {
            "fraction": _text(fraction),
            "amount": _text(amount),
            "price": _text(price),
            "pair": pair,
            "maker": maker,
        }
        return self._post(f"/orders/{order_id}/fill", wish)

    def cancel(self, order_id: str, *, pair: str | None = None) -> Json:
        """Cancel an order from outside, as the user could on the web page."""
        answer: Json = self._post(f"/orders/{order_id}/cancel", {"pair": pair})["order"]
        return answer

    def reject_stops(self, times: int = 1, text: str | None = None, status: int = 400) -> Json:
        """Refuse the next stop orders."""
        wish: Json = {"times": times, "status": status}
        if text is not None:
            wish["text"] = text
        return self._post("/stops/reject", wish)

    # Accounts

    def set_balances(
        self, balances: Mapping[str, Amount], *, kind: str = "margin", account: str | None = None
    ) -> Json:
        """Set what is available of some currencies."""
        amounts = {name: str(amount) for name, amount in balances.items()}
        return self._post("/balances", {"balances": amounts, "kind": kind, "account": account})

    def add_balances(
        self, balances: Mapping[str, Amount], *, kind: str = "margin", account: str | None = None
    ) -> Json:
        """Add to what is available of some currencies; an amount below 0 takes it away."""
        amounts = {name: str(amount) for name, amount in balances.items()}
        wish = {"balances": amounts, "kind": kind, "account": account, "add": True}
        return self._post("/balances", wish)

    def add_account(
        self,
        email: str,
        *,
        keys: Iterable[Mapping[str, Any]] = (),
        balances: Mapping[str, Mapping[str, Amount]] | None = None,
    ) -> Json:
        """Open an account, or add keys to one: key, secret, margin (bool), revoked (bool)."""
        wish: Json = {"email": email, "keys": [dict(key) for key in keys]}
        if balances is not None:
            wish["balances"] = {
                kind: {name: str(amount) for name, amount in side.items()}
                for kind, side in balances.items()
            }
        return self._post("/accounts", wish)

    def change_key(
        self, key: str, *, margin: bool | None = None, revoked: bool | None = None
    ) -> Json:
        """Give or take the margin permission, or revoke a key."""
        wish: Json = {"key": key}
        if margin is not None:
            wish["margin"] = margin
        if revoked is not None:
            wish["revoked"] = revoked
        return self._post("/keys", wish)

    # Loans

    def set_loan_terms(self, currency: str, **terms: Any) -> Json:
        """Change annual_percent, max_user, max_system, available, borrow_status, minimum, step."""
        return self._post(
            "/loans/terms", {"currency": currency, **{n: _plain(v) for n, v in terms.items()}}
        )

    def borrow(self, currency: str, amount: Amount, *, account: str | None = None) -> Json:
        """Borrow as the user could on the web page; no limit is checked."""
        wish = {"currency": currency, "amount": str(amount), "account": account}
        return self._post("/loans/borrow", wish)

    def repay(self, currency: str, amount: Amount, *, account: str | None = None) -> Json:
        """Repay as the user could on the web page."""
        wish = {"currency": currency, "amount": str(amount), "account": account}
        return self._post("/loans/repay", wish)

    def liquidate(
        self, mode: str = "whole", *, fraction: Amount | None = None, account: str | None = None
    ) -> Json:
        """Liquidate an account now: ``whole``, ``partial`` or ``in_kind``."""
        wish = {"mode": mode, "fraction": _text(fraction), "account": account}
        return self._post("/liquidate", wish)

    # Time and behaviour

    def advance(self, seconds: Amount | float) -> Json:
        """Let time pass on the exchange's clock: interest grows."""
        return self._post("/clock", {"advance": str(seconds)})

    def skew(self, seconds: Amount | float) -> Json:
        """Set the exchange's clock off by this much."""
        return self._post("/clock", {"skew": str(seconds)})

    def switches(self, **wishes: Any) -> Json:
        """Set switches, and return all of them."""
        if not wishes:
            return self._call("GET", "/switches")
        return self._post("/switches", {name: _plain(v) for name, v in wishes.items()})

    def reset(self) -> None:
        """Start afresh: state, faults, limits and log."""
        self._post("/reset", {})

    # What happened

    def state(self) -> Json:
        """Return everything that is true."""
        return self._call("GET", "/state")

    def orders(self, *, kind: str | None = None, only_open: bool = False) -> list[Json]:
        """Return the true orders."""
        return [
            order
            for order in self.state()["orders"]
            if kind in (None, order["kind"]) and (order["open"] or not only_open)
        ]

    def order(self, order_id: str) -> Json:
        """Return one true order."""
        for order in self.orders():
            if order["id"] == order_id:
                return order
        raise ControlError(f"no order {order_id}")

    def requests(self, after: int = 0) -> list[Json]:
        """Return the request log, oldest first, from a line number on."""
        lines: list[Json] = self._call("GET", f"/requests?after={after}")["requests"]
        return lines

    def clear_requests(self) -> None:
        """Empty the request log."""
        self._call("DELETE", "/requests")

    # Faults

    def add_fault(
        self, kind: str, *, method: str = "*", path: str = "*", times: int | None = 1, **more: Any
    ) -> Json:
        """Add a rule: how it counts (after, probability, seed, regex) and its kind's options."""
        wish = {"kind": kind, "method": method, "path": path, "times": times}
        extra = {name: _plain(value) for name, value in more.items()}
        rule: Json = self._post("/faults", {"rules": [{**wish, **extra}]})["rules"][0]
        return rule

    def lose_creation(
        self,
        becomes: str = "rests",
        *,
        fraction: Amount | None = None,
        path: str = "/margin/orders/*",
        **more: Any,
    ) -> list[Json]:
        """Drop the connection of the next creation once its order is in an end state.

        ``becomes`` is rests, partly_filled, filled, cancelled, partly_cancelled or rejected.
        """
        more = {"method": "POST", "path": path, **more}
        created: Json = {"becomes": becomes}
        if fraction is not None:
            created["fraction"] = fraction
        return [
            self.add_fault("created_order", **created, **more),
            self.add_fault("process_close", **more),
        ]

    def faults(self) -> list[Json]:
        """Return the rules with how often each has hit."""
        rules: list[Json] = self._call("GET", "/faults")["rules"]
        return rules

    def clear_faults(self) -> None:
        """Drop all rules."""
        self._call("DELETE", "/faults")

    def drop_streams(self, path: str = "*") -> int:
        """Cut open websockets whose path matches; returns how many."""
        return int(self._post("/streams/drop", {"path": path})["dropped"])

    def refuse_streams(self, times: int = 1, status: int = 503) -> Json:
        """Refuse the next handshakes."""
        return self._post("/streams/refuse", {"times": times, "status": status})

    def _post(self, path: str, wish: Json) -> Json:
        return self._call("POST", path, wish)

    def _call(self, method: str, path: str, wish: Json | None = None) -> Json:
        reply = self._session.request(method, self._base + path, json=wish, timeout=TIMEOUT)
        answer: Json = reply.json()
        if reply.status_code != 200:
            raise ControlError(answer.get("error", reply.text))
        return answer


def _text(value: Amount | None) -> str | None:
    return None if value is None else str(value)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
