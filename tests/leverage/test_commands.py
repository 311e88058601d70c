"""``bitopro-margin loans``, ``plot`` and ``account`` on the ledger of a real bot."""

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext import cli
from bitopro_margin_ext.sandbox import API_KEY, API_SECRET
from tests.leverage.harness import BTC, ETH, LeverageHarness


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITOPRO_API_KEY", API_KEY)
    monkeypatch.setenv("BITOPRO_API_SECRET", API_SECRET)


def command(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str], name: str, *more: str
) -> tuple[int, str]:
    capsys.readouterr()
    config = str(harness.folder / "config.json")
    (harness.folder / "config.json").chmod(0o600)
    code = cli.main([name, "-c", config, *more])
    return code, capsys.readouterr().out


def document(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return found


def test_loans_says_who_owes_what(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.control.borrow("USDT", "300")
    bot = harness.bot()
    harness.open(bot, "long", 3.0, BTC)
    harness.open(bot, "short", 2.0, ETH)
    bot.process()
    code, out = command(harness, capsys, "loans", "--json")
    found = document(out)
    assert code == 0
    assert found["agree"] is True
    holders = {line["holder"]: line for line in found["currencies"]["USDT"]["lines"]}
    assert set(holders) == {"user", BTC}
    assert Decimal(holders["user"]["borrowed"]) >= 300
    assert {line["holder"] for line in found["currencies"]["ETH"]["lines"]} == {ETH}
    code, out = command(harness, capsys, "loans")
    assert code == 0
    assert "the user's own" in out
    assert "agree" in out


def test_loans_fails_when_they_disagree(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    harness.control.borrow("USDT", "300")
    code, out = command(harness, capsys, "loans", "--json")
    assert code == 1
    found = document(out)
    assert found["outcome"] == "remaining"
    assert Decimal(found["currencies"]["USDT"]["difference"]) >= 300


def test_loans_without_a_ledger_is_one_line(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    (harness.folder / "config.json").write_text(json.dumps(harness.config()))
    code, _out = command(harness, capsys, "loans")
    assert code == 2


def test_accepting_a_lost_ledger_allows_entries(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.restart(bot)
    for file in harness.folder.glob("*.loans.sqlite*"):
        file.unlink()
    bot = harness.bot()
    bot.process()
    _code, out = command(harness, capsys, "loans")
    assert "--accept" in out
    assert command(harness, capsys, "loans", "--accept")[0] == 0
    harness.open(bot, "short", 2.0, ETH)
    assert harness.debt("ETH") > 0


def test_plot_writes_a_page(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    bot.exchange._reconciler._noted = 0.0
    bot.process()
    file = tmp_path / "loans.html"
    code, _out = command(harness, capsys, "plot", "-o", str(file))
    assert code == 0
    assert "adRatio" in file.read_text(encoding="utf-8")
    assert command(harness, capsys, "plot", "-o", str(tmp_path / "x.pdf"))[0] == 2


def test_account_says_at_which_price_it_is_liquidated(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.control.set_balances({"USDT": "1100"})
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    code, out = command(harness, capsys, "account", "--json")
    assert code == 0
    price = float(document(out)["liquidationPrices"]["BTC"])
    # Freqtrade's own has a buffer on top.
    from tests.leverage.harness import trade_of

    bot.process()
    trade = trade_of()
    assert price < trade.liquidation_price < price + 1000
    code, out = command(harness, capsys, "account")
    assert "liquidated at" in out


def test_the_kill_switch_says_that_it_neither_repays_nor_closes(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.control.borrow("USDT", "500")
    (harness.folder / "config.json").write_text(json.dumps(harness.config()))
    (harness.folder / "config.json").chmod(0o600)
    assert cli.main(["cancel-all", "-c", str(harness.folder / "config.json"), "--yes"]) == 0
    said = capsys.readouterr()
    assert "not repaid and positions are not closed" in said.out + said.err
    assert harness.debt("USDT") >= 500


def test_repaying_asks_first_and_repays_what_is_free(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.control.borrow("USDT", "500")
    harness.control.borrow("BTC", "0.01")
    harness.control.set_balances({"BTC": "0.004"})
    (harness.folder / "config.json").write_text(json.dumps(harness.config()))
    (harness.folder / "config.json").chmod(0o600)
    config = str(harness.folder / "config.json")
    assert cli.main(["cancel-all", "-c", config, "--repay"]) == 130
    assert harness.debt("USDT") >= 500
    assert cli.main(["cancel-all", "-c", config, "--repay", "--yes"]) == 1
    assert harness.debt("USDT") < Decimal("0.01")
    assert Decimal("0.0059") < harness.debt("BTC") < Decimal("0.0061")


def test_doctor_says_how_far_the_bot_would_borrow() -> None:
    from bitopro_margin_ext.doctor.config_checks import check_settings

    config = {
        "trading_mode": "futures",
        "margin_mode": "cross",
        "order_types": {"stoploss": "limit"},
        "bitopro_margin": {"max_leverage": 2},
    }
    found = {result.subject: result.text for result in check_settings(config)}
    assert "2x long and 2x short" in found["leverage"]
    assert "order_types.stoploss" in found


@pytest.mark.timeout(150)
def test_a_drill_with_leverage_ends_without_a_debt(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["drill", "--leverage", "--json"])
    said = capsys.readouterr()
    assert code == 0, said.out + said.err
    (verdict,) = json.loads(said.out)
    assert verdict["agrees"]
    assert (verdict["outcome"], verdict["error"]) == ("confirmed", None)
    assert {(row["side"], row["leverage"]) for row in verdict["rows"]} == {
        ("long", 3.0),
        ("short", 2.0),
    }


def test_a_plot_as_png_says_what_to_install(
    harness: LeverageHarness, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    file = tmp_path / "loans.png"
    capsys.readouterr()
    config = str(harness.folder / "config.json")
    (harness.folder / "config.json").chmod(0o600)
    code = cli.main(["plot", "-c", config, "-o", str(file)])
    said = capsys.readouterr()
    if importlib.util.find_spec("kaleido") is not None and code == 0:
        assert file.read_bytes().startswith(b"\x89PNG")
        return
    assert code == 2
    assert "pip install kaleido" in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not file.exists()
