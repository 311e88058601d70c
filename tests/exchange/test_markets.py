"""Which markets are margin: asked of the exchange when keys are there, and never in the way."""

import time

import ccxt
import pytest

TERMS = "/v3/margin/provisioning/borrow"


def margined(api):
    return {symbol for symbol, market in api("load_markets").items() if market["margin"]}


def asked(sandbox):
    return [line["path"] for line in sandbox.control.requests()].count(TERMS)


def test_the_exchange_says_which(book, connect):
    terms = book.answers["GET", "/margin/provisioning/borrow"]
    doge = {**terms["BTC"], "currency": "DOGE"}
    eth = {**terms["ETH"], "transferStatus": 0}
    btc = {**terms["BTC"], "transferStatus": 2}
    book.answers["GET", "/margin/provisioning/borrow"] = {
        "DOGE": doge,
        "ETH": eth,
        "BTC": btc,
        "USDT": terms["USDT"],
    }
    api = connect(book.rest_url)
    # Switched off is off; under maintenance passes, and must not drop a pair out of a bot.
    assert margined(api) == {"DOGE/USDT", "BTC/USDT"}
    market = api.exchange.markets["DOGE/USDT"]
    assert market["marginModes"] == {"cross": True, "isolated": False}
    assert market["limits"]["leverage"] == {"min": 1, "max": 3}
    assert api.exchange.markets["ETH/USDT"]["margin"] is False


def test_without_keys_nothing_is_signed(connect, sandbox):
    api = connect(sandbox.rest_url, apiKey=None, secret=None)
    assert margined(api) == {"BTC/USDT", "ETH/USDT", "ETH/BTC"}
    assert asked(sandbox) == 0


def test_it_can_be_left_out(connect, sandbox):
    config = {"marginCurrencies": ["DOGE", "USDT"], "fetchMargins": False}
    assert margined(connect(sandbox.rest_url, options=config)) == {"DOGE/USDT"}
    assert asked(sandbox) == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 403, "body": {"error": "Forbidden"}},
        {"kind": "status", "status": 500, "body": "<html>"},
        {"kind": "list_body"},
        {"kind": "close"},
    ],
    ids=lambda fault: fault["kind"] + str(fault.get("status", "")),
)
def test_a_failure_blocks_nothing(connect, sandbox, fault):
    sandbox.control.add_fault(path=TERMS, times=None, **fault)
    api = connect(sandbox.rest_url)
    assert margined(api) == {"BTC/USDT", "ETH/USDT", "ETH/BTC"}
    assert asked(sandbox) == 1


def test_a_slow_answer_is_not_waited_for(connect, sandbox, monkeypatch):
    monkeypatch.setattr("bitopro_margin_ext.exchange.market_data.TERMS_TIMEOUT", 0.3)
    sandbox.control.add_fault(kind="delay", seconds=2, path=TERMS)
    api = connect(sandbox.rest_url)
    began = time.monotonic()
    assert margined(api) == {"BTC/USDT", "ETH/USDT", "ETH/BTC"}
    assert time.monotonic() - began < 1.5


def test_currency_names_with_chains_are_one(connect, sandbox):
    api = connect(sandbox.rest_url)
    api("load_markets")
    # An older ccxt calls Ethereum's by the coin's name.
    wanted = {api.exchange.network_id_to_code(chain, "USDT") for chain in ("ERC20", "BEP20")}
    assert len(wanted) == 2
    assert set(api.exchange.currency("USDT")["networks"]) == wanted
    with pytest.raises(ccxt.ExchangeError):
        api.exchange.currency("USDT (ETH-ERC20)")
