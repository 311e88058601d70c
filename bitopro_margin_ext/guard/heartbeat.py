"""Signs of life of the bot: from Freqtrade's REST server, or from a file that it touches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import requests

from ..core import redaction
from ..core.client import DeadlineSession
from ..core.errors import Failure

HEALTH_PATH: Final = "/api/v1/health"
_ANYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104 - to be recognised, not to listen on


class Heartbeat(Protocol):
    """Something that beats while the bot does its rounds."""

    problem: str | None
    """Why the last look found nothing, in words."""

    def look(self, seconds: float) -> str | None:
        """Return the latest beat, by a name that no other beat has, or None; within ``seconds``."""

    def __str__(self) -> str: ...


class Health:
    """Freqtrade's ``/api/v1/health``: a beat is a finished round of the bot, not a living server.

    A bot that hangs, or that was stopped, still answers; but its last round does not change.
    """

    def __init__(self, url: str, username: str, password: str) -> None:
        redaction.add_secret(password)
        self.problem: str | None = None
        self._url = url
        self._auth = (username, password)
        self._session = DeadlineSession(trusted=False)

    def __str__(self) -> str:
        return self._url

    def look(self, seconds: float) -> str | None:
        """Ask for the bot's last round."""
        found = self._session.request(
            seconds, _read_health, method="GET", url=self._url, auth=self._auth
        )
        self.problem = str(found) if isinstance(found, Failure) else found.problem
        return None if isinstance(found, Failure) else found.beat


class BeatFile:
    """A file that the mixin touches in each round (``bitopro_margin.heartbeat_file``)."""

    def __init__(self, path: Path) -> None:
        self.problem: str | None = None
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def look(self, seconds: float) -> str | None:
        """Read when the file was touched; only that it changes counts, not the time itself."""
        try:
            found = self._path.stat()
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror}"
            return None
        self.problem = None
        return f"{found.st_ino}-{found.st_mtime_ns}"


def find_health(config: Mapping[str, Any], url: str | None) -> Health | None:
    """The health endpoint of the bot with this config, or None where it has no REST server.

    ``url`` replaces the address, for a bot on another machine or in another container.
    """
    server = config.get("api_server")
    server = server if isinstance(server, Mapping) else {}
    if url is None and not server.get("enabled"):
        return None
    if url is None:
        host = str(server.get("listen_ip_address", ""))
        host = "127.0.0.1" if host in _ANYWHERE else host
        host = f"[{host}]" if ":" in host else host
        url = f"http://{host}:{server.get('listen_port', 8080)}"
    url = url.rstrip("/")
    if not url.endswith(HEALTH_PATH):
        url += HEALTH_PATH
    return Health(url, str(server.get("username", "")), str(server.get("password", "")))


class _Reading:
    __slots__ = ("beat", "problem")

    def __init__(self, beat: str | None, problem: str | None) -> None:
        self.beat = beat
        self.problem = problem


def _read_health(response: requests.Response) -> _Reading:
    if response.status_code == 401:
        hint = "check api_server.username and api_server.password"
        return _Reading(None, f"the bot's REST server refuses the password: {hint}")
    if response.status_code != 200:
        return _Reading(None, f"the bot's REST server answers {response.status_code}")
    document = response.json()
    last = document.get("last_process_ts")
    if last is None:
        return _Reading(None, "the bot has not finished a round yet")
    # A bot that was started anew is a sign of life even within the same second.
    return _Reading(f"{last}-{document.get('bot_startup_ts')}", None)
