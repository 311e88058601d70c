"""Whose account, and where: the key, the secret and the address, and every place they may be in.

Never the command line: what stands there is seen by every user of the machine. Where the heartbeat
file of a config lies is said here, too: one rule for the bot that touches it and all that watch it.
"""

import importlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from . import redaction
from .endpoints import REST_URL, SANDBOX_URL, SANDBOX_URL_VARIABLE
from .errors import BitoproMarginError

KEY_VARIABLE: Final = "BITOPRO_API_KEY"
SECRET_VARIABLE: Final = "BITOPRO_API_SECRET"  # noqa: S105 - a name
EMAIL_VARIABLE: Final = "BITOPRO_EMAIL"
KEYRING_SERVICE: Final = "bitopro-margin"
"""In the system keyring: this service, with the user names ``key``, ``secret`` and ``email``."""

WHERE: Final = (
    f"set {KEY_VARIABLE} and {SECRET_VARIABLE}, or give a Freqtrade config with -c, or store them "
    f"in the keyring (keyring set {KEYRING_SERVICE} key; keyring set {KEYRING_SERVICE} secret)"
)

_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    r"(?P<path>/[\w.~/-]*)?"
)
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[(?:0*:)*:?0*1\]", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[!-~]+")


class CredentialError(BitoproMarginError, ValueError):
    """No usable credentials or address; the text is one line that says what to do."""


class Credentials:
    """An API key with its secret; ``email`` is the payload's identity, which may be left out.

    ``source`` says in words where they were found.
    """

    __slots__ = ("email", "key", "secret", "source")

    def __init__(self, key: str, secret: str, email: str | None = None, source: str = "") -> None:
        self.key = key
        self.secret = secret
        self.email = email
        self.source = source

    def __repr__(self) -> str:
        return f"<Credentials {self.account}>"

    @property
    def account(self) -> str:
        """How to name the account to its owner, without giving the key away."""
        tail = self.key[-4:] if len(self.key) >= 8 else ""
        key = f"key ...{tail}"
        return f"{self.email} ({key})" if self.email else key


def find_credentials(
    config: Mapping[str, Any], environment: Mapping[str, str], *, config_first: bool
) -> Credentials:
    """The first complete key and secret of: the environment, the config, the system keyring.

    ``config`` is a merged Freqtrade config; ``config_first`` if the user named its files, and so
    means its account. What is found is blanked out of all output from then on.

    :raises CredentialError: where there are none, or half of a pair, or some that cannot be sent.
    """
    for name in (KEY_VARIABLE, SECRET_VARIABLE):
        redaction.add_secret(environment.get(name, "").strip())
    found = _from_config(config, environment) if config_first else None
    found = found or _from_environment(environment)
    found = found or _from_config(config, environment) or _from_keyring()
    if found is None:
        raise CredentialError(f"no API key: {WHERE}")
    return found


def find_base_url(
    config: Mapping[str, Any], environment: Mapping[str, str], given: str | None = None
) -> str:
    """Where a bot with this config sends its calls: the live exchange, unless it says otherwise.

    ``config`` is a merged Freqtrade config, read as ccxt reads what Freqtrade hands it; ``given``
    overrides it. Bot and commands ask here, so that they never mean different exchanges.

    :raises CredentialError: for an address that signed calls must not go to.
    """
    if given is not None:
        return require_address(given)
    exchange = _section(config, "exchange")
    for name in ("ccxt_config", "ccxt_sync_config"):
        _section(exchange, name, "exchange.")
    ccxt_config = _ccxt_config(config)
    urls = _section(ccxt_config, "urls", "exchange.ccxt_config.")
    # ccxt takes the word from the config itself or from its options; other values than True are no.
    places = (ccxt_config, _mapping(ccxt_config.get("options")))
    if any(place.get(name) is True for place in places for name in ("sandbox", "testnet")):
        side, default = "test", sandbox_rest_url(environment)
    else:
        side, default = "api", REST_URL
    rest = _section(urls, side, "exchange.ccxt_config.urls.").get("rest", default)
    return require_address(str(rest))


def _section(parent: Mapping[str, Any], name: str, place: str = "") -> Mapping[str, Any]:
    """A part of the config that may be missing.

    :raises CredentialError: where it is something else: no address is taken for another's.
    """
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise CredentialError(f"{place}{name} in the config must be an object, not a single value")
    return value


def sandbox_rest_url(environment: Mapping[str, str]) -> str:
    """The sandbox's REST address: that of ``BITOPRO_SANDBOX_URL``, or its default one."""
    url = environment.get(SANDBOX_URL_VARIABLE) or SANDBOX_URL
    return url.rstrip("/").removesuffix("/v3") + "/v3"


def require_address(url: str) -> str:
    """Check an address that signed calls may go to: https, or the loopback.

    :returns: it without a slash at its end.
    :raises CredentialError: for any other.
    """
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise CredentialError(
            f"the base URL cannot be used: write what stands before /margin, for example {REST_URL}"
        )
    if match["scheme"] == "http" and not _LOOPBACK.fullmatch(match["host"]):
        raise CredentialError(
            f"{match['host']} must be called by https: only a loopback address may go without"
        )
    if not (match["path"] or "").strip("/"):
        raise CredentialError(f"the base URL {url} lacks the version: write {url.rstrip('/')}/v3")
    return url.rstrip("/")


def _from_config(config: Mapping[str, Any], environment: Mapping[str, str]) -> Credentials | None:
    exchange = _mapping(config.get("exchange"))
    # In Freqtrade's order, and then what its ccxt configs override.
    names = ("api_key", "apiKey", "key")
    key = next((exchange[name] for name in names if name in exchange), None)
    overrides = _ccxt_config(config)
    key, secret = overrides.get("apiKey", key), overrides.get("secret", exchange.get("secret"))
    # Freqtrade reads digits in a variable as a number, which would lose leading zeros.
    key = _verbatim(key, environment, "FREQTRADE__EXCHANGE__KEY")
    secret = _verbatim(secret, environment, "FREQTRADE__EXCHANGE__SECRET")
    if key and secret:
        # Said only here: an account at another exchange matters only if its keys would be used.
        name = str(exchange.get("name", "bitopro"))
        if not name.lower().startswith("bitopro"):
            raise CredentialError(
                f"the config is for the exchange {name!r}, not for bitopromargin: "
                "its keys are not sent to BitoPro"
            )
    return _complete(
        key, secret, overrides.get("login"), "the config", ("exchange.key", "exchange.secret")
    )


def _verbatim(value: Any, environment: Mapping[str, str], variable: str) -> Any:
    raw = environment.get(variable)
    return raw if raw and isinstance(value, int | float) else value


def _ccxt_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    exchange = _mapping(config.get("exchange"))
    return _merged(
        _mapping(exchange.get("ccxt_config")), _mapping(exchange.get("ccxt_sync_config"))
    )


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    result = dict(under)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = _merged(result[name], value) if both else value
    return result


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _from_environment(environment: Mapping[str, str]) -> Credentials | None:
    return _complete(
        environment.get(KEY_VARIABLE),
        environment.get(SECRET_VARIABLE),
        environment.get(EMAIL_VARIABLE),
        "the environment",
        (KEY_VARIABLE, SECRET_VARIABLE),
    )


def _from_keyring() -> Credentials | None:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return None
    try:
        key, secret, email = (
            keyring.get_password(KEYRING_SERVICE, name) for name in ("key", "secret", "email")
        )
    except Exception as error:
        # Backends raise errors of their own; their text may hold anything.
        raise CredentialError(
            f"no API key, and the keyring could not be read ({type(error).__name__}): {WHERE}"
        ) from None
    return _complete(key, secret, email, "the keyring", ("key", "secret"))


def _complete(
    key: Any, secret: Any, email: Any, source: str, names: Sequence[str]
) -> Credentials | None:
    values = []
    for value in (key, secret):
        text = "" if value is None else str(value).strip()
        redaction.add_secret(text)
        values.append(text)
    if not any(values):
        return None
    for text, name in zip(values, names, strict=True):
        if not text:
            raise CredentialError(f"{name} is missing in {source}, where its other half is")
        if not _TOKEN.fullmatch(text):
            raise CredentialError(
                f"{name} in {source} holds characters that no API key has: copy it again"
            )
    return Credentials(values[0], values[1], str(email).strip() or None if email else None, source)


# -- the heartbeat file ----------------------------------------------------------------------------


def heartbeat_path(value: str, config_file: str | None = None) -> Path:
    """The absolute path of a ``bitopro_margin.heartbeat_file``.

    ``~`` is the home folder. A relative path starts at the folder of ``config_file``, the one that
    was named last: bot and guard are given the same config, but seldom started in the same folder.

    :raises ValueError: for a home folder that is not there.
    """
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"{value!r}: there is no such home folder") from None
    base = Path() if config_file in (None, "-") else Path(str(config_file)).parent
    return Path(os.path.abspath(base / path))


def unwatchable(path: Path) -> str | None:
    """Why nobody can ever see this file change, or None. It need not be there yet."""
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: there is no folder {folder}"
    if not os.access(folder, os.X_OK):
        return f"{path}: the folder {folder} may not be entered"
    try:
        return f"{path} is a folder, not a file" if path.is_dir() else None
    except OSError as error:
        return f"{path}: {error.strerror}"


def untouchable(path: Path) -> str | None:
    """Why the bot cannot touch this file, or None."""
    problem = unwatchable(path)
    if problem is None and not os.access(path if path.exists() else path.parent, os.W_OK):
        problem = f"{path} cannot be written"
    return problem
