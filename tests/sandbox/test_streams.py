"""Streams: the handshake, the first message, then what changes."""

import contextlib
import json
import socket

import pytest
import websockets.sync.client as ws
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from bitopro_margin_ext.sandbox import SandboxServer
from tests.sandbox.test_shapes import shape
from tests.sandbox.trader import NONCES, claims, headers

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)


@contextlib.contextmanager
def stream(sandbox, path, head=None):
    if head is None and path.startswith("/auth/"):
        head = headers(claims())
    with ws.connect(sandbox.ws_url + path, additional_headers=head, proxy=None) as socket:
        yield lambda: json.loads(socket.recv(timeout=3))


def nothing_more(receive):
    with pytest.raises(TimeoutError):
        # The socket is the only thing the closure holds.
        receive.__closure__[0].cell_contents.recv(timeout=0.1)


def frame(message):
    return shape({key: value for key, value in message.items() if key != "data"})


def test_active_orders(sandbox, trader, control, example):
    with stream(sandbox, "/auth/margin/orders") as receive:
        first = receive()
        assert frame(first) == frame(example("ws_margin_active_orders_stream"))
        assert (first["event"], first["data"]) == ("ACTIVE_ORDERS", {})
        order = trader.placed(amount="0.1")
        (line,) = receive()["data"]["btc_usdt"]
        expected = example("ws_margin_active_orders_stream")["data"]["btc_usdt"][0]
        assert shape(line) == shape(expected)
        assert (line["id"], line["status"], line["accountType"]) == (order, 0, 5)
        control.fill(order, fraction="0.5")
        assert receive()["data"]["btc_usdt"][0]["status"] == 1
        trader.placed(side="spot")
        trader.delete("/margin/orders/all")
        nothing_more(receive)


def test_active_orders_are_all_sent_on_connecting(sandbox, trader):
    placed = {trader.placed(), trader.placed()}
    eth = trader.placed("eth_usdt", price="2000", amount="0.1")
    trader.placed(side="spot")
    with stream(sandbox, "/auth/margin/orders") as receive:
        data = receive()["data"]
    assert {line["id"] for line in data["btc_usdt"]} == placed
    assert [line["id"] for line in data["eth_usdt"]] == [eth]


def test_history_orders(sandbox, trader, control, example):
    control.seed_order("btc_usdt", "BUY", "0.1", "50000", status=2, clientId=9)
    with stream(sandbox, "/auth/margin/orders/histories") as receive:
        first = receive()
        expected = example("ws_margin_history_orders_stream")
        assert shape(first) == shape(expected)
        assert first["data"]["btc_usdt"][0]["clientID"] == 9
        order = trader.placed(amount="0.1")
        control.fill(order, fraction="0.5")
        trader.delete("/margin/orders/all")
        (line,) = receive()["data"]["btc_usdt"]
        assert (line["id"], line["status"], line["executedAmount"]) == (order, 3, "0.05")
        nothing_more(receive)


@pytest.mark.parametrize(
    ("choice", "works", "fails"),
    [
        ("documented", "/auth/margin/margin/user-trades", "/auth/margin/user-trades"),
        ("plain", "/auth/margin/user-trades", "/auth/margin/margin/user-trades"),
    ],
)
def test_user_trades(sandbox, trader, control, example, choice, works, fails):
    control.switches(user_trades_path=choice)
    with pytest.raises(InvalidStatus), stream(sandbox, fails):
        pass
    order = trader.placed(amount="0.1")
    with stream(sandbox, works) as receive:
        control.fill(order, amount="0.01")
        message = receive()
        assert shape(message) == shape(example("ws_margin_user_trades_stream"))
        assert (message["data"]["orderID"], message["data"]["volume"]) == (order, "0.01")
        assert (message["data"]["side"], message["data"]["isMaker"]) == ("bid", True)


def test_account_info(sandbox, control, example):
    with stream(sandbox, "/auth/margin/account-info") as receive:
        first = receive()
        assert shape(first) == shape(example("ws_margin_account_info_stream"))
        assert first["data"]["action"] == "MARGIN_INIT"
        control.set_price("btc_usdt", "61000")
        assert receive()["data"]["action"] == "MARGIN_UPDATE"


def test_mark_price(sandbox, control, example):
    with stream(sandbox, "/margin/mark-price") as receive:
        assert shape(receive()) == shape(example("ws_margin_mark-price_stream"))
        control.set_price("btc_usdt", "61000")
        assert receive()["data"]["BTC"] == "61000"


def test_spot_streams(sandbox, trader):
    with (
        stream(sandbox, "/auth/account-balance") as balances,
        stream(sandbox, "/auth/user-trades") as trades,
        stream(sandbox, "/auth/orders/histories") as history,
    ):
        assert balances()["data"]["USDT"]["available"] == "10000"
        assert history()["data"] == {}
        order = trader.placed(side="spot", price="61000")
        assert trades()["data"]["orderID"] == order
        assert "accountType" not in history()["data"]["btc_usdt"][0]
        assert balances()["event"] == "ACCOUNT_BALANCE"


def test_public_streams(sandbox, control):
    with (
        stream(sandbox, "/order-books/BTC_USDT:3,eth_usdt") as books,
        stream(sandbox, "/tickers?pairs=BTC_USDT") as tickers,
        stream(sandbox, "/trades/btc_usdt") as trades,
    ):
        first, second = books(), books()
        assert (first["event"], first["pair"], len(first["bids"])) == ("ORDER_BOOK", "BTC_USDT", 3)
        assert (second["pair"], len(second["bids"])) == ("ETH_USDT", 20)
        assert tickers()["lastPrice"] == "60000.00000000"
        assert trades()["data"][0].keys() == {"timestamp", "price", "amount", "isBuyer"}
        control.set_price("btc_usdt", "61000")
        assert tickers()["lastPrice"] == "61000.00000000"
        assert float(books()["asks"][0]["price"]) > 61000


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ({}, 401),
        (lambda: headers(claims(), secret="wrong"), 401),
        (lambda: headers(json.dumps({"nonce": NONCES.next()}).encode()), 401),
        (
            lambda: headers(json.dumps({"identity": "sandbox@example.com", "nonce": 1}).encode()),
            409,
        ),
    ],
)
def test_handshakes_that_are_refused(sandbox, head, status):
    given = head() if callable(head) else head
    with pytest.raises(InvalidStatus) as refused, stream(sandbox, "/auth/margin/orders", given):
        pass
    assert refused.value.response.status_code == status


def test_an_unknown_stream_is_404(sandbox):
    for path in ("/nowhere", "/auth/nowhere", "/tickers/xxx_yyy"):
        with pytest.raises(InvalidStatus) as refused, stream(sandbox, path):
            pass
        assert refused.value.response.status_code == 404


def test_a_key_without_margin_gets_no_margin_stream(sandbox, control):
    control.change_key("sandbox-key", margin=False)
    with pytest.raises(InvalidStatus) as refused, stream(sandbox, "/auth/margin/orders"):
        pass
    assert refused.value.response.status_code == 403


def test_connections_are_dropped_and_handshakes_refused(sandbox, control):
    with stream(sandbox, "/auth/margin/orders") as receive:
        receive()
        assert control.state()["streams"] == ["/ws/v1/pub/auth/margin/orders"]
        assert control.drop_streams("/auth/margin/*") == 1
        with pytest.raises(ConnectionClosed):
            receive()
    control.refuse_streams(1, 502)
    with pytest.raises(InvalidStatus) as refused, stream(sandbox, "/margin/mark-price"):
        pass
    assert refused.value.response.status_code == 502
    with stream(sandbox, "/margin/mark-price") as receive:
        receive()


def test_a_reset_closes_the_streams(sandbox, control):
    with stream(sandbox, "/margin/mark-price") as receive:
        receive()
        control.reset()
        with pytest.raises(ConnectionClosed):
            receive()


def test_handshakes_are_logged(sandbox, control):
    with stream(sandbox, "/auth/margin/orders") as receive:
        receive()
    line = control.requests()[-1]
    assert (line["method"], line["status"]) == ("WS", 101)
    assert line["account"] == "sandbox@example.com"


def test_handshakes_meet_faults(sandbox, control):
    control.add_fault("close", method="WS", path="/ws/v1/pub/auth/*")
    with pytest.raises((ConnectionError, EOFError, InvalidMessage)):  # noqa: SIM117
        with stream(sandbox, "/auth/margin/orders"):
            pass
    control.add_fault("clock", method="WS", path="*", seconds=60)
    with pytest.raises(InvalidStatus) as refused, stream(sandbox, "/auth/margin/orders"):
        pass
    assert refused.value.response.status_code == 409
    with stream(sandbox, "/auth/margin/orders") as receive:
        receive()


def test_the_other_side_of_the_account_stays_quiet(sandbox, trader):
    with stream(sandbox, "/auth/account-balance") as receive:
        receive()
        trader.placed()
        nothing_more(receive)


def test_quiet_streams_are_pinged():
    with (
        SandboxServer(ping_seconds=0.1) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=3) as raw,
    ):
        raw.sendall(
            b"GET /ws/v1/pub/margin/mark-price HTTP/1.1\r\nHost: sandbox\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        seen = b""
        # A ping frame begins with 0x89.
        while b"\x89" not in seen.partition(b"MARGIN_MARK_PRICE")[2]:
            seen += raw.recv(4096)
    assert b"101 Switching Protocols" in seen


def test_a_stream_that_closes_at_once(sandbox, control):
    control.add_fault("close_after_accept", path="/ws/v1/pub/auth/*", times=2)
    for _ in range(2):
        with stream(sandbox, "/auth/margin/orders") as receive, pytest.raises(ConnectionClosed):
            receive()
    with stream(sandbox, "/auth/margin/orders") as receive:
        assert receive()["event"] == "ACTIVE_ORDERS"
    assert [line["faults"] for line in control.requests()] == [["close_after_accept"]] * 2 + [[]]


@pytest.mark.parametrize("messages", [0, 1])
def test_a_stream_that_falls_silent(sandbox, trader, control, messages):
    control.add_fault("silent", method="WS", messages=messages)
    with stream(sandbox, "/auth/margin/orders") as receive:
        for _ in range(messages):
            receive()
        trader.placed()
        nothing_more(receive)


def test_pushes_that_are_lost_or_in_the_wrong_order(sandbox, trader, control):
    control.add_fault("drop_pushes", every=3)
    with stream(sandbox, "/auth/margin/orders") as receive:
        receive()
        placed = [trader.placed() for _ in range(4)]
        seen = [receive()["data"]["btc_usdt"][0]["id"] for _ in range(3)]
        assert seen == [placed[0], placed[2], placed[3]]
    control.add_fault("reorder")
    with stream(sandbox, "/auth/margin/orders/histories") as receive:
        trader.delete("/margin/orders/all")
        first, second = receive(), receive()
        assert sum(map(len, first["data"].values())) == 1
        assert second["data"] == {}  # the message of the connection, sent late


def test_faults_of_calls_leave_streams_alone(sandbox, control):
    control.add_fault("status", path="*", times=1)
    control.add_fault("silent", path="*", times=1)
    with stream(sandbox, "/margin/mark-price") as receive, pytest.raises(TimeoutError):
        receive()
    assert [rule["hits"] for rule in control.faults()] == [0, 1]
