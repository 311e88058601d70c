"""Signs of life of the bot: from Freqtrade's REST server, or from a file that it touches."""

import json
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import requests

from ..core import redaction
from ..core.credentials import unwatchable
from ..core.errors import Failure
from ..core.guarded_session import DeadlineSession

HEALTH_PATH: Final = "/api/v1/health"
_ANYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104 - to be recognised, not to listen on
_UNAUTHORIZED: Final = 401
_WHERE: Final = (
    "give the bot's config with -c, or FREQTRADE__API_SERVER__USERNAME and "
    "FREQTRADE__API_SERVER__PASSWORD"
)


class Beat(NamedTuple):
    """One sign of life: a name that no other has, and how old it is in seconds, by the clock."""

    name: str
    age: float


class Heartbeat(Protocol):
    """Something that beats while the bot does its rounds."""

    problem: str | None
    """Why the last look found nothing, in words."""
    refused: str | None
    """Why no look can ever find anything with these settings, as far as the last one showed."""
    identity: str
    """All that distinguishes one heartbeat from another, a password included: only for a digest."""

    def look(self, seconds: float) -> Beat | None:
        """Return the latest beat, or None; within ``seconds``."""

    def __str__(self) -> str: ...


class Health:
    """Freqtrade's ``/api/v1/health``: a beat is a finished round of the bot, not a living server.

    A bot that hangs, or that was stopped, still answers; but its last round does not change.
    """

    def __init__(self, url: str, username: str, password: str) -> None:
        redaction.add_secret(password)
        self.problem: str | None = None
        self.refused: str | None = None
        self.identity = f"{url} {username}:{password}"
        self._url = url
        self._auth = (username, password)
        self._session = DeadlineSession(trusted=False)

    def __str__(self) -> str:
        return self._url

    def look(self, seconds: float) -> Beat | None:
        """Ask for the bot's last round."""
        found = self._session.request(
            seconds, _read_health, method="GET", url=self._url, auth=self._auth
        )
        self.refused = None
        if isinstance(found, Beat):
            self.problem = None
            return found
        if isinstance(found, Failure):
            self.problem = f"{self._url}: {found}"
            if not self._auth[1]:
                self.refused = f"{self.problem}, and there is no password for it: {_WHERE}"
        else:
            self.problem = f"{self._url}: {found.problem}"
            if found.status == _UNAUTHORIZED:
                self.refused = f"{self.problem}: {_WHERE}"
        return None


class BeatFile:
    """A file that the mixin touches in each round (``bitopro_margin.heartbeat_file``)."""

    def __init__(self, path: Path) -> None:
        self.problem: str | None = None
        self.refused: str | None = None
        self.identity = str(path)
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def look(self, seconds: float) -> Beat | None:
        """Read when the file was touched; that it changes counts, the time only for its age."""
        self.refused = unwatchable(self._path)
        try:
            found = self._path.stat()
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror}"
            return None
        self.problem = self.refused
        if self.refused:
            return None
        return Beat(f"{found.st_ino}-{found.st_mtime_ns}", time.time() - found.st_mtime)


def find_health(config: Mapping[str, Any], url: str | None) -> Health | None:
    """The health endpoint of the bot with this config, or None where it has no REST server.

    ``url`` replaces the address, for a bot on another machine or in another container.

    :raises ValueError: for an address that cannot be asked.
    """
    server = config.get("api_server")
    server = server if isinstance(server, Mapping) else {}
    username, password = str(server.get("username", "")), str(server.get("password", ""))
    if url is None:
        if not server.get("enabled"):
            return None
        host = str(server.get("listen_ip_address", ""))
        host = "127.0.0.1" if host in _ANYWHERE else host
        host = f"[{host}]" if ":" in host else host
        url = f"http://{host}:{server.get('listen_port', 8080)}"
    address, given = _split_address(url)
    if given is not None:
        username, password = given
    if not address.endswith(HEALTH_PATH):
        address += HEALTH_PATH
    return Health(address, username, password)


def _split_address(url: str) -> tuple[str, tuple[str, str] | None]:
    """The address without the user and password that it may carry, and these.

    :raises ValueError: in a line that does not repeat what may be a password.
    """
    redaction.add_url_secrets(url)
    example = "write it as http://127.0.0.1:8080"
    try:
        parts = urllib.parse.urlsplit(url.strip())
        # ``port`` is read when it is asked for.
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    if not usable:
        raise ValueError(f"the address of the bot's REST server cannot be used: {example}")
    if parts.query or parts.fragment:
        raise ValueError(f"the address of the bot's REST server has a query: {example}")
    given = None
    if parts.username is not None:
        given = (
            urllib.parse.unquote(parts.username),
            urllib.parse.unquote(parts.password or ""),
        )
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}", given


class _Unseen(NamedTuple):
    """An answer that shows no beat."""

    problem: str
    status: int


def _read_health(response: requests.Response) -> Beat | _Unseen:
    status = response.status_code
    if status == _UNAUTHORIZED:
        return _Unseen("the bot's REST server refuses user or password", status)
    if status != 200:
        return _Unseen(f"answers {status}: this is not Freqtrade's REST server, or not now", status)
    try:
        document = json.loads(response.content)
        last = document["last_process_ts"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return _Unseen("answers something else than Freqtrade's health", status)
    if last is None:
        return _Unseen("the bot has not finished a round yet", status)
    if isinstance(last, bool) or not isinstance(last, int | float) or not 0 < last < 1e11:
        return _Unseen("answers something else than Freqtrade's health", status)
    # A bot that was started anew is a sign of life even within the same second.
    started = str(document.get("bot_startup_ts"))[:40]
    return Beat(f"{last}-{started}", time.time() - last)
