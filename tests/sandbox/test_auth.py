"""Who is let in: every header, nonce and identity that the pages speak of."""

import base64
import json
import time
from email.utils import parsedate_to_datetime

import pytest
import requests

from bitopro_margin_ext.sandbox.auth import sign as sandbox_sign
from tests.sandbox.trader import EMAIL, KEY, NONCES, SECRET, Trader, claims, headers, sign

VECTOR = (
    "bitopro",
    "eyJpZGVudGl0eSI6ImhjbWxpbmpAZ21haWwuY29tIiwibm9uY2UiOjE1NTQzODA5MDkxMzF9",
    "01a85a9083db47c20da7196380598f3feacd3c76a9077aaf7ffaf08ce0091abf65b61778792607b010921adfe1c2941a",
)


def get(sandbox, head, path="/margin/balances"):
    return requests.get(sandbox.rest_url + path, headers=head, timeout=5)


@pytest.mark.parametrize("signer", [sandbox_sign, sign])
def test_the_published_vector(signer):
    secret, payload, signature = VECTOR
    assert signer(payload, secret) == signature


def test_a_good_signature_is_let_in(sandbox):
    assert get(sandbox, headers(claims())).status_code == 200


def test_identity_may_be_absent_or_empty_over_rest(sandbox):
    for identity in ({}, {"identity": ""}):
        raw = json.dumps({**identity, "nonce": NONCES.next()}).encode()
        assert get(sandbox, headers(raw)).status_code == 200


def test_identity_can_be_required(sandbox, control):
    control.switches(require_identity=True)
    raw = json.dumps({"nonce": NONCES.next()}).encode()
    assert get(sandbox, headers(raw)).status_code == 401


def test_the_url_safe_alphabet_is_accepted(sandbox):
    # The official SDK encodes so; "\xff" makes the two alphabets differ.
    raw = json.dumps({"identity": EMAIL, "nonce": NONCES.next(), "x": "?>?>?>"}).encode()
    payload = base64.urlsafe_b64encode(raw).decode()
    assert "_" in payload or "-" in payload
    head = {
        "X-BITOPRO-APIKEY": KEY,
        "X-BITOPRO-PAYLOAD": payload,
        "X-BITOPRO-SIGNATURE": sign(payload),
    }
    assert get(sandbox, head).status_code == 200


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"X-BITOPRO-APIKEY": "nobody"}, "Unauthorized api key"),
        ({"X-BITOPRO-APIKEY": None}, "Unauthorized api key"),
        ({"X-BITOPRO-SIGNATURE": "0" * 96}, "Invalid Signature"),
        ({"X-BITOPRO-SIGNATURE": None}, "Invalid Signature"),
        ({"X-BITOPRO-PAYLOAD": "e30="}, "Invalid Signature"),
        ({"X-BITOPRO-PAYLOAD": None}, "Invalid Signature"),
    ],
)
def test_a_wrong_header_is_401(sandbox, change, text):
    head = {k: v for k, v in {**headers(claims()), **change}.items() if v is not None}
    reply = get(sandbox, head)
    assert (reply.status_code, reply.json()) == (401, {"error": text})


def test_the_signature_is_lower_case(sandbox):
    head = headers(claims())
    head["X-BITOPRO-SIGNATURE"] = head["X-BITOPRO-SIGNATURE"].upper()
    assert get(sandbox, head).status_code == 401


def test_a_payload_must_be_json_with_an_integer_nonce(sandbox):
    for raw in (b"nonsense", b"[]", b'{"nonce": "1"}', b'{"nonce": 1.5}', b"{}"):
        assert get(sandbox, headers(raw)).status_code == 401


def test_a_foreign_identity_is_401(sandbox):
    assert get(sandbox, headers(claims(identity="someone@example.com"))).status_code == 401


def test_a_nonce_is_used_once(sandbox, control):
    head = headers(claims())
    assert get(sandbox, head).status_code == 200
    reply = get(sandbox, head)
    assert (reply.status_code, reply.json()) == (401, {"error": "Invalid nonce"})
    control.switches(refuse_replayed_nonce=False)
    assert get(sandbox, head).status_code == 200


@pytest.mark.parametrize("offset", [-60_000, 60_000])
def test_a_nonce_far_from_the_clock_is_409_with_the_exchange_date(sandbox, control, offset):
    control.skew(30)
    raw = json.dumps({"nonce": int(time.time() * 1000) + offset}).encode()
    reply = get(sandbox, headers(raw))
    assert reply.status_code == 409
    assert reply.json() == {"error": "Local machine time mismatch"}
    ahead = parsedate_to_datetime(reply.headers["Date"]).timestamp() - time.time()
    assert 28 < ahead < 31


def test_a_post_body_must_be_what_was_signed(sandbox):
    body = b'{"action": "BUY"}'
    head = headers(body)
    url = sandbox.rest_url + "/margin/orders/btc_usdt"
    reply = requests.post(url, data=body.replace(b" ", b""), headers=head, timeout=5)
    assert (reply.status_code, reply.json()) == (401, {"error": "Invalid Signature"})


def test_a_key_without_margin_permission(sandbox, control):
    control.add_account(EMAIL, keys=[{"key": "spot-only", "secret": "s", "margin": False}])
    limited = Trader(sandbox, "spot-only", "s")
    assert limited.get("/margin/balances").status_code == 403
    assert limited.delete("/margin/orders/all").status_code == 403
    assert limited.get("/accounts/balance").status_code == 200


def test_a_revoked_key(sandbox, control):
    control.change_key(KEY, revoked=True)
    reply = Trader(sandbox).get("/margin/balances")
    assert (reply.status_code, reply.json()) == (401, {"error": "Unauthorized api key"})


def test_accounts_do_not_see_each_other(sandbox, control):
    control.add_account("b@example.com", keys=[{"key": "b", "secret": "t"}])
    first, second = Trader(sandbox), Trader(sandbox, "b", "t", "b@example.com")
    order = first.placed()
    assert second.get(f"/margin/orders/btc_usdt/{order}").status_code == 404
    assert second.delete(f"/margin/orders/btc_usdt/{order}").status_code == 404
    assert second.delete("/margin/orders/all").json() == {"data": {}}
    assert first.fetch(order)["status"] == 0


def test_nothing_secret_is_logged(sandbox, control, trader):
    trader.placed()
    trader.get("/margin/balances")
    log = json.dumps(control.requests()) + json.dumps(control.state())
    assert SECRET not in log
    for value in headers(claims()).values():
        assert value == KEY or value not in log
