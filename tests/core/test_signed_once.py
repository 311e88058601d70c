"""A call is signed once, and anew only when its nonce would come late or its signature is old."""

import base64
import json
import pickle
import re
import threading
import time

import pytest
import requests

from bitopro_margin_ext.core import http_call
from bitopro_margin_ext.core.endpoints import BALANCES
from bitopro_margin_ext.core.guarded_session import guarded_session
from bitopro_margin_ext.core.http_call import HttpCall, NotSentError
from bitopro_margin_ext.core.signing import SignedHeaders, Signer, build_request, nonces_of
from tests.core import servers
from tests.core.servers import serving


class Wire:
    """A server, and the nonces that arrived at it in their order."""

    def __init__(self):
        self.nonces = []

    def __call__(self, server, connection):
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(65536)
                if not part:
                    return
                head += part
            payload = re.search(rb"X-BITOPRO-PAYLOAD: (\S+)", head)[1]
            self.nonces.append(json.loads(base64.b64decode(payload))["nonce"])
            connection.sendall(servers.answer())


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def key(request):
    return f"key-of-{request.node.name}"


@pytest.fixture
def session():
    found = guarded_session(requests.Session(), 2)
    yield found
    found.close()


def signed(key):
    return build_request(BALANCES, {}, base_url="http://h/v3", key=key, secret="s").headers


def send(session, url, headers):
    call = HttpCall(time.monotonic() + 5, headers.signer)
    return call, lambda: call.run(lambda: session.request("GET", url, headers=dict(headers)))


def test_what_was_signed_is_what_is_sent(wire, key, session):
    with serving(wire) as server:
        drawn = []
        for _ in range(3):
            headers = signed(key)
            drawn.append(headers.signer.nonce)
            send(session, server.url, headers)[1]()
        assert wire.nonces == drawn


def test_a_later_nonce_that_was_only_drawn_changes_nothing(wire, key, session):
    with serving(wire) as server:
        headers = signed(key)
        drawn = headers.signer.nonce
        nonces_of(key).next()
        send(session, server.url, headers)[1]()
        assert wire.nonces == [drawn]


def test_who_is_overtaken_signs_anew(wire, key, session):
    with serving(wire) as server:
        first, second = signed(key), signed(key)
        overtaken = first.signer.nonce
        send(session, server.url, second)[1]()
        send(session, server.url, first)[1]()
        assert wire.nonces[1] > wire.nonces[0] > overtaken
        assert first.signer.nonce == wire.nonces[1]


def test_an_old_signature_is_made_anew(wire, key, session, monkeypatch):
    monkeypatch.setattr(http_call, "FRESH_SECONDS", 0.0)
    with serving(wire) as server:
        headers = signed(key)
        drawn = headers.signer.nonce
        send(session, server.url, headers)[1]()
        assert wire.nonces[0] > drawn


def test_after_the_clock_was_set_back_the_nonces_follow_it(wire, key, session):
    with serving(wire) as server:
        send(session, server.url, signed(key))[1]()
        nonces = nonces_of(key)
        nonces.set_back(-3_600_000)
        nonce = SignedHeaders(Signer(key, "s", None, -3_600_000))
        drawn = nonce.signer.nonce
        send(session, server.url, nonce)[1]()
        assert wire.nonces[1] == drawn < wire.nonces[0]


def test_calls_of_many_threads_rise_on_the_wire(wire, key):
    with serving(wire) as server:

        def work():
            own = guarded_session(requests.Session())
            for _ in range(40):
                headers = signed(key)
                HttpCall(time.monotonic() + 5, headers.signer).run(
                    lambda headers=headers: own.request("GET", server.url, headers=dict(headers))
                )
            own.close()

        # What is written in order may be read in another: the order of writing is what we hold.
        written = []
        turn = HttpCall._take_turn

        def note(call):
            found = turn(call)
            written.append(call._signer.nonce)
            return found

        HttpCall._take_turn = note
        try:
            threads = [threading.Thread(target=work) for _ in range(6)]
            [thread.start() for thread in threads]
            [thread.join(20) for thread in threads]
        finally:
            HttpCall._take_turn = turn
        assert len(written) == 240
        assert written == sorted(set(written))
        assert sorted(wire.nonces) == written


def test_a_call_that_was_given_up_lets_the_next_one_have_its_turn(wire, key, session):
    nonces_of(key).keep_in_order()
    with serving(wire) as server:
        call, run = send(session, server.url, signed(key))
        call.abandon()
        with pytest.raises(NotSentError):
            run()
        began = time.monotonic()
        send(session, server.url, signed(key))[1]()
        assert time.monotonic() - began < http_call.TURN_SECONDS
        assert len(wire.nonces) == 1


def test_a_copy_of_signed_headers_is_plain(key):
    headers = signed(key)
    assert type(pickle.loads(pickle.dumps(headers))) is dict
    assert headers == dict(headers)
