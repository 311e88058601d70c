"""Calls that are made at the same time find connections that are open already."""

import ccxt

from bitopro_margin_ext.core.calls import Call, Gather
from bitopro_margin_ext.core.endpoints import BALANCES, OPEN_ORDERS
from tests.exchange.drivers import Blocking
from tests.exchange.test_deadlines import RawServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"


def answer(connection, done):
    """Answer everything that comes by one connection."""
    while not done.is_set():
        connection.sendall(ANSWER + b'{"data": []}')
        if not connection.recv(65536):
            return


def test_a_gather_opens_no_connection_after_two_ordinary_calls():
    server = RawServer(answer)
    try:
        api = Blocking(server.rest_url)
        for _ in range(5):
            api("fetch_open_orders")
        assert server.accepted == 2
        calls = (Call(OPEN_ORDERS, {}), Call(BALANCES, {}))
        for _ in range(3):
            assert api.exchange.perform(Gather(calls)) == [{"data": []}] * 2
        assert server.accepted == 2
    finally:
        server.close()


def test_a_session_that_makes_one_call_opens_one_connection():
    server = RawServer(answer)
    try:
        ccxt.bitopromargin(
            {"apiKey": "k", "secret": "s", "urls": {"api": {"rest": server.rest_url}}}
        ).fetch_open_orders()
        assert server.accepted == 1
    finally:
        server.close()
