"""What the commands take and answer: pairs, a piped no, documents, addresses, lost readers."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext.core.calls import Call, Sleep
from bitopro_margin_ext.core.client import take_turns
from bitopro_margin_ext.core.report import CancelReport, SweepOutcome
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, SECRET, Runner, command, methods, open_ids

BOTH = ("--pair", "BTC/USDT", "--pair", "ETH/USDT")


# -- several pairs in one sweep ----------------------------------------------------------------


def test_every_named_pair_is_cancelled_in_one_sweep(
    sandbox: SandboxServer, seeded: list[str], run_here: Runner
) -> None:
    kept = sandbox.control.seed_order("eth_btc", "BUY", "1", "0.04")
    done = run_here("cancel-all", *BOTH, "--json", "--base-url", sandbox.rest_url)
    document = json.loads(done.out)
    assert done.code == 0
    assert document["scope"] == "BTC/USDT, ETH/USDT"
    assert sorted(order["id"] for order in document["cancelled"]) == sorted(seeded)
    assert open_ids(sandbox) == [kept["id"] if isinstance(kept, dict) else kept]
    # Both cancels are on their way before either is confirmed.
    assert methods(sandbox)[:2] == ["DELETE", "DELETE"]
    assert document["requests"] == len(methods(sandbox)) == 4


def test_trouble_on_one_pair_does_not_hold_up_the_other(
    sandbox: SandboxServer, seeded: list[str], run_here: Runner
) -> None:
    sandbox.control.add_fault("status", path="*btc_usdt*", status=503, times=None)
    sandbox.control.add_fault("status", method="PUT", status=503, times=None)
    more = ("--deadline", "3", "--base-url", sandbox.rest_url)
    done = run_here("cancel-all", *BOTH, *more)
    assert done.code == 1
    assert sorted(open_ids(sandbox)) == sorted(seeded[:2])
    assert f"cancelled  ETH/USDT  1: {seeded[2]}" in done.out
    assert all(order_id in done.out for order_id in seeded[:2])


def test_an_unknown_pair_among_several_is_named(
    sandbox: SandboxServer, seeded: list[str], run_here: Runner
) -> None:
    done = run_here("cancel-all", *BOTH, "--pair", "FOO/USDT", "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert "does not know the pair FOO/USDT" in done.out
    assert "CONFIRMED: 3 cancelled; no margin order is open on BTC/USDT, ETH/USDT" in done.out


def test_orders_of_several_pairs(
    sandbox: SandboxServer, seeded: list[str], run_here: Runner
) -> None:
    sandbox.control.seed_order("eth_btc", "BUY", "1", "0.04")
    done = run_here("orders", *BOTH, "--json", "--base-url", sandbox.rest_url)
    document = json.loads(done.out)
    assert sorted(order["id"] for order in document["orders"]) == sorted(seeded)
    assert set(methods(sandbox)) == {"GET"}


def test_flows_that_take_turns_each_get_their_own_answers() -> None:
    now = [0.0]

    def flow(name: str, heard: list[Any]) -> Any:
        for number in range(3):
            heard.append((yield Call(f"{name}{number}", {})))  # type: ignore[arg-type]
            assert (yield Sleep(1.0)) is None

    first: list[Any] = []
    second: list[Any] = []
    turns = take_turns([flow("a", first), flow("b", second)], lambda: now[0])
    calls: list[Any] = []
    answer: Any = None
    try:
        while True:
            step = turns.send(answer)
            answer = None
            if isinstance(step, Sleep):
                now[0] += step.seconds
            else:
                calls.append(step.endpoint)
                answer = f"to {step.endpoint}"
    except StopIteration:
        pass
    assert calls == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert first == ["to a0", "to a1", "to a2"]
    assert second == ["to b0", "to b1", "to b2"]
    assert now[0] == 3.0


# -- asking ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cancels"),
    [
        ("n\n", False),
        ("No\n", False),
        ("  n", False),
        ("nope\n", False),
        ("nein\n", False),
        ("q\n", False),
        ("maybe\n", False),
        ("yes, but not BTC\n", False),
        ("yn\n", False),
        ("否\n", False),
        ("0\n", False),
        ("\x00\n", False),
        ("n\ny\n", False),
        ("y" * 1000, False),
        ("y\n", True),
        ("YES\r\n", True),
        ("  Yes", True),
        ("y\nn\n", True),
        ("", True),
        ("\n", True),
    ],
)
def test_what_is_piped_in_is_an_answer_and_only_yes_agrees(
    text: str,
    cancels: bool,
    sandbox: SandboxServer,
    seeded: list[str],
    environment: dict[str, str],
) -> None:
    done = subprocess.run(
        command("cancel-all", "--base-url", sandbox.rest_url),
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == (0 if cancels else 130)
    assert len(open_ids(sandbox)) == (0 if cancels else 3)
    assert "no terminal: not asking" in done.stdout.splitlines()[0]
    assert done.stderr == (
        "" if cancels else "the answer is not y or yes: nothing was sent (--yes asks nothing)\n"
    )


def test_an_answer_that_comes_in_pieces_is_read_whole(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        command("cancel-all", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    for piece in (b"y", b"e", b"t\n"):
        process.stdin.write(piece)
        process.stdin.flush()
        time.sleep(0.02)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert len(open_ids(sandbox)) == 3


def test_one_line_is_read_and_the_rest_left_to_others(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    kill = " ".join(command("cancel-all", "--base-url", sandbox.rest_url))
    done = subprocess.run(
        ["sh", "-c", f"{kill} >&2; cat"],
        env=environment,
        input="y\nthe rest of a script\n",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "the rest of a script\n"
    assert open_ids(sandbox) == []


@pytest.mark.parametrize("stdin", ["closed", "a file", "not open for reading"])
def test_any_kind_of_standard_input_is_lived_with(
    stdin: str,
    sandbox: SandboxServer,
    seeded: list[str],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    answer = tmp_path / "answer"
    answer.write_text("no\n")
    redirection = {
        "closed": "<&-",
        "a file": f"<{answer}",
        "not open for reading": f"0>{tmp_path}/other",
    }[stdin]
    kill = " ".join(command("cancel-all", "--base-url", sandbox.rest_url))
    done = subprocess.run(
        ["sh", "-c", f"{kill} {redirection}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == (130 if stdin == "a file" else 0)
    assert len(open_ids(sandbox)) == (3 if stdin == "a file" else 0)


# -- repaying ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "more", "code", "repaid"),
    [
        ("", [], 130, False),  # money is moved by an explicit yes alone
        ("y\n", [], 130, False),  # the first answer is about the orders
        ("y\nn\n", [], 130, False),
        ("y\nsure\n", [], 130, False),
        ("y\ny\n", [], 0, True),
        ("", ["--yes"], 0, True),
        ("n\n", ["--yes"], 0, True),  # nothing is asked, so nothing is answered
    ],
)
def test_repaying_takes_an_answer_of_its_own(
    text: str,
    more: list[str],
    code: int,
    repaid: bool,
    sandbox: SandboxServer,
    environment: dict[str, str],
) -> None:
    sandbox.control.borrow("USDT", "500")
    done = subprocess.run(
        command("cancel-all", "--repay", "--json", *more, "--base-url", sandbox.rest_url),
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
    )
    document = json.loads(done.stdout)
    assert done.returncode == code, done.stderr
    owed = float(sandbox.control.state()["accounts"][0]["debts"]["USDT"])
    assert (owed < 1) is repaid
    repay = document["repay"]
    assert (repay["outcome"] == "confirmed") is repaid
    assert bool(repay["repaid"]) is repaid
    assert document["outcome"] == ("confirmed" if repaid else "interrupted")
    if not repaid:
        assert "nothing was repaid" in document["error"]
        assert float(repay["owed"]["USDT"]) >= 500


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{}",
        '{"balances": []}',
        '{"balances": {"USDT": null}}',
        '{"balances": {"USDT": {"availableAmount": "1", "borrowAmount": "a lot"}}}',
        '{"balances": {"USDT": {"availableAmount": "1"}}}',
    ],
)
def test_debts_that_cannot_be_read_are_unknown_rather_than_none(
    body: str, sandbox: SandboxServer, run_here: Runner
) -> None:
    sandbox.control.borrow("USDT", "500")
    sandbox.control.add_fault(
        "status", path="*/balances", status=200, body=json.loads(body), times=None
    )
    done = run_here(
        "cancel-all",
        "--repay",
        "--yes",
        "--json",
        "--deadline",
        "2",
        "--base-url",
        sandbox.rest_url,
    )
    document = json.loads(done.out)
    assert (done.code, document["outcome"], document["repay"]["outcome"]) == (
        3,
        "unknown",
        "unknown",
    )
    assert "nothing is owed" not in done.err
    assert "POST" not in methods(sandbox)


def test_a_pipe_that_says_nothing_is_not_waited_for(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        command("cancel-all", "--json", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.wait(20) == 0
    finally:
        process.communicate()
    assert open_ids(sandbox) == []


def test_a_refusal_is_a_document_too(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    done = subprocess.run(
        command("cancel-all", "--json", "--base-url", sandbox.rest_url),
        env=environment,
        input="n\n",
        capture_output=True,
        text=True,
        timeout=30,
    )
    document = json.loads(done.stdout)
    assert (document["outcome"], document["cancelled"]) == ("interrupted", [])
    assert "nothing was sent" in document["error"]


# -- documents ---------------------------------------------------------------------------------

FIELDS = {
    "cancel-all": {
        "scope",
        "outcome",
        "error",
        "cancelled",
        "still_open",
        "unknown",
        "requests",
        "elapsed_ms",
        "repay",
    },
    "orders": {"scope", "outcome", "error", "listed", "orders"},
    "account": {"outcome", "error", "adRatio", "adRatioLabel", "totalDebt", "balances"},
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_document_has_its_fields_an_outcome_and_an_error(
    name: str, sandbox: SandboxServer, run_here: Runner, tmp_path: Path
) -> None:
    here = ("--json", "--deadline", "3", "--base-url", sandbox.rest_url)

    def document(*arguments: str, **variables: str) -> tuple[int, dict[str, Any]]:
        done = run_here(name, *arguments, **variables)
        found = json.loads(done.out)
        assert found.keys() >= FIELDS[name]
        assert (found["error"] is None) is (done.code == 0)
        return done.code, found

    code, found = document(*here)
    assert (code, found["outcome"]) == (0, "confirmed")
    code, found = document(*here, BITOPRO_API_SECRET="another-secret")
    assert (code, found["outcome"]) == (2, "refused")
    assert "check the API key and secret" in found["error"]
    code, found = document("--json", BITOPRO_API_KEY="", BITOPRO_API_SECRET="")
    assert (code, found["outcome"]) == (2, "refused")
    code, found = document("--json", "--nonsense")
    assert (code, found["outcome"]) == (2, "refused")
    assert "unknown option --nonsense" in found["error"]
    sandbox.control.add_fault("status", status=502, times=None)
    code, found = document(*here)
    assert (code, found["outcome"]) == (3, "unknown")


def test_an_account_of_another_form_is_unknown(sandbox: SandboxServer, run_here: Runner) -> None:
    for body in (
        {"balances": {"BTC": 5}},
        {"balances": {}, "adRatio": "much"},
        [],
        {"balances": 1},
    ):
        sandbox.control.add_fault("status", path="*/balances", status=200, body=body)
        done = run_here("account", "--json", "--deadline", "1", "--base-url", sandbox.rest_url)
        assert (done.code, json.loads(done.out)["outcome"]) == (3, "unknown")


def test_an_outcome_is_its_word() -> None:
    report = CancelReport("all", listed=True)
    assert report.outcome == "confirmed"
    assert f"{SweepOutcome.REMAINING}" == "remaining"


def test_options_of_which_one_would_be_ignored_are_refused(run_here: Runner) -> None:
    done = run_here("cancel-all", "--dry-run", "--repay")
    assert done.code == 2
    assert "give one of them" in done.err


def test_a_slip_in_the_commands_name_is_corrected(run_here: Runner) -> None:
    done = run_here("cancel_all")
    assert (done.code, done.err) == (
        2,
        "bitopro-margin: no such command: did you mean cancel-all?\n",
    )
    assert "there are cancel-all, orders" in run_here("frobnicate").err


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cancel-all", "orders", "account"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_first_line_names_the_address(
    name: str, form: str, sandbox: SandboxServer, run_here: Runner
) -> None:
    more = ["--json"] if form == "json" else []
    done = run_here(name, "--base-url", sandbox.rest_url, *more)
    first = (done.err if form == "json" else done.out).splitlines()[0]
    assert sandbox.rest_url in first
    # Also where nobody answers there.
    done = run_here(name, "--deadline", "0.3", "--base-url", "http://127.0.0.1:1/v3", *more)
    first = (done.err if form == "json" else done.out).splitlines()[0]
    assert "http://127.0.0.1:1/v3" in first


@pytest.mark.parametrize("name", ["cancel-all", "orders", "account", "guard"])
def test_a_config_that_means_the_sandbox_means_it_to_every_command(
    name: str, sandbox: SandboxServer, seeded: list[str], run_here: Runner, tmp_path: Path
) -> None:
    exchange = {"name": "bitopromargin", "key": KEY, "secret": SECRET}
    exchange["ccxt_config"] = {"sandbox": True}  # type: ignore[assignment]
    (tmp_path / "config.json").write_text(json.dumps({"exchange": exchange}))
    (tmp_path / "config.json").chmod(0o600)
    sandbox.control.change_key(KEY, margin=False)
    more = ["--heartbeat-file", "beat"] if name == "guard" else []
    done = run_here(name, "-c", "config.json", *more, BITOPRO_SANDBOX_URL=sandbox.url)
    # The sandbox has refused it, so it is the sandbox that was asked.
    assert done.code == 2
    assert "margin is not enabled for this key" in done.out + done.err
    assert sandbox.control.requests()


@pytest.mark.parametrize("url", ["https://api.bitopro.com", "http://127.0.0.1:8650/"])
def test_a_base_url_without_its_version_says_so(url: str, run_here: Runner) -> None:
    done = run_here("orders", "--base-url", url)
    assert done.code == 2
    assert f"lacks the version: write {url.rstrip('/')}/v3" in done.err


# -- readers that leave ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["orders", "account"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_watch_ends_with_its_reader(
    name: str,
    form: str,
    sandbox: SandboxServer,
    seeded: list[str],
    environment: dict[str, str],
) -> None:
    more = ["--json"] if form == "json" else []
    process = subprocess.Popen(
        command(name, "--watch", "0.1", *more, "--base-url", sandbox.rest_url),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    if form == "json":
        assert json.loads(first)["outcome"] == "confirmed"
    else:
        while "as of" not in process.stdout.readline():
            pass
    process.stdout.close()
    assert process.wait(20) == 0
    asked = len(sandbox.control.requests())
    time.sleep(0.5)
    assert len(sandbox.control.requests()) == asked


def test_a_watch_ends_where_the_key_is_refused(sandbox: SandboxServer, run_here: Runner) -> None:
    sandbox.control.change_key(KEY, revoked=True)
    done = run_here("orders", "--watch", "--json", "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert json.loads(done.out)["outcome"] == "refused"


@pytest.mark.parametrize("name", ["orders", "account", "doctor", "docs", "cancel-all"])
def test_a_reader_that_has_gone_is_not_an_order_that_remains(
    name: str, sandbox: SandboxServer, environment: dict[str, str], tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [] if name in ("doctor", "docs") else ["--base-url", sandbox.rest_url]
    if name == "doctor":
        (tmp_path / "config.json").write_text("{}")
        arguments = ["-c", "config.json", "--offline"]
    process = subprocess.Popen(
        command(name, *arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert process.returncode == (1 if name == "doctor" else 0)
