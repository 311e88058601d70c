"""Where keys and addresses come from, and that they are the ones the bot itself would use."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext.core import redaction
from bitopro_margin_ext.core.credentials import (
    CredentialError,
    Credentials,
    find_base_url,
    find_credentials,
    require_address,
)
from bitopro_margin_ext.core.endpoints import REST_URL
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, SECRET, Runner

ENVIRONMENT = {"BITOPRO_API_KEY": "environment-key", "BITOPRO_API_SECRET": "environment-secret"}


def exchange(**fields: Any) -> dict[str, Any]:
    return {"exchange": {"name": "bitopromargin", **fields}}


def test_a_named_config_comes_before_the_environment() -> None:
    config = exchange(key="config-key", secret="config-secret")
    found = find_credentials(config, ENVIRONMENT, config_first=True)
    assert (found.key, found.secret) == ("config-key", "config-secret")
    found = find_credentials(config, ENVIRONMENT, config_first=False)
    assert (found.key, found.secret) == ("environment-key", "environment-secret")


def test_an_empty_config_leaves_it_to_the_environment() -> None:
    found = find_credentials(exchange(key="", secret=""), ENVIRONMENT, config_first=True)
    assert found.key == "environment-key"


def test_halves_are_not_mixed() -> None:
    with pytest.raises(CredentialError, match=r"exchange\.secret is missing in the config"):
        find_credentials(exchange(key="config-key"), ENVIRONMENT, config_first=True)


def test_ccxt_settings_override_as_in_the_bot() -> None:
    config = exchange(
        key="plain-key",
        secret="plain-secret",
        ccxt_config={"apiKey": "ccxt-key", "login": "a@example.com"},
        ccxt_sync_config={"secret": "sync-secret"},
    )
    found = find_credentials(config, {}, config_first=True)
    assert (found.key, found.secret, found.email) == ("ccxt-key", "sync-secret", "a@example.com")


def test_digits_in_a_variable_stay_as_they_are() -> None:
    config = exchange(key=123, secret="config-secret")
    variables = {"FREQTRADE__EXCHANGE__KEY": "000123"}
    assert find_credentials(config, variables, config_first=True).key == "000123"


def test_keys_of_another_exchange_are_not_sent() -> None:
    config = {"exchange": {"name": "binance", "key": "other-key", "secret": "other-secret"}}
    with pytest.raises(CredentialError, match="'binance'"):
        find_credentials(config, {}, config_first=True)


def test_a_key_that_no_header_can_hold_is_refused_unseen() -> None:
    variables = {"BITOPRO_API_KEY": "broken\nkey-value", "BITOPRO_API_SECRET": "some-secret"}
    with pytest.raises(CredentialError) as caught:
        find_credentials({}, variables, config_first=False)
    assert "key-value" not in str(caught.value)


def test_credentials_show_no_secret() -> None:
    shown = repr(Credentials("a-long-key-1234", "a-long-secret", "a@example.com"))
    assert "a-long" not in shown
    assert "1234" in shown
    assert "tiny" not in Credentials("tiny", "secret").account


def test_what_was_found_is_blanked_from_then_on() -> None:
    find_credentials(exchange(key="find-me-key", secret="find-me-too"), {}, config_first=True)
    assert "find-me" not in redaction.redact("find-me-key and find-me-too")


def test_the_keyring_is_the_last_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keyring.py").write_text(
        "def get_password(service, name):\n"
        "    assert service == 'bitopro-margin'\n"
        "    return {'key': 'ring-key', 'secret': 'ring-secret'}.get(name)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    found = find_credentials({}, {}, config_first=False)
    assert (found.key, found.secret, found.email) == ("ring-key", "ring-secret", None)
    assert find_credentials({}, ENVIRONMENT, config_first=False).key == "environment-key"
    del sys.modules["keyring"]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.bitopro.com/v3",
        "http://127.0.0.1:8650/v3",
        "http://localhost:8650/v3",
        "http://[::1]:8650/v3",
    ],
)
def test_addresses_that_may_be_used(url: str) -> None:
    assert require_address(url + "/") == url


def test_the_address_is_the_bots() -> None:
    assert find_base_url({}, {}) == REST_URL
    rest = {"urls": {"api": {"rest": "http://127.0.0.1:1/v3"}}}
    assert find_base_url(exchange(ccxt_config=rest), {}) == "http://127.0.0.1:1/v3"
    sandbox = {"options": {"sandbox": True}}
    assert find_base_url(exchange(ccxt_config=sandbox), {}) == "http://127.0.0.1:8650/v3"


def test_a_config_names_account_and_host(
    sandbox: SandboxServer, seeded: list[str], run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(exchange(key=KEY, secret=SECRET)))
    address = {"urls": {"api": {"rest": sandbox.rest_url}}}
    (tmp_path / "config.json").write_text(
        json.dumps({"add_config_files": ["keys.json"], **exchange(ccxt_config=address)})
    )
    (tmp_path / "keys.json").chmod(0o640)
    (tmp_path / "config.json").chmod(0o600)
    done = run("cancel-all", "-c", "config.json", BITOPRO_API_KEY="", BITOPRO_API_SECRET="")
    assert done.code == 0
    assert sandbox.rest_url in done.out.splitlines()[0]
    assert "CONFIRMED: 3 cancelled" in done.out
    assert "keys.json can be read by other users: chmod 600" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_broken_config_is_one_line(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"exchange": {"key": "sandbox-key" "secret"}}')
    (tmp_path / "config.json").chmod(0o600)
    done = run("cancel-all", "-c", "config.json")
    assert done.code == 2
    assert "config.json is not JSON" in done.err


@pytest.mark.parametrize(
    ("ccxt_config", "variable"),
    [
        ({}, "http://127.0.0.1:9"),
        ({"sandbox": True}, None),
        ({"sandbox": True}, "http://127.0.0.1:9/"),
        ({"sandbox": True}, "http://127.0.0.1:9/v3"),
        ({"testnet": True}, None),
        ({"sandbox": False}, None),
        ({"sandbox": "yes"}, None),
        ({"options": {"sandbox": True}}, None),
        ({"options": {"testnet": True}}, "http://127.0.0.1:9"),
        ({"options": {"sandbox": 1}}, None),
        ({"sandbox": True, "urls": {"api": {"rest": "http://127.0.0.1:1/v3"}}}, None),
        ({"sandbox": True, "urls": {"test": {"rest": "http://127.0.0.1:2/v3"}}}, None),
        ({"urls": {"api": {"rest": "http://127.0.0.1:1/v3"}}}, None),
    ],
)
def test_the_address_is_where_ccxt_goes_with_the_same_config(
    ccxt_config: dict[str, Any], variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ccxt

    import bitopro_margin_ext

    bitopro_margin_ext.register()
    environment = {"BITOPRO_SANDBOX_URL": variable} if variable else {}
    monkeypatch.delenv("BITOPRO_SANDBOX_URL", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    api = ccxt.bitopromargin(json.loads(json.dumps(ccxt_config)))
    assert find_base_url(exchange(ccxt_config=ccxt_config), environment) == api.urls["api"]["rest"]
