"""``init`` writes what an unmodified Freqtrade starts from."""

import json
import shlex
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

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
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sandbox.json").write_text(
        json.dumps(
            {
                **address,
                "db_url": f"sqlite:///{tmp_path}/trades.sqlite",
                "bitopro_margin": {"heartbeat_file": "beat"},
            }
        )
    )
    files = ("-c", "bot/config.json", "-c", "mine/sandbox.json")
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            freqtrade("trade", "--userdir", "bot", *files),
            cwd=tmp_path,
            env={**environment, "COLUMNS": "300"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and not (
                "state='RUNNING'" in log.read_text() and (tmp_path / "mine" / "beat").exists()
            ):
                assert process.poll() is None, log.read_text()
                time.sleep(0.3)
        finally:
            process.terminate()
            process.wait(30)
    text = log.read_text()
    assert "state='RUNNING'" in text
    assert "EmergencyCancelMixin is on" in text
    # Beside the config named last, wherever the bot was started: there the guard looks as well.
    assert (tmp_path / "mine" / "beat").exists()
    # A dry run sends nothing that is signed.
    assert all(line["account"] is None for line in sandbox.control.requests())


def test_what_is_replaced_is_kept(run: Runner, tmp_path: Path) -> None:
    run("init", "--userdir", "bot")
    config = tmp_path / "bot" / "config.json"
    config.write_text('{"exchange": {"key": "mine"}}')
    for kept in ("config.json.bak", "config.json.bak1"):
        done = run("init", "--userdir", "bot", "--force")
        assert done.code == 0
        assert f"kept bot/{kept}" in done.out
    assert (tmp_path / "bot" / "config.json.bak").read_text() == '{"exchange": {"key": "mine"}}'
    assert (tmp_path / "bot" / "config.json.bak").stat().st_mode & 0o077 == 0
    assert json.loads((tmp_path / "bot" / "config.json.bak1").read_text())["dry_run"] is True


def test_the_log_config_for_a_config_of_ones_own(run: Runner, tmp_path: Path) -> None:
    done = run("init", "--print-log-config")
    assert done.code == 0
    assert list(tmp_path.iterdir()) == []
    block = json.loads(done.out)["log_config"]
    run("init", "--userdir", "bot")
    assert block == json.loads((tmp_path / "bot" / "config.json").read_text())["log_config"]
    for more in (["--force"], ["--userdir", "bot"], ["--sandbox"]):
        assert run("init", "--print-log-config", *more).code == 2


@pytest.mark.parametrize("own", [False, True])
def test_a_bot_is_pointed_at_the_sandbox(
    own: bool,
    sandbox: SandboxServer,
    run: Runner,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    """A fresh folder, or a config that is there already, which stays as it is."""
    files = ["-c", "bot/config.json"]
    if own:
        run("init", "--userdir", "bot")
        before = (tmp_path / "bot" / "config.json").read_bytes()
        files += ["-c", "bot/sandbox.json"]
    done = run("init", "--userdir", "bot", "--sandbox")
    assert done.code == 0
    if own:
        assert (tmp_path / "bot" / "config.json").read_bytes() == before
    assert f"freqtrade trade --userdir bot {' '.join(files)}" in done.out
    assert len(done.out.strip().splitlines()) <= 9
    bare = {name: value for name, value in environment.items() if not name.startswith("BITOPRO")}
    bare["BITOPRO_SANDBOX_URL"] = sandbox.url
    shown = run("account", *files, "--json", env=bare)
    assert shown.code == 0
    assert sandbox.rest_url in shown.err
    # The price moves as the last line says.
    (curl,) = [line.strip() for line in done.out.splitlines() if "curl" in line]
    words = shlex.split(curl.replace("http://127.0.0.1:8650", sandbox.url))
    body, url = words[words.index("-d") + 1], words[-1]
    request = urllib.request.Request(url, data=body.encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    assert "59000" in json.dumps(sandbox.control.state()["prices"]["btc_usdt"])
