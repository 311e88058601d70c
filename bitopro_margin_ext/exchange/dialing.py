"""How the margin streams are dialled: signed anew each time, routed by address, never live by slip.

ccxt keeps one client an address and drops it when its connection ends; the next ``watch`` dials
again. What is added: each dial signs for itself, so that a reconnect carries a new nonce, and a
refused handshake says why, without the request that was refused.
"""

import functools
import urllib.parse
from typing import TYPE_CHECKING, Any

import aiohttp
import ccxt

from .. import redaction, signing
from ..endpoints import STREAM_URL
from ..errors import classify
from ..streams import Stream
from .session import LOOPBACK, raise_failure, stream_urls

if TYPE_CHECKING:
    _Exchange = Any
else:
    _Exchange = object


def reason_of(error: BaseException) -> BaseException:
    """The error that ccxt's client has wrapped into a ``NetworkError`` on its way to us."""
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, ccxt.BaseError) else error


class StreamDialing(_Exchange):  # type: ignore[misc]
    """Addresses, signatures and clients of the streams."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__(config)
        rest = self.urls["api"]["rest"]
        if self.urls["ws"]["public"] == STREAM_URL and (
            urllib.parse.urlsplit(rest).hostname in LOOPBACK
        ):
            # Whoever points REST at a server of their own does not mean to stream from the live
            # one, and must not send it signatures.
            self.urls["ws"] = stream_urls(rest)

    def stream_url(self, stream: Stream) -> str:
        """The address of a stream."""
        return f"{self.urls['ws']['private' if stream.private else 'public']}/{stream.path}"

    def authenticate(self, url: str) -> None:
        """Make ready what a private stream needs; the connection itself is signed when dialled.

        :raises ccxt.AuthenticationError: when key, secret or ``login`` is missing.
        """
        self.check_required_credentials()
        if not self.login:
            raise ccxt.AuthenticationError(
                f"{self.id} private streams require `login`, the email of the account,"
                " beside key and secret"
            )
        self.client(url)

    def client(self, url: str) -> Any:
        """ccxt's client of an address; a new one is dialled and read our way."""
        known = (self.clients or {}).get(url)
        if known is not None:
            return known
        client = super().client(url)
        client.create_connection = functools.partial(self._dial, client)
        client.handle_text_or_binary_message = functools.partial(self._read, client)
        return client

    async def _dial(self, client: Any, session: Any) -> Any:
        if client.url.startswith(f"{self.urls['ws']['private']}/"):
            # A copy: ccxt hands every client the one dict of the exchange's options.
            client.options = {**client.options, "headers": self._signed_headers()}
        try:
            return await type(client).create_connection(client, session)
        except aiohttp.WSServerHandshakeError as error:
            redaction.strip_requests(error)
            self._refuse(client.url, error)
        finally:
            client.options = {**client.options, "headers": {}}

    def _signed_headers(self) -> dict[str, str]:
        self.remember_secrets()
        offset_ms = int(self.options["clockOffset"])
        text = signing.nonce_document(self.login, offset_ms)
        return {"X-BITOPRO-API": "ccxt", **signing.auth_headers(self.apiKey, self.secret, text)}

    def _refuse(self, url: str, error: aiohttp.WSServerHandshakeError) -> None:
        path = urllib.parse.urlsplit(url).path
        headers = dict(error.headers or {})
        failure = classify(error.status, None, path=path, headers=headers)
        try:
            raise_failure(f"{self.id} {path}", failure)
        except ccxt.BaseError as refusal:
            # ccxt's client looks here for Retry-After.
            refusal.headers = headers
            raise refusal from None

    def _read(self, client: Any, data: Any) -> None:
        try:
            type(client).handle_text_or_binary_message(client, data)
        except Exception as error:
            # Out of here it would end ccxt's receiving without a word. What was missed is asked
            # for again after the reconnect.
            reason = f"{self.id} sent a message that cannot be read ({type(error).__name__})"
            client.on_error(ccxt.NetworkError(reason))
