"""What the three classes share below the unified methods: signing, errors, pace, addresses."""

import functools
import logging
import os
import re
import urllib.parse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import ccxt

from ..core import redaction, signing
from ..core.calls import Call, Flow, retry_nonce
from ..core.credentials import sandbox_rest_url
from ..core.endpoints import BY_PATH, REST_URL, SANDBOX_URL_VARIABLE, OpenOrdersPath
from ..core.errors import Failure, classify, network_failure, not_sent
from ..core.parse import ParsedOrder
from ..core.rate_limit import RateLimits, limits_of
from ..core.signing import Nonces, nonces_of
from .call_scope import SCOPE
from .describe import ImplicitMarginApi, margin_description
from .flow import error_of, raise_failure
from .margin_account import balance_structure
from .market_data import mark_margin, merge_chains
from .structures import order_from_row

if TYPE_CHECKING:
    _Exchange = Any
else:
    _Exchange = object


class MarginParsing(_Exchange):  # type: ignore[misc]
    """The ``parse_*`` overrides."""

    def parse_market(self, market: Any) -> Any:
        """A market structure, flagged as margin where both currencies can be margined."""
        return mark_margin(self, super().parse_market(market))

    def parse_currencies(self, raw_currencies: Any) -> Any:
        """Currency structures by code; the chains of one coin are its networks."""
        return merge_chains(self, [self.parse_currency(row) for row in raw_currencies])

    def parse_order(self, order: Any, market: Any = None) -> Any:
        """An order structure of a margin row; status 3 is ``canceled`` with its fill."""
        if SCOPE.get().inherited:
            return super().parse_order(order, market)
        return order_from_row(self, order, None if market is None else market["symbol"])

    def parse_balance(self, response: Any) -> Any:
        """A balance structure of the margin account, or of the spot account's list."""
        if isinstance(response, dict) and "balances" in response:
            return balance_structure(self, response)
        return super().parse_balance(response)


ACCOUNTS = ("spot", "margin")
"""What ``type`` chooses from."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")

WRITTEN_PATHS = frozenset(path for method, path in BY_PATH if method != "GET")


def stream_urls(rest_url: str) -> dict[str, str]:
    """The stream addresses of a server like the sandbox, whose REST address is known."""
    rest = urllib.parse.urlsplit(rest_url)
    scheme = "wss" if rest.scheme == "https" else "ws"
    base = f"{scheme}://{rest.netloc}/ws/v1/pub"
    return {"public": base, "private": f"{base}/auth"}


def _is_live(url: str) -> bool:
    live = urllib.parse.urlsplit(REST_URL).hostname or ""
    domain = live.partition(".")[2]
    host = urllib.parse.urlsplit(url).hostname or ""
    return host == domain or host.endswith(f".{domain}")


class MarginSession(ImplicitMarginApi, _Exchange):  # type: ignore[misc]
    """Signing, error meanings, throttling and addresses of the margin classes."""

    heard_orders: Callable[[], Iterable[ParsedOrder]] = tuple
    """What streams have told of orders, as parsed rows; without streams that is nothing."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.open_orders_path = OpenOrdersPath()
        self._remembered: tuple[Any, ...] = ()
        super().__init__({} if config is None else config)
        redaction.redact_logger(logging.getLogger("ccxt.base.exchange"))
        redaction.redact_logger(self.logger)
        self.remember_secrets()

    def remember_secrets(self) -> None:
        """Tell the log filter what must never be printed."""
        secrets = (self.apiKey, self.secret, self.password)
        if secrets != self._remembered:
            self._remembered = secrets
            for secret in secrets:
                redaction.add_secret(secret)

    def describe(self) -> Any:
        """ccxt's description of the exchange: the inherited one and the margin differences."""
        sandbox = sandbox_rest_url(os.environ)
        return self.deep_extend(super().describe(), margin_description(sandbox))

    # -- addresses -----------------------------------------------------------------------------

    def set_sandbox_mode(self, enabled: bool) -> None:
        """Point REST and websocket at the sandbox, or back; the live host is out of reach then.

        The sandbox's address comes from ``BITOPRO_SANDBOX_URL``, or is its default one.

        :raises ccxt.BadRequest: when that address is the live exchange's.
        """
        if bool(enabled) == self.isSandboxModeEnabled:
            # A second time ccxt would keep the sandbox's address as the one to come back to.
            return
        if enabled and _is_live(self.urls["test"]["rest"]):
            raise ccxt.BadRequest(
                f"{self.id} {SANDBOX_URL_VARIABLE} names the live exchange, not a sandbox"
            )
        self.open_orders_path = OpenOrdersPath()
        live_streams = self.urls["ws"]
        super().set_sandbox_mode(enabled)
        if enabled:
            self.urls["wsBackup"] = self.urls.get("wsBackup", live_streams)
            self.urls["ws"] = stream_urls(self.urls["api"]["rest"])
        elif "wsBackup" in self.urls:
            self.urls["ws"] = self.urls.pop("wsBackup")

    # -- signing -------------------------------------------------------------------------------

    def sign(
        self,
        path: str,
        api: Any = ("public",),
        method: str = "GET",
        params: Any = None,
        *older: Any,
    ) -> Any:
        """Sign a margin call BitoPro's way; every other path as ``ccxt.bitopro`` does.

        A body holds what the page documents and nothing of the path, and ``login``, when given,
        is the payload's ``identity``.
        """
        params = {} if params is None else params
        endpoint = BY_PATH.get((method, path))
        if endpoint is None:
            if isinstance(params, dict) and params.get("type") in ACCOUNTS:
                # The word for our choice of account: spot's wire has none for it.
                params = {name: value for name, value in params.items() if name != "type"}
            # Older ccxts pass headers and a body, and take them here.
            return super().sign(path, api, method, params, *older)
        self.check_required_credentials()
        self.remember_secrets()
        try:
            request = signing.build_request(
                endpoint,
                params,
                base_url=self.urls["api"]["rest"],
                key=self.apiKey,
                secret=self.secret,
                identity=getattr(self, "login", None) or None,
                offset_ms=self.clock_offset_ms,
            )
        except KeyError as missing:
            raise ccxt.ArgumentsRequired(
                f"{self.id} {endpoint.implicit}() requires {missing.args[0]!r} in its parameters"
            ) from None
        except ValueError as error:
            raise ccxt.BadRequest(f"{self.id} {endpoint.implicit}(): {error}") from None
        request.headers["X-BITOPRO-API"] = "ccxt"
        return request._asdict()

    def handle_option_and_params(
        self,
        params: Any,
        methodName: Any,  # noqa: N803 - ccxt's naming
        optionName: Any,  # noqa: N803
        defaultValue: Any = None,  # noqa: N803
    ) -> Any:
        """ccxt's reading of an option, but for its repetition of failed calls.

        A margin call that changes something is never repeated unseen: what became of the first
        must be asked before a second is sent.
        """
        value, rest = super().handle_option_and_params(params, methodName, optionName, defaultValue)
        if optionName == "maxRetriesOnFailure" and methodName in WRITTEN_PATHS:
            value = 0
        return [value, rest]

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

    def as_network_error(self, error: ccxt.BaseError, *, sent: bool = True) -> ccxt.BaseError:
        """An error of the transport as a network error: ccxt calls some of them ``ExchangeError``.

        A body that broke off says nothing about the fate of the command. The cause keeps its type
        and words, but not the request that an aiohttp error carries, headers and all. What was not
        ``sent``, because no connection came about, is known not to have happened.
        """
        cause = error.__cause__
        if cause is not None:
            redaction.strip_requests(cause)
        is_classified = getattr(error, "failure", None) is not None
        if cause is None or is_classified or (sent and type(error) is not ccxt.ExchangeError):
            return error
        timed_out = isinstance(error, ccxt.RequestTimeout)
        failure = network_failure(cause, timed_out=timed_out)._replace(sent=sent)
        base = ccxt.NetworkError if type(error) is ccxt.ExchangeError else type(error)
        return error_of(failure, str(error), base)

    def deadline_error(self, method: str, url: str) -> ccxt.BaseError:
        """The error of a call that the current deadline cut short."""
        path = re.sub(r"\?.*", "", url)
        return ccxt.RequestTimeout(f"{self.id} {method} {path} did not answer by the deadline")

    def not_sent_error(self, why: str = "its turn comes after the deadline") -> ccxt.BaseError:
        """The error of a call that was not sent, so that nothing can have happened."""
        failure = not_sent(why)
        return error_of(failure, f"{self.id} {failure}")

    # -- throttling and time -------------------------------------------------------------------

    @property
    def clock_offset_ms(self) -> int:
        """The exchange's clock minus ours, in ms: the option ``clockOffset``."""
        return int(self.options["clockOffset"])

    @clock_offset_ms.setter
    def clock_offset_ms(self, value: int) -> None:
        self.options["clockOffset"] = value

    @property
    def key_nonces(self) -> Nonces:
        """The nonces that every client of this process shares for the key."""
        return nonces_of(self.apiKey)

    def nonce(self) -> int:
        """The key's next nonce: spot calls draw from the same sequence."""
        nonces = self.key_nonces
        nonce = nonces.next(self.clock_offset_ms)
        nonces.accepted.append(nonce)
        return nonce

    def signer_of(self, headers: Any, body: Any) -> signing.Signer | None:
        """What signs a spot call anew when it leaves; None for one that carries no nonce."""
        if body is not None or "X-BITOPRO-PAYLOAD" not in (headers or {}):
            return None
        identity = getattr(self, "login", None) or None
        return signing.Signer(self.apiKey, self.secret, identity, self.clock_offset_ms)

    @property
    def rate_limits(self) -> RateLimits:
        """The documented limits, shared by all clients of this process for a host."""
        return limits_of(self.urls["api"]["rest"])

    def retry_nonce(self, first: Call, failure: Failure, started: float) -> Flow[Any]:
        """The flow that goes on after a failure: a refused nonce is retried at the documented pace.

        A cancel-all waits for its turn where it is performed, as each of them does.
        """
        if first.endpoint.cancels_all:
            return retry_nonce(self, first, failure, started)
        turn = functools.partial(self.rate_limits.try_reserve, first.endpoint)
        return retry_nonce(self, first, failure, started, turn=turn)

    def exchange_time(self) -> int:
        """Now, in ms, on the exchange's clock as far as it is known."""
        return int(self.milliseconds()) + self.clock_offset_ms

    def log(self, *args: Any) -> None:
        """Print for ``verbose``, without secrets."""
        super().log(*(redaction.redact(str(argument)) for argument in args))
