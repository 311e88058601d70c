"""How the asynchronous classes use an ``aiohttp`` session, whoever made it: their own, one for a
SOCKS proxy, or the user's.

What signs a call must travel once, and to the place it was meant for. ``aiohttp`` repeats GET, PUT
and DELETE by itself on a kept connection that drops, follows redirects with all headers, looks into
``~/.netrc`` when it is to trust the environment, and reads an answer of any length.
"""

import contextlib
import contextvars
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import yarl

from ..core.http_call import MAX_ANSWER_BYTES

_ClientSession: Final = aiohttp.ClientSession


class Sending:
    """One request on its way."""

    is_sent = False
    """Whether its first byte may have left."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Make this the request that the current task sends."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: contextvars.ContextVar[Sending | None] = contextvars.ContextVar("sending", default=None)


class HardenedSession:
    """A view of a session for signed calls: each leaves once, for one place.

    The session itself stays as it is. Its connections, headers and cookies are shared; requests go
    out through a session of our own on its connector. What is no ``aiohttp.ClientSession`` is used
    as it is, without redirects.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self._is_real = isinstance(session, _ClientSession)
        self._sender = _sender(session) if self._is_real else session

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def get(self, url: Any, **options: Any) -> Any:
        """Send a GET; like the next three, an async context manager of the answer."""
        return self._request("get", url, options)

    def post(self, url: Any, **options: Any) -> Any:
        """Send a POST."""
        return self._request("post", url, options)

    def put(self, url: Any, **options: Any) -> Any:
        """Send a PUT."""
        return self._request("put", url, options)

    def delete(self, url: Any, **options: Any) -> Any:
        """Send a DELETE."""
        return self._request("delete", url, options)

    def ws_connect(self, url: Any, **options: Any) -> Any:
        """Open a websocket; a redirect of the handshake is an error."""
        return self._sender.ws_connect(url, **self._with_proxy(url, options))

    async def close(self) -> None:
        """Close the session itself."""
        self.detach()
        await self.session.close()

    def __del__(self) -> None:
        # One warning of a session that was not closed is enough: that of the session itself.
        if getattr(self, "_is_real", False):
            self._sender.detach()

    def detach(self) -> None:
        """Give the view up, and leave the session open."""
        if self._is_real:
            self._sender.detach()

    def _request(self, method: str, url: Any, options: dict[str, Any]) -> Any:
        send = getattr(self._sender, method)
        if not self._is_real:
            # What it does cannot be watched: from here on the request may have left.
            _note_sending()
            return send(url, **options, allow_redirects=False)
        return _BoundedAnswer(send(url, **self._with_proxy(url, options), allow_redirects=False))

    def _with_proxy(self, url: Any, options: dict[str, Any]) -> dict[str, Any]:
        """The environment's proxy where the session trusts it: our own looks at no environment."""
        if not self._is_real or options.get("proxy") or not self.session.trust_env:
            return options
        target = yarl.URL(url)
        scheme = {"ws": "http", "wss": "https"}.get(target.scheme, target.scheme)
        if urllib.request.proxy_bypass(target.host or ""):
            return options
        return {**options, "proxy": urllib.request.getproxies().get(scheme)}


def _sender(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_note_sent)
    trace.on_request_redirect.append(_refuse_redirect)
    sender = _ClientSession(
        connector=session.connector,
        connector_owner=False,
        cookie_jar=session.cookie_jar,
        headers=session.headers,
        skip_auto_headers=session.skip_auto_headers,
        auth=session.auth,
        trace_configs=[*session.trace_configs, trace],
        trust_env=False,
    )
    # There is no public way to it; a repetition would carry the nonce of the first, and its
    # refusal would be taken for the fate of the first.
    sender._retry_connection = False
    return sender


async def _note_sent(session: Any, context: SimpleNamespace, parameters: Any) -> None:
    _note_sending()


def _note_sending() -> None:
    sending = _current.get()
    if sending is not None:
        # Its headers are being written.
        sending.is_sent = True


async def _refuse_redirect(session: Any, context: SimpleNamespace, parameters: Any) -> None:
    raise aiohttp.ClientConnectionError("redirected to another place: signed calls are not")


class _BoundedAnswer:
    """What ``async with session.get(…)`` enters: an answer that is read, and not too long."""

    def __init__(self, context: Any) -> None:
        self._context = context

    async def __aenter__(self) -> Any:
        response = await self._context.__aenter__()
        try:
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    response.close()
                    raise aiohttp.ClientPayloadError("the answer is longer than any documented one")
        except BaseException as error:
            await self._context.__aexit__(type(error), error, error.__traceback__)
            raise
        # aiohttp has no public way to put a body that somebody else has read.
        response._body = bytes(body)
        return response

    async def __aexit__(self, *failure: Any) -> None:
        await self._context.__aexit__(*failure)
