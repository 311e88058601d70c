"""What the three classes share below the unified methods: signing, errors, throttling, addresses."""

import logging
import os
import re
import urllib.parse
from typing import TYPE_CHECKING, Any

import ccxt

from .. import redaction, wire
from ..endpoints import BY_PATH, SANDBOX_URL, SANDBOX_URL_VARIABLE, OpenOrdersPath
from ..errors import Failure, Meaning, classify, network_failure
from ..limits import CancelAllLimiter, cancel_all_limiter
from . import deadlines
from .describe import margin_description
from .implicit import ImplicitMarginApi

if TYPE_CHECKING:
    _Exchange = Any
else:
    _Exchange = object


def raise_failure(exchange_id: str, failure: Failure, cause: BaseException | None = None) -> None:
    """Raise the ccxt error of that meaning; the error carries the failure as ``.failure``."""
    error: Exception = getattr(ccxt, failure.meaning.value)(f"{exchange_id} {failure}")
    error.failure = failure  # type: ignore[attr-defined]
    raise error from cause


def failure_of(error: BaseException) -> Failure:
    """What an exception of a call means; anything not recognised leaves the outcome unknown."""
    failure = getattr(error, "failure", None)
    if isinstance(failure, Failure):
        return failure
    if isinstance(error, ccxt.ArgumentsRequired | ccxt.BadRequest | ccxt.NotSupported):
        # Raised by ccxt before anything was sent.
        return Failure(Meaning.BAD_REQUEST, str(error))
    if isinstance(error, ccxt.AuthenticationError):
        return Failure(Meaning.AUTHENTICATION, str(error))
    return network_failure(error, timed_out=isinstance(error, ccxt.RequestTimeout))


class MarginSession(ImplicitMarginApi, _Exchange):  # type: ignore[misc]
    """Signing, error meanings, throttling and addresses of the margin classes."""

    limiter: CancelAllLimiter

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.open_orders_path = OpenOrdersPath()
        super().__init__({} if config is None else config)
        redaction.redact_logger(logging.getLogger("ccxt.base.exchange"))
        self.remember_secrets()

    def remember_secrets(self) -> None:
        """Tell the log filter what must never be printed."""
        for name in ("apiKey", "secret", "password"):
            redaction.add_secret(getattr(self, name, None))

    def describe(self) -> Any:
        """ccxt's description of the exchange: the inherited one and the margin differences."""
        sandbox_url = os.environ.get(SANDBOX_URL_VARIABLE, SANDBOX_URL).rstrip("/")
        return self.deep_extend(super().describe(), margin_description(sandbox_url))

    # -- addresses -----------------------------------------------------------------------------

    def set_sandbox_mode(self, enabled: bool) -> None:
        """Point REST and websocket at the sandbox, or back; the live host is out of reach meanwhile.

        The sandbox's address comes from ``BITOPRO_SANDBOX_URL``, or is its default one.
        """
        live_streams = self.urls["ws"]
        super().set_sandbox_mode(enabled)
        if enabled:
            rest = urllib.parse.urlsplit(self.urls["api"]["rest"])
            scheme = "wss" if rest.scheme == "https" else "ws"
            base = f"{scheme}://{rest.netloc}/ws/v1/pub"
            self.urls["wsBackup"] = self.urls.get("wsBackup", live_streams)
            self.urls["ws"] = {"public": base, "private": f"{base}/auth"}
        elif "wsBackup" in self.urls:
            self.urls["ws"] = self.urls.pop("wsBackup")

    @property
    def host(self) -> str:
        """The REST host that this object talks to."""
        return urllib.parse.urlsplit(self.urls["api"]["rest"]).netloc

    # -- signing -------------------------------------------------------------------------------

    def sign(
        self,
        path: str,
        api: Any = ("public",),
        method: str = "GET",
        params: Any = None,
    ) -> Any:
        """Sign a margin call BitoPro's way; every other path as ``ccxt.bitopro`` does.

        A body holds what the page documents and nothing of the path, and ``login``, when given,
        is the payload's ``identity``.
        """
        params = {} if params is None else params
        endpoint = BY_PATH.get((method, path))
        if endpoint is None:
            return super().sign(path, api, method, params)
        self.check_required_credentials()
        self.remember_secrets()
        try:
            request = wire.build_request(
                endpoint,
                params,
                base_url=self.urls["api"]["rest"],
                key=self.apiKey,
                secret=self.secret,
                identity=self.login or None,
                offset_ms=int(self.options["clockOffset"]),
            )
        except KeyError as missing:
            raise ccxt.ArgumentsRequired(
                f"{self.id} {endpoint.implicit}() requires {missing.args[0]!r} in its parameters"
            ) from None
        headers = {"X-BITOPRO-API": "ccxt", **request.headers}
        return {
            "url": request.url,
            "method": request.method,
            "body": request.body,
            "headers": headers,
        }

    # -- errors --------------------------------------------------------------------------------

    def handle_errors(
        self,
        code: int,
        reason: str,
        url: str,
        method: str,
        headers: Any,
        body: str,
        response: Any,
        request_headers: Any,
        request_body: Any,
    ) -> Any:
        """Raise by meaning: the status first, then BitoPro's text."""
        if 200 <= int(code) < 300:
            return None
        path = urllib.parse.urlsplit(url).path
        return raise_failure(self.id, classify(int(code), body, path=path, headers=headers))

    def unanswered(self, error: Exception) -> Exception:
        """An error of the transport as a network error: ccxt calls some of them ``ExchangeError``.

        A body that broke off says nothing about the fate of the command.
        """
        if type(error) is ccxt.ExchangeError and error.__cause__ is not None:
            mended = ccxt.NetworkError(str(error))
            mended.failure = network_failure(error.__cause__, timed_out=False)  # type: ignore[attr-defined]
            return mended
        return error

    def past_deadline(self, method: str, url: str) -> Exception:
        """The error of a call that the current deadline cut short."""
        path = re.sub(r"\?.*", "", url)
        return ccxt.RequestTimeout(f"{self.id} {method} {path} did not answer by the deadline")

    # -- throttling and time -------------------------------------------------------------------

    @property
    def cancel_all_limiter(self) -> CancelAllLimiter:
        """The limiter that all clients of this process share for this host."""
        return cancel_all_limiter(self.host)

    @property
    def timeout(self) -> int:
        """ccxt's time-out of one call in ms, shortened by the current deadline."""
        own: int = self.__dict__.get("_timeout", 10_000)
        left = deadlines.remaining()
        return own if left is None else max(1, min(own, int(left * 1000)))

    @timeout.setter
    def timeout(self, value: int) -> None:
        self.__dict__["_timeout"] = value

    def log(self, *args: Any) -> None:
        """Print for ``verbose``, without secrets."""
        super().log(*(redaction.redact(str(argument)) for argument in args))
