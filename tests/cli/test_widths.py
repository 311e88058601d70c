"""No number and no id is cut, whatever the width of the terminal."""

import os
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitopro_margin_ext.cli.view import Column, Rows, sparkline
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import Runner, command

WIDTHS = (40, 60, 80, 200)

ORDERS = [
    {"pair": "btc_usdt", "action": "BUY", "amount": "0.01234567", "price": "20000.55"},
    {
        "pair": "btc_usdt",
        "action": "SELL",
        "amount": "0.02345678",
        "price": "91234.56",
        "type": "STOP_LIMIT",
        "stopPrice": "91500.55",
        "condition": ">=",
    },
    {"pair": "eth_usdt", "action": "SELL", "amount": "1.23456789", "price": "9123.45"},
]


def words(text: str) -> set[str]:
    return set(text.split())


@pytest.fixture
def ids(sandbox: SandboxServer) -> list[str]:
    return [order["id"] for order in sandbox.control.seed_orders(ORDERS)]


@pytest.mark.parametrize("width", WIDTHS)
def test_orders_are_whole(
    width: int, sandbox: SandboxServer, ids: list[str], run_here: Runner
) -> None:
    done = run_here("orders", "--base-url", sandbox.rest_url, COLUMNS=str(width))
    numbers = [order[name] for order in ORDERS for name in ("amount", "price") if name in order]
    assert words(done.out) >= {*ids, *numbers, "91500.55"}
    fits(done.out, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_account_is_whole(
    width: int, sandbox: SandboxServer, ids: list[str], run_here: Runner
) -> None:
    balances = {"USDT": "123456789.12345678", "BTC": "0.00012345", "ETH": "98765.43210987"}
    sandbox.control.set_balances(balances)
    done = run_here("account", "--base-url", sandbox.rest_url, COLUMNS=str(width))
    assert words(done.out) >= {"USDT", "BTC", "ETH"}
    shown = {word for word in words(done.out) if re.fullmatch(r"\d+\.\d{8}", word)}
    assert set(balances.values()) <= shown
    fits(done.out, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_terminal_of_that_width_shows_them_whole(
    width: int, sandbox: SandboxServer, ids: list[str], environment: dict[str, str]
) -> None:
    import fcntl
    import struct
    import termios

    primary, secondary = os.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    process = subprocess.Popen(
        command("orders", "--base-url", sandbox.rest_url),
        env={**{k: v for k, v in environment.items() if k != "COLUMNS"}, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=subprocess.DEVNULL,
    )
    os.close(secondary)
    seen = b""
    try:
        while chunk := os.read(primary, 65536):
            seen += chunk
    except OSError:
        pass
    assert process.wait(20) == 0
    os.close(primary)
    text = re.sub(r"\x1b\[[0-9;]*m", "", seen.decode())
    assert words(text) >= {*ids, "91234.56"}
    fits(text, width)


def fits(text: str, width: int) -> None:
    """All but the title, which names an address, is laid out for the terminal."""
    assert all(len(line) <= width for line in text.splitlines()[1:])


cells = st.text("0123456789.-ABCxyz", min_size=1, max_size=24)


@given(st.lists(st.tuples(cells, cells, cells, cells), max_size=4), st.integers(30, 120))
def test_any_table_keeps_every_cell_at_any_width(
    rows: list[tuple[str, str, str, str]], width: int
) -> None:
    from rich.console import Console

    columns = [
        Column("id"),
        Column("price", right=True),
        Column("when", optional=True),
        Column("x"),
    ]
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(Rows(columns, rows))
    shown = words(capture.get())
    for row in rows:
        kept = {row[0], row[1], row[3]} - {"-"}
        assert kept <= shown


def test_a_sparkline_goes_from_low_to_high() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert sparkline([5.0]) == "▁"
    assert len(sparkline(list(range(100)))) == 30
