"""``init`` writes what an unmodified Freqtrade starts from."""

import json
import subprocess
import time
from pathlib import Path

from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import Runner, freqtrade


def test_it_overwrites_nothing_unless_told_to(run: Runner, tmp_path: Path) -> None:
    userdir = tmp_path / "bot"
    assert run("init", "--userdir", str(userdir)).code == 0
    config = userdir / "config.json"
    strategy = userdir / "strategies" / "emergency_cancel_strategy.py"
    assert config.stat().st_mode & 0o077 == 0
    strategy.write_text("# mine")
    config.unlink()
    done = run("init", "--userdir", str(userdir))
    assert done.code == 2
    assert "emergency_cancel_strategy.py already there" in done.err
    assert not config.exists()
    assert run("init", "--userdir", str(userdir), "--force").code == 0
    assert strategy.read_text() != "# mine"


def test_the_filter_is_hard_to_miss(run: Runner, tmp_path: Path) -> None:
    done = run("init", "--userdir", "bot")
    assert "log_config" in done.out
    config = json.loads((tmp_path / "bot" / "config.json").read_text())
    assert config["log_config"]["filters"] == {
        "bitopro_margin": {"()": "bitopro_margin_ext.enable"}
    }
    assert all(
        handler["filters"] == ["bitopro_margin"]
        for handler in config["log_config"]["handlers"].values()
    )
    assert config["dry_run"] is True


def test_freqtrade_starts_from_it(
    sandbox: SandboxServer, run: Runner, tmp_path: Path, environment: dict[str, str]
) -> None:
    run("init", "--userdir", "bot")
    address = {"exchange": {"ccxt_config": {"urls": {"api": {"rest": sandbox.rest_url}}}}}
    (tmp_path / "sandbox.json").write_text(
        json.dumps({**address, "db_url": f"sqlite:///{tmp_path}/trades.sqlite"})
    )
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            freqtrade("trade", "--userdir", "bot", "-c", "bot/config.json", "-c", "sandbox.json"),
            cwd=tmp_path,
            env={**environment, "COLUMNS": "300"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 90
            while "state='RUNNING'" not in log.read_text() and time.monotonic() < deadline:
                assert process.poll() is None, log.read_text()
                time.sleep(0.3)
        finally:
            process.terminate()
            process.wait(30)
    text = log.read_text()
    assert "state='RUNNING'" in text
    assert "EmergencyCancelMixin is on" in text
    # A dry run sends nothing that is signed.
    assert all(line["account"] is None for line in sandbox.control.requests())
