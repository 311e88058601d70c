"""A call that was given up is not sent, leaves no thread, and no answer is too much for it."""

import json
import socket
import threading
import time
from typing import Any

import pytest
import requests

from bitopro_margin_ext.core.errors import Failure, Outcome
from bitopro_margin_ext.core.guarded_session import DeadlineSession, guarded_session
from bitopro_margin_ext.core.http_call import CallTimeoutError, HttpCall, NotSentError
from tests.core import servers
from tests.core.servers import serving

SLACK = 0.3


@pytest.fixture
def session():
    found = DeadlineSession(trusted=False)
    yield found
    found.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return servers.certificate(tmp_path_factory.mktemp("tls"))


def call(session: DeadlineSession, seconds: float, url: str, **options: Any) -> Any:
    began = time.monotonic()
    answer = session.request(
        seconds, lambda response: json.loads(response.content), method="DELETE", url=url, **options
    )
    assert time.monotonic() - began < seconds + SLACK
    return answer


def no_thread_is_left(seconds: float = 1.0) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if not any(thread.name.startswith("bitopro-margin") for thread in threading.enumerate()):
            return True
        time.sleep(0.02)
    return False


def given_up(answer: Any) -> Failure:
    assert isinstance(answer, Failure)
    return answer


# -- not sent --------------------------------------------------------------------------------------


def test_a_name_that_resolves_late_is_not_called(session, monkeypatch):
    real, release = socket.getaddrinfo, threading.Event()

    def slow(host, *more, **named):
        if host == "slow.test":
            release.wait(20)
            host = "127.0.0.1"
        return real(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with serving(servers.well) as server:
        for _ in range(3):
            failure = given_up(call(session, 0.3, f"http://slow.test:{server.port}/all"))
            assert not failure.sent
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("bitopro-margin-resolve") == 1, "three calls wait for one look-up"
        release.set()
        assert no_thread_is_left()
        time.sleep(0.2)
        assert server.requests == []
        assert server.accepted == 0


def test_a_look_up_that_was_given_up_serves_the_next_call(session, monkeypatch):
    real = socket.getaddrinfo

    def slow(host, *more, **named):
        if host == "slow.test":
            time.sleep(0.5)
            host = "127.0.0.1"
        return real(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with serving(servers.well) as server:
        url = f"http://slow.test:{server.port}/all"
        assert not given_up(call(session, 0.3, url)).sent
        assert call(session, 0.45, url) == {"data": {}}
        assert len(server.requests) == 1


@pytest.mark.parametrize("silent", [1, 3])
def test_a_silent_first_address_leaves_time_for_the_next(session, monkeypatch, silent):
    kept, port = servers.silent_port()
    real = socket.getaddrinfo

    def several(host, *more, **named):
        if host != "several.test":
            return real(host, *more, **named)
        row = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [*[(*row, ("127.0.0.2", port))] * silent, (*row, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    with serving(servers.well, address=("127.0.0.1", port)) as server:
        began = time.monotonic()
        assert call(session, 3.0, f"http://several.test:{port}/all") == {"data": {}}
        assert time.monotonic() - began < 0.25 * silent + SLACK
        assert len(server.requests) == 1
    for one in kept:
        one.close()


def test_a_refused_address_costs_no_time(session, monkeypatch):
    real = socket.getaddrinfo

    def two(host, port, *more, **named):
        if host != "two.test":
            return real(host, port, *more, **named)
        row = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*row, ("127.0.0.3", port)), (*row, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with serving(servers.well) as server:
        began = time.monotonic()
        assert call(session, 3.0, f"http://two.test:{server.port}/all") == {"data": {}}
        assert time.monotonic() - began < 0.2


def test_a_dead_host_is_never_called(session):
    kept, port = servers.silent_port()
    failure = given_up(call(session, 0.4, f"http://127.0.0.2:{port}/all"))
    assert not failure.sent
    assert no_thread_is_left()
    kept[0].settimeout(2)
    # Whoever was queued is taken now: none of them says anything.
    for _ in range(len(kept)):
        try:
            accepted, _ = kept[0].accept()
        except TimeoutError:
            break
        accepted.settimeout(0.2)
        with accepted, pytest.raises(TimeoutError):
            accepted.recv(1)
    for one in kept:
        one.close()


def test_a_refused_connection_is_known_not_to_have_been_sent(session):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    failure = given_up(call(session, 2.0, f"http://127.0.0.1:{port}/all"))
    assert failure.outcome is not Outcome.UNKNOWN
    assert "connection failed" in failure.text


def test_a_slow_handshake_is_not_followed_by_the_request(session, tls):
    chain, key = tls
    with serving(servers.over_tls(servers.well, chain, key, wait=5)) as server:
        url = f"https://127.0.0.1:{server.port}/all"
        assert not given_up(call(session, 0.4, url, verify=str(chain))).sent
        assert no_thread_is_left()
        server.proceed.set()
        time.sleep(0.2)
        assert server.requests == []
        assert call(session, 3.0, url, verify=str(chain)) == {"data": {}}
        assert call(session, 3.0, url, verify=str(chain)) == {"data": {}}
        assert server.accepted == 2, "the second call uses the connection of the first"


@pytest.mark.parametrize("secure", [True, False])
def test_a_slow_proxy_is_not_followed_by_the_request(session, tls, secure):
    chain, key = tls
    behave = servers.over_tls(servers.well, chain, key) if secure else servers.well
    with serving(behave) as server, serving(servers.proxy(lambda: server.port, wait=5)) as between:
        scheme = "https" if secure else "http"
        options = {"proxies": {scheme: between.url}, "verify": str(chain)}
        url = f"{scheme}://127.0.0.1:{server.port}/all"
        failure = given_up(call(session, 0.4, url, **options))
        # Without TLS the proxy is told the request itself: it may pass it on.
        assert failure.sent is not secure
        assert no_thread_is_left()
        between.proceed.set()
        time.sleep(0.3)
        assert server.requests == []
        if secure:
            assert call(session, 3.0, url, **options) == {"data": {}}
            assert [line.split()[0] for _, line in between.requests] == ["CONNECT"] * 2


def test_what_the_kernel_has_not_delivered_is_dropped(session):
    taken = bytearray()

    def late(server, connection):
        server.proceed.wait(5)
        try:
            while part := connection.recv(1_000_000):
                taken.extend(part)
        except ConnectionError:
            pass
        server.done.set()

    with serving(late) as server:
        body = b"x" * 30_000_000
        failure = given_up(call(session, 0.5, server.url, data=body))
        assert failure.outcome is Outcome.UNKNOWN
        assert no_thread_is_left()
        server.proceed.set()
        server.done.wait(3)
    assert len(taken) < len(body), "the rest is not delivered afterwards"


def test_a_call_is_sent_once_whatever_a_session_does_on_its_own():
    class Stubborn(requests.Session):
        def request(self, *args, **named):
            for _ in range(3):
                answer = super().request(*args, **named)
            return answer

    session = guarded_session(Stubborn())
    with serving(servers.well) as server:
        call = HttpCall(time.monotonic() + 2)
        with pytest.raises(NotSentError, match="once already"):
            call.run(lambda: session.request("DELETE", server.url))
        assert call.is_sent
        assert len(server.requests) == 1
    session.close()


@pytest.mark.parametrize("seconds", [None, 2.0])
def test_a_connection_that_drops_is_not_called_again(seconds):
    retry = requests.adapters.Retry(3, allowed_methods=None, status_forcelist=[502])
    mine = requests.Session()
    mine.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    session = guarded_session(mine)

    def drop(server, connection):
        server.read(connection)
        if len(server.requests) % 2:
            connection.sendall(servers.answer())
            server.read(connection)

    with serving(drop) as server:
        ends = {} if seconds is None else {"ends": time.monotonic() + seconds}
        for expected in (1, 2):
            call = HttpCall(**ends)
            try:
                call.run(lambda: session.request("DELETE", server.url))
            except requests.ConnectionError:
                assert expected == 2
            assert len(server.requests) == expected
    session.close()


def test_giving_up_and_sending_exclude_each_other():
    """Many calls whose deadline falls into the moment of sending: given up means not arrived."""
    session = guarded_session(requests.Session())
    with serving(servers.well) as server:
        session.request("GET", server.url)
        given: set[str] = set()
        for number in range(150):
            call = HttpCall(time.monotonic() + 0.0001 * (number % 15))
            try:
                call.run(lambda n=number: session.request("DELETE", f"{server.url}/{n}"))
            except NotSentError:
                given.add(f"/{number}")
            except (CallTimeoutError, requests.RequestException):
                assert call.is_sent
        assert given
        assert no_thread_is_left()
        time.sleep(0.1)
        assert not given & {line.split()[1] for _, line in server.requests}
    session.close()


# -- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behave", [servers.hang, servers.drip, servers.drip_headers], ids=lambda one: one.__name__
)
def test_a_slow_answer_leaves_no_thread_behind(session, behave):
    with serving(behave) as server:
        failure = given_up(call(session, 0.4, server.url))
        assert failure.outcome is Outcome.UNKNOWN
        assert no_thread_is_left()
        server.behave = servers.well
        assert call(session, 2.0, server.url) == {"data": {}}


@pytest.mark.parametrize(
    "behave",
    [servers.long_answer, servers.gzip_bomb, servers.deep_json],
    ids=lambda one: one.__name__,
)
def test_an_answer_that_is_too_much_is_unknown_within_the_deadline(session, behave):
    servers._bomb(), servers._twenty_megabytes()
    with serving(behave) as server:
        failure = given_up(call(session, 3.0, server.url))
        assert failure.outcome is Outcome.UNKNOWN
        assert no_thread_is_left()


def test_an_answered_calls_connection_is_out_of_reach_of_its_end():
    session = guarded_session(requests.Session())
    with serving(servers.well) as server:
        first = HttpCall(time.monotonic() + 5)
        first.run(lambda: session.request("GET", server.url))
        first.abandon()
        HttpCall(time.monotonic() + 5).run(lambda: session.request("GET", server.url))
        assert server.accepted == 1
    session.close()


# -- the user's own session ------------------------------------------------------------------------


def test_a_users_session_keeps_what_is_its_own():
    mine = requests.Session()
    mine.headers["X-Mine"] = "yes"
    mine.max_redirects = 7
    adapter = requests.adapters.HTTPAdapter(max_retries=5)
    mine.mount("http://", adapter)

    def redirect(server, connection):
        server.read(connection)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
        server.read(connection)
        connection.sendall(servers.answer())

    view = guarded_session(mine)
    assert view.headers["X-Mine"] == "yes"
    with serving(redirect) as server:
        found = HttpCall().run(lambda: view.request("GET", server.url))
        assert found.status_code == 302
        assert [line.split()[1] for _, line in server.requests] == ["/"]
        assert mine.get(server.url).json() == {"data": {}}
    assert mine.max_redirects == 7
    assert mine.get_adapter("http://x") is adapter
    assert adapter.max_retries.total == 5
    assert type(mine) is requests.Session
    view.close()


def test_the_password_file_of_the_user_is_not_used(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    heads = []

    def note(server, connection):
        heads.append(connection.recv(65536))
        connection.sendall(servers.answer())

    session = DeadlineSession(trusted=True)
    with serving(note) as server:
        assert call(session, 2.0, server.url) == {"data": {}}
        call(session, 2.0, server.url.replace("//", "//own:word@"))
    assert b"authorization" not in heads[0].lower()
    assert b"authorization: basic b3duonvvcmq=" not in heads[1]
    assert b"Authorization: Basic b3duOndvcmQ=" in heads[1]
    session.close()
