"""A client for these tests, written from the pages by hand: it shares nothing with either side."""

import base64
import hashlib
import hmac
import json
import time

import requests

KEY, SECRET, EMAIL = "sandbox-key", "sandbox-secret", "sandbox@example.com"


class Nonces:
    """Milliseconds that never repeat."""

    def __init__(self):
        self._last = 0

    def next(self):
        self._last = max(self._last + 1, int(time.time() * 1000))
        return self._last


NONCES = Nonces()


def sign(payload, secret=SECRET):
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha384).hexdigest()


def headers(raw, key=KEY, secret=SECRET):
    payload = base64.b64encode(raw).decode()
    return {
        "X-BITOPRO-APIKEY": key,
        "X-BITOPRO-PAYLOAD": payload,
        "X-BITOPRO-SIGNATURE": sign(payload, secret),
    }


def claims(**more):
    return json.dumps({"identity": EMAIL, "nonce": NONCES.next(), **more}).encode()


class Trader:
    """Signs and sends; returns ``requests`` responses."""

    def __init__(self, server, key=KEY, secret=SECRET, email=EMAIL):
        self.server = server
        self.key, self.secret, self.email = key, secret, email
        self.session = requests.Session()
        self.session.trust_env = False

    def send(self, method, path, body=None, timeout=10, **query):
        if method in ("GET", "DELETE"):
            raw, data = claims(identity=self.email), None
        else:
            raw = data = json.dumps(body).encode()
        return self.session.request(
            method,
            self.server.rest_url + path,
            params=query,
            data=data,
            headers=headers(raw, self.key, self.secret),
            timeout=timeout,
        )

    def get(self, path, **query):
        return self.send("GET", path, **query)

    def delete(self, path, **query):
        return self.send("DELETE", path, **query)

    def post(self, path, body):
        return self.send("POST", path, body)

    def put(self, path, body):
        return self.send("PUT", path, body)

    def order(self, pair="btc_usdt", side="margin", **fields):
        wish = {"action": "BUY", "type": "LIMIT", "amount": "0.01", "price": "50000"}
        wish = {**wish, "timestamp": NONCES.next(), **fields}
        prefix = "/margin" if side == "margin" else ""
        return self.post(f"{prefix}/orders/{pair}", wish)

    def placed(self, pair="btc_usdt", **fields):
        reply = self.order(pair, **fields)
        assert reply.status_code == 200, reply.text
        return reply.json()["orderId"]

    def fetch(self, order_id, pair="btc_usdt", side="margin"):
        prefix = "/margin" if side == "margin" else ""
        reply = self.get(f"{prefix}/orders/{pair}/{order_id}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def margin(self):
        return self.get("/margin/balances").json()["balances"]


def borrow(trader, currency, amount):
    return trader.post("/margin/borrow", {"currency": currency, "borrowAmount": amount})


def repay(trader, currency, amount):
    return trader.post("/margin/repay", {"currency": currency, "repayAmount": amount})


def transfer(trader, amount, source=0, target=5, currency="usdt"):
    wish = {"currency": currency, "amount": amount}
    return trader.post(
        "/margin/transfer", {**wish, "fromBalanceKind": source, "toBalanceKind": target}
    )
