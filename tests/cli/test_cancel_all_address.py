"""Where the kill switch may send a signed call, and where it does not."""

import pytest

from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import Runner


@pytest.mark.parametrize(
    "url",
    [
        "http://api.bitopro.com/v3",
        "http://127.0.0.1@evil.example/v3",
        "http://localhost.evil.example/v3",
        "http://127.0.0.1\\@evil.example/v3",
        "ftp://127.0.0.1/v3",
        "api.bitopro.com/v3",
        "https://api.bitopro.com/v3?x=1",
        "",
    ],
)
def test_a_signed_call_goes_to_https_or_the_loopback_only(url: str, run: Runner) -> None:
    done = run("cancel-all", "--base-url", url)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_a_redirect_is_not_followed(sandbox: SandboxServer, seeded: list[str], run: Runner) -> None:
    other = {"Location": f"{sandbox.url}/elsewhere"}
    sandbox.control.add_fault("status", status=307, headers=other, times=None)
    done = run("cancel-all", "--deadline", "2", "--base-url", sandbox.rest_url)
    assert done.code == 3
    assert not [line for line in sandbox.control.requests() if "elsewhere" in line["path"]]


def test_a_plain_http_call_goes_round_the_proxy(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    done = run("cancel-all", "--base-url", sandbox.rest_url, HTTP_PROXY="http://127.0.0.1:1")
    assert done.code == 0
