"""A bot as loud as it can be, on a bad network: nothing that signs is left behind anywhere.

What to look for comes from the exchange's side: every key, payload and signature that arrived.
"""

import json

import pytest

from bitopro_margin_ext.drill.scenario import Drill
from bitopro_margin_ext.sandbox import EMAIL
from bitopro_margin_ext.sandbox.auth import (
    KEY_HEADER,
    PAYLOAD_HEADER,
    SIGNATURE_HEADER,
    Authenticator,
)
from bitopro_margin_ext.sandbox.server import SandboxServer
from bitopro_margin_ext.sandbox.state import ApiKey

from .fault_rules import FAULTS

KEY, SECRET = "kd83hf-the-key-of-this-drill", "q0vn27-the-secret-of-this-drill"
FAULT_NAMES = ("409", "open-empty", "history-truncated", "exit-429", "process-close")


@pytest.fixture
def signed(monkeypatch):
    """Everything that signed a request, as it arrived."""
    found = set()
    admit = Authenticator.admit_rest

    def listening(self, method, headers, body, shift_ms):
        found.update(headers.get(name) for name in (KEY_HEADER, PAYLOAD_HEADER, SIGNATURE_HEADER))
        return admit(self, method, headers, body, shift_ms)

    monkeypatch.setattr(Authenticator, "admit_rest", listening)
    return found


def make_loud(config):
    """All that Freqtrade and ccxt can say, also through handlers that have no filter of ours."""
    config["exchange"]["key"], config["exchange"]["secret"] = KEY, SECRET
    config["exchange"]["ccxt_config"]["verbose"] = True
    log = config["log_config"]
    log["handlers"]["console"] = {"class": "logging.StreamHandler", "formatter": "standard"}
    log["handlers"]["file"].pop("filters")
    log["root"] = {"handlers": ["file", "console"], "level": "DEBUG"}


@pytest.mark.parametrize("scenario", ["stop-rejected", "exit-timeout"])
def test_nothing_that_signs_is_found_anywhere(scenario, signed, tmp_path):
    story = []
    faults = [rule for name in FAULT_NAMES for rule in FAULTS[name].armed(scenario, "all")]
    with SandboxServer() as server:
        server.exchange.add_key(ApiKey(KEY, SECRET, EMAIL))
        drill = Drill(
            scenario,
            server,
            tmp_path,
            scope="all",
            faults=faults,
            story=story.append,
            patience=90,
            arguments=("-vvv",),
        )
        path = tmp_path / "config.json"
        config = json.loads(path.read_text())
        make_loud(config)
        path.write_text(json.dumps(config))
        verdict = drill.play()
        struck = {rule["kind"] for rule in server.control.faults() if rule["hits"]}
    assert verdict.agrees, verdict
    assert len(struck) >= 4

    sources = {
        file.name: file.read_bytes()
        for file in tmp_path.rglob("*")
        if file.is_file() and file != path
    }
    sources["story"] = "\n".join(story).encode()
    sources["verdict"] = json.dumps(verdict.to_json()).encode()
    log = sources["freqtrade.log"]
    assert b"fetch Request" in sources["output.txt"], "ccxt was verbose"
    assert b"DEBUG - " in log
    assert b"X-BITOPRO-SIGNATURE" in log + sources["output.txt"], "headers were said, blanked"
    assert any(name.startswith("trades.sqlite") for name in sources)

    assert {KEY} < signed
    assert len(signed) > 20
    for secret in (SECRET, *signed):
        for name, content in sources.items():
            assert secret.encode() not in content, f"{name} has {secret[:8]}..."
