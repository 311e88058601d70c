"""The kill switch at a terminal: the question, an interrupt, a reader that has gone."""

import json
import os
import signal
import subprocess
import time

import pytest

from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import command, open_ids


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_what_is_known(
    number: signal.Signals,
    sandbox: SandboxServer,
    seeded: list[str],
    environment: dict[str, str],
) -> None:
    sandbox.control.add_fault("delay", method="GET", seconds=20, times=None)
    process = subprocess.Popen(
        command("cancel-all", "--json", "--deadline", "60", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while open_ids(sandbox) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    document = json.loads(out)
    assert document["interrupted"] is True
    assert document["outcome"] == "unknown"
    assert len(document["cancelled"]) == 3
    assert "INTERRUPTED" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 130, 3), ("\n", 130, 3)]
)
def test_a_terminal_is_asked_first(
    answer: str,
    code: int,
    left: int,
    sandbox: SandboxServer,
    seeded: list[str],
    environment: dict[str, str],
) -> None:
    primary, secondary = os.openpty()
    process = subprocess.Popen(
        command("cancel-all", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=secondary,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(primary, answer.encode())
    out, err = process.communicate(timeout=30)
    os.close(primary)
    os.close(secondary)
    assert "[y/N]" in err
    assert process.returncode == code
    assert len(open_ids(sandbox)) == left
    assert out.splitlines()[0].startswith("BitoPro margin account")


def test_an_interrupt_at_the_question_sends_nothing(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    primary, secondary = os.openpty()
    process = subprocess.Popen(
        command("cancel-all", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=secondary,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    os.close(primary)
    os.close(secondary)
    assert process.returncode == 130
    assert b"nothing was sent" in err
    assert sandbox.control.requests() == []


def test_yes_asks_nothing_on_a_terminal(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    primary, secondary = os.openpty()
    done = subprocess.run(
        command("cancel-all", "--yes", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=secondary,
        capture_output=True,
        text=True,
        timeout=30,
    )
    os.close(primary)
    os.close(secondary)
    assert done.returncode == 0
    assert "[y/N]" not in done.stderr


def test_a_reader_that_has_gone_does_not_stop_it(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        command("cancel-all", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err == ""
    assert open_ids(sandbox) == []
