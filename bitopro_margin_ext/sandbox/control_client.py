"""A client of the controls, for tests and drills: typed, on ``requests`` alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import requests

from . import CONTROL_PREFIX

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
        return self._post("/price", pair=pair, price=price, bid=bid, ask=ask)

    def set_prices(self, prices: Mapping[str, Amount]) -> Json:
        """Move several prices, in that order."""
        return self._post("/price", prices=prices)

    def list_pair(self, pair: str, price: Amount | None = None) -> Json:
        """List a pair for margin and lend its currencies; without a price, at their worth."""
        return self._post("/pairs/list", pair=pair, price=price)

    def delist(self, pair: str) -> Json:
        """Take a pair off the list; its open orders are cancelled, its paths answer 404."""
        return self._post("/pairs", pair=pair, listed=False)

    def set_maintenance(
        self, pair: str, maintain: bool | str = True, text: str | None = None
    ) -> Json:
        """Refuse ``new orders`` (True), ``writes`` or ``all`` private calls; False opens again."""
        return self._post("/pairs", pair=pair, maintain=maintain, text=text)

    def set_margin(self, pair: str, margin: bool = True) -> Json:
        """Open a pair for margin trading (its currencies need not be lent), or close it."""
        return self._post("/pairs", pair=pair, margin=margin)

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
        line = {"pair": pair, "action": action, "amount": amount, "price": price}
        return self.seed_orders([{**line, **fields}], account=account)[0]

    def seed_orders(
        self, orders: Iterable[Mapping[str, Any]], *, account: str | None = None
    ) -> list[Json]:
        """Put orders on the account.

        Each has pair, action, amount, price, and optionally: kind (margin or spot), type (with the
        web page's OCO types), status, executedAmount, stopPrice, condition, timeInForce, clientId,
        id, age (seconds), fund (default true: the order brings the money that it locks).
        """
        seeded: list[Json] = self._post("/orders", orders=orders, account=account)["orders"]
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
        return self._post(
            f"/orders/{order_id}/fill",
            fraction=fraction,
            amount=amount,
            price=price,
            pair=pair,
            maker=maker,
        )

    def cancel(self, order_id: str, *, pair: str | None = None) -> Json:
        """Cancel an order from outside, as the user could on the web page."""
        cancelled: Json = self._post(f"/orders/{order_id}/cancel", pair=pair)["order"]
        return cancelled

    def reject_stops(self, times: int = 1, text: str | None = None, status: int = 400) -> Json:
        """Refuse the next stop orders."""
        return self._post("/stops/reject", times=times, text=text, status=status)

    # Accounts

    def set_balances(
        self, balances: Mapping[str, Amount], *, kind: str = "margin", account: str | None = None
    ) -> Json:
        """Set what is available of some currencies."""
        return self._post("/balances", balances=balances, kind=kind, account=account)

    def add_balances(
        self, balances: Mapping[str, Amount], *, kind: str = "margin", account: str | None = None
    ) -> Json:
        """Add to what is available of some currencies; an amount below 0 takes it away."""
        return self._post("/balances", balances=balances, kind=kind, account=account, add=True)

    def add_account(
        self,
        email: str,
        *,
        keys: Iterable[Mapping[str, Any]] = (),
        balances: Mapping[str, Mapping[str, Amount]] | None = None,
    ) -> Json:
        """Open an account, or add keys to one: key, secret, margin (bool), revoked (bool)."""
        return self._post("/accounts", email=email, keys=keys, balances=balances)

    def change_key(
        self, key: str, *, margin: bool | None = None, revoked: bool | None = None
    ) -> Json:
        """Give or take the margin permission, or revoke a key."""
        return self._post("/keys", key=key, margin=margin, revoked=revoked)

    # Loans

    def set_loan_terms(self, currency: str, **terms: Any) -> Json:
        """Change annual_percent, max_user, max_system, available, borrow_status, minimum, step."""
        return self._post("/loans/terms", currency=currency, **terms)

    def borrow(self, currency: str, amount: Amount, *, account: str | None = None) -> Json:
        """Borrow as the user could on the web page; no limit is checked."""
        return self._post("/loans/borrow", currency=currency, amount=amount, account=account)

    def repay(self, currency: str, amount: Amount, *, account: str | None = None) -> Json:
        """Repay as the user could on the web page."""
        return self._post("/loans/repay", currency=currency, amount=amount, account=account)

    def charge_interest(self, seconds: Amount | float, *, account: str | None = None) -> Json:
        """Charge the interest of so much time while the clock, and the orders' age, stay."""
        return self._post("/loans/interest", seconds=seconds, account=account)

    def liquidate(
        self, mode: str = "whole", *, fraction: Amount | None = None, account: str | None = None
    ) -> Json:
        """Liquidate an account now: ``whole``, ``partial`` or ``in_kind``."""
        return self._post("/liquidate", mode=mode, fraction=fraction, account=account)

    # Time and behaviour

    def advance(self, seconds: Amount | float) -> Json:
        """Let time pass on the exchange's clock: interest grows."""
        return self._post("/clock", advance=seconds)

    def skew(self, seconds: Amount | float) -> Json:
        """Set the exchange's clock off by this much."""
        return self._post("/clock", skew=seconds)

    def switches(self, **changes: Any) -> Json:
        """Set switches, and return all of them."""
        if not changes:
            return self._call("GET", "/switches")
        return self._post("/switches", **changes)

    def reset(self) -> None:
        """Start afresh: state, faults, limits and log."""
        self._post("/reset")

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
        fault = {"kind": kind, "method": method, "path": path, "times": times, **more}
        rule: Json = self._post("/faults", rules=[fault])["rules"][0]
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
        return int(self._post("/streams/drop", path=path)["dropped"])

    def refuse_streams(self, times: int = 1, status: int = 503) -> Json:
        """Refuse the next handshakes."""
        return self._post("/streams/refuse", times=times, status=status)

    def _post(self, path: str, /, **fields: Any) -> Json:
        """Send the fields that are given; the sandbox has the others' defaults."""
        body = {name: _plain(value) for name, value in fields.items() if value is not None}
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        reply = self._session.request(method, self._base + path, json=body, timeout=TIMEOUT)
        answer: Json = reply.json()
        if reply.status_code != 200:
            raise ControlError(answer.get("error", reply.text))
        return answer


def _plain(value: Any) -> Any:
    """Return what JSON can carry; amounts become text, so that no digit is lost."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
