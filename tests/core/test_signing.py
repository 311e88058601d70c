import base64
import json

import pytest

from bitopro_margin_ext.core import signing
from bitopro_margin_ext.core.endpoints import ENDPOINTS

PAYLOAD = "eyJpZGVudGl0eSI6ImhjbWxpbmpAZ21haWwuY29tIiwibm9uY2UiOjE1NTQzODA5MDkxMzF9"
SIGNATURE = (
    "01a85a9083db47c20da7196380598f3feacd3c76a9077aaf"
    "7ffaf08ce0091abf65b61778792607b010921adfe1c2941a"
)


def payload_of(request):
    return base64.b64decode(request.headers["X-BITOPRO-PAYLOAD"]).decode()


def build(endpoint, params, **more):
    account = {"base_url": "https://host/v3", "key": "the-key", "secret": "the-secret"}
    return signing.build_request(endpoint, params, **account, **more)


def complete(endpoint, **more):
    return {**dict.fromkeys(endpoint.placeholders, "1"), **more} | (
        {"pair": "btc_usdt"} if "pair" in endpoint.placeholders else {}
    )


def test_the_published_vector():
    assert (
        signing.encode_payload('{"identity":"hcmlinj@gmail.com","nonce":1554380909131}') == PAYLOAD
    )
    assert signing.sign_payload(PAYLOAD, "bitopro") == SIGNATURE


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.implicit)
def test_every_endpoint_is_signed_as_documented(endpoint):
    request = build(endpoint, complete(endpoint, extra="£ €", nested={"a": [1, "2"]}))
    payload = request.headers["X-BITOPRO-PAYLOAD"]
    assert request.headers["X-BITOPRO-APIKEY"] == "the-key"
    assert request.headers["X-BITOPRO-SIGNATURE"] == signing.sign_payload(payload, "the-secret")
    assert request.method == endpoint.method
    if endpoint.method in ("POST", "PUT"):
        assert payload == base64.b64encode(request.body.encode()).decode()
        assert set(json.loads(request.body)) == {"extra", "nested"}
        assert request.headers["Content-Type"] == "application/json"
        assert "?" not in request.url
    else:
        assert request.body is None
        assert set(json.loads(payload_of(request))) == {"nonce"}
        assert "?extra=" in request.url


@pytest.mark.parametrize(
    ("identity", "names"),
    [("me@example.com", ["identity", "nonce"]), (None, ["nonce"]), ("", ["nonce"])],
)
def test_the_identity_is_there_only_when_given(identity, names):
    document = json.loads(signing.nonce_document(7, identity))
    assert list(document) == names
    assert document.get("identity", None) == (identity or None)


def test_a_body_may_be_a_list():
    batch = next(e for e in ENDPOINTS if e.path == "margin/orders/batch")
    request = build(batch, [{"pair": "BTC_USDT"}])
    assert request.body == '[{"pair":"BTC_USDT"}]'
    assert payload_of(request) == request.body
