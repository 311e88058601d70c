"""The kill switch against an exchange or a network that answers badly."""

import json
import socket
import time

import pytest

from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, Runner, methods, open_ids


def test_a_wrong_key_is_one_line_and_is_given_up_soon(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    done = run("cancel-all", "--base-url", sandbox.rest_url, BITOPRO_API_SECRET="another-secret")
    assert done.code == 2
    assert "another-secret" not in done.out + done.err
    assert "check the API key and secret" in done.out.splitlines()[-1]
    # A refusal can be a stray: what only reads is asked again before it is believed.
    assert methods(sandbox) == ["DELETE", "GET", "GET", "GET"]


@pytest.mark.parametrize("status", [401, 403, 409])
@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_a_stray_refusal_does_not_end_it(
    sandbox: SandboxServer, seeded: list[str], run: Runner, status: int, method: str
) -> None:
    sandbox.control.add_fault("status", method=method, status=status, body={"error": "no"})
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 0, done.out + done.err
    assert open_ids(sandbox) == []


def test_a_pair_under_maintenance_whose_lists_are_down_is_unknown(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    text = {"error": "pair is under maintenance"}
    sandbox.control.add_fault("status", method="DELETE", status=400, body=text, times=None)
    sandbox.control.add_fault("status", method="GET", status=503, times=None)
    options = ("--pair", "BTC/USDT", "--deadline", "2", "--base-url", sandbox.rest_url)
    done = run("cancel-all", *options)
    assert done.code == 3, done.out + done.err
    assert "does not know" not in done.out


def test_what_a_cancel_names_falsely_is_cancelled_again(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("cancel_some", method="DELETE", count=0, claim=True)
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 0, done.out + done.err
    assert open_ids(sandbox) == []


def test_a_revoked_permission_says_what_to_do(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.change_key(KEY, margin=False)
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert "margin is not enabled for this key" in done.out.splitlines()[-1]
    assert len(open_ids(sandbox)) == 3


def test_an_unreachable_host_is_unknown(run: Runner) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v3"
        done = run("cancel-all", "--deadline", "2", "--base-url", url)
    assert done.code == 3
    assert "check the network and the address" in done.out.splitlines()[-1]
    assert "trying again" in done.err


def test_orders_that_survive_are_cancelled_by_id(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("cancel_some", method="DELETE", count=1)
    done = run("cancel-all", "--json", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert open_ids(sandbox) == []
    assert len(json.loads(done.out)["cancelled"]) == 3


def test_orders_that_remain_are_named(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    for method in ("DELETE", "PUT"):
        sandbox.control.add_fault("status", method=method, status=422, times=None)
    done = run("cancel-all", "--deadline", "2", "--base-url", sandbox.rest_url)
    assert done.code == 1
    assert "REMAINING: 3 orders are still open" in done.out.splitlines()[-1]
    assert all(order_id in done.out for order_id in seeded)


def test_a_list_that_cannot_be_read_is_unknown(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("status", method="GET", status=502, body="<html>", times=None)
    done = run("cancel-all", "--json", "--deadline", "2", "--base-url", sandbox.rest_url)
    assert done.code == 3
    document = json.loads(done.out)
    assert document["outcome"] == "unknown"
    # What the exchange said that it cancelled is said all the same.
    assert len(document["cancelled"]) == 3


def test_a_cancel_without_an_answer_is_in_doubt_and_then_confirmed(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("process_close", method="DELETE")
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert "a cancel got no answer" in done.out
    assert "CONFIRMED" in done.out
    assert open_ids(sandbox) == []


def test_an_answer_that_drips_does_not_outlast_the_deadline(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("drip", seconds=0.5, times=None)
    started = time.monotonic()
    done = run("cancel-all", "--deadline", "3", "--base-url", sandbox.rest_url)
    assert time.monotonic() - started < 6
    assert done.code == 3


def test_a_clock_that_is_off_is_corrected_once(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.skew(-3600)
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert open_ids(sandbox) == []
    assert [line["status"] for line in sandbox.control.requests()] == [409, 200, 200]
