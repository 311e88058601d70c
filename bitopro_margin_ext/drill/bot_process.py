"""The bot of a drill: its folder and config, or a copy of the user's own, and its process."""

import copy
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

import requests

STRATEGY = "DrillStrategy"

PAIRS = ("BTC/USDT", "ETH/USDT")


def write_userfolder(
    folder: Path, *, rest_url: str, scope: str, deadline: float, key: str, secret: str
) -> Path:
    """Write everything that ``freqtrade trade`` needs, and return the config's path."""
    strategies = folder / "strategies"
    strategies.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("drill_strategy.py"), strategies)
    config = folder / "config.json"
    config.touch(mode=0o600)
    config.write_text(
        json.dumps(
            build_config(
                folder, rest_url=rest_url, scope=scope, deadline=deadline, key=key, secret=secret
            ),
            indent=2,
        )
    )
    return config


def build_config(
    folder: Path, *, rest_url: str, scope: str, deadline: float, key: str, secret: str
) -> dict[str, Any]:
    """A live (not dry-run) config against the sandbox, quick enough for a drill."""
    return {
        "bot_name": "drill",
        "dry_run": False,
        "trading_mode": "margin",
        "margin_mode": "cross",
        "max_open_trades": len(PAIRS),
        "stake_currency": "USDT",
        "stake_amount": 1000,
        "tradable_balance_ratio": 0.99,
        "timeframe": "5m",
        "user_data_dir": str(folder),
        "db_url": f"sqlite:///{folder}/trades.sqlite",
        "unfilledtimeout": {"entry": 600, "exit": 2, "exit_timeout_count": 1, "unit": "seconds"},
        "order_types": {
            "entry": "limit",
            "exit": "limit",
            "emergency_exit": "market",
            "stoploss": "limit",
            "stoploss_on_exchange": True,
            "stoploss_on_exchange_interval": 60,
        },
        "entry_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
        "exit_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
        "exchange": {
            "name": "bitopromargin",
            "key": key,
            "secret": secret,
            "pair_whitelist": list(PAIRS),
            "pair_blacklist": [],
            "ccxt_config": {"urls": {"api": {"rest": rest_url}}},
        },
        "pairlists": [{"method": "StaticPairList"}],
        "bitopro_margin": {"scope": scope, "deadline": deadline},
        "internals": {"process_throttle_secs": 1},
        "initial_state": "running",
        "log_config": build_log_config(folder / "freqtrade.log"),
    }


def build_log_config(logfile: Path) -> dict[str, Any]:
    """A whole ``log_config``: its filter is what enables the plugin."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"bitopro_margin": {"()": "bitopro_margin_ext.enable"}},
        "formatters": {
            "standard": {"format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s"}
        },
        "handlers": {
            "file": {
                "class": "logging.FileHandler",
                "formatter": "standard",
                "filename": str(logfile),
                "filters": ["bitopro_margin"],
            }
        },
        "root": {"handlers": ["file"], "level": "INFO"},
    }


class BotProcess:
    """Runs ``freqtrade trade`` on a config, as a user would; a context manager that ends it."""

    def __init__(
        self, folder: Path, config: Path, *arguments: str, strategy: str = STRATEGY
    ) -> None:
        self.folder = folder
        self._command = [
            sys.executable,
            "-m",
            "freqtrade",
            "trade",
            "--config",
            str(config),
            "--userdir",
            str(folder),
            "--strategy",
            strategy,
            *arguments,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def logfile(self) -> Path:
        """What the bot logs."""
        return self.folder / "freqtrade.log"

    @property
    def output(self) -> Path:
        """What the bot prints before and beside its log."""
        return self.folder / "output.txt"

    def start(self) -> None:
        """Start the process; also again, after ``kill``."""
        # Freqtrade leaves ``log_config`` alone when it believes itself under pytest, and that is
        # what loads the plugin.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment = {**kept, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int | None:
        """End it as a service manager would, and return its exit code.

        By SIGTERM: a process that was started in the background of a shell ignores Ctrl-C, and so
        do its children.
        """
        if self._process is None:
            return None
        if self.running:
            self._process.terminate()
        try:
            return self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def last_words(self) -> str:
        """The end of what it printed and logged, for when it did not start."""
        found = [path.read_text() for path in (self.output, self.logfile) if path.exists()]
        return "\n".join("\n".join(found).splitlines()[-15:])

    def __enter__(self) -> "BotProcess":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


CHANGED: Final = (
    "changed in the copy: address and key, database and user folder, the pairs BTC/USDT and "
    "ETH/USDT, stake, time-outs and throttle; no messengers"
)
KEPT_OUT: Final = (
    "add_config_files",
    "available_capital",
    "datadir",
    "discord",
    "external_message_consumer",
    "logfile",
    "strategy_path",
    "telegram",
    "webhook",
)
"""Sections of a config that lead to places and people of the user's."""
STAKE_CURRENCY: Final = "USDT"
CALL_SECONDS: Final = 30.0


class OwnBot(NamedTuple):
    """What to rehearse: a merged config, a strategy's name, and the folders it may be in."""

    config: Mapping[str, Any]
    strategy: str
    folders: tuple[Path, ...]

    def write(self, folder: Path, *, rest_url: str, key: str, secret: str) -> Path:
        """Write the copy into ``folder`` and return its config's path.

        :raises OSError: when a folder of strategies cannot be read.
        """
        strategies = folder / "strategies"
        for source in self.folders:
            # Freqtrade would leave its compiled files beside the user's own.
            ignored = shutil.ignore_patterns("__pycache__", ".git", ".ipynb_checkpoints")
            shutil.copytree(source, strategies, ignore=ignored, dirs_exist_ok=True)
        strategies.mkdir(parents=True, exist_ok=True)
        path = folder / "config.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self._copy(folder, rest_url, key, secret), indent=2))
        return path

    def _copy(self, folder: Path, rest_url: str, key: str, secret: str) -> dict[str, Any]:
        config = copy.deepcopy({k: v for k, v in self.config.items() if k not in KEPT_OUT})
        block = dict(config.get("bitopro_margin") or {})
        if block.get("heartbeat_file"):
            block["heartbeat_file"] = str(folder / "heartbeat")
        ours = build_config(
            folder,
            rest_url=rest_url,
            scope=block.get("scope", "pair"),
            deadline=block.get("deadline", 10.0),
            key=key,
            secret=secret,
        )
        for name in ("db_url", "user_data_dir", "log_config", "stake_amount", "pairlists"):
            config[name] = ours[name]
        timeouts = dict(config.get("unfilledtimeout") or {})
        timeouts |= {"entry": 600, "exit": 2, "unit": "seconds"}
        config |= {
            "dry_run": False,
            "initial_state": "running",
            "cancel_open_orders_on_exit": False,
            "force_entry_enable": True,
            "max_open_trades": len(PAIRS),
            "tradable_balance_ratio": 0.99,
            "strategy": self.strategy,
            "bitopro_margin": block,
            "unfilledtimeout": timeouts,
            "internals": {"process_throttle_secs": 1},
            "exchange": _exchange(config.get("exchange") or {}, ours["exchange"]),
            "api_server": {
                "enabled": True,
                "listen_ip_address": "127.0.0.1",
                "listen_port": _free_port(),
                "verbosity": "error",
                "jwt_secret_key": secrets.token_hex(32),
                "username": "drill",
                "password": secrets.token_urlsafe(16),
            },
        }
        return config


def _exchange(own: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The user's section with our key, address and pairs, and without a proxy of theirs."""
    named = ("password", "uid", "api_key", "apiKey", "walletAddress", "privateKey", "login")
    kept = {name: value for name, value in own.items() if name not in named}
    for section in ("ccxt_config", "ccxt_sync_config", "ccxt_async_config"):
        kept[section] = {
            name: value
            for name, value in dict(own.get(section) or {}).items()
            if name not in (*named, "secret", "sandbox", "testnet", "urls")
            and "proxy" not in name.lower()
            and "proxies" not in name.lower()
        }
        options = kept[section].get("options")
        if isinstance(options, Mapping):
            kept[section]["options"] = {
                name: value for name, value in options.items() if name not in ("sandbox", "testnet")
            }
    return kept | {
        "key": ours["key"],
        "secret": ours["secret"],
        "pair_whitelist": ours["pair_whitelist"],
        "pair_blacklist": ours["pair_blacklist"],
        "ccxt_config": kept["ccxt_config"] | ours["ccxt_config"],
    }


class BotControl:
    """Freqtrade's own REST server, for what a person would do by hand."""

    def __init__(self, config: Path) -> None:
        server = json.loads(config.read_text())["api_server"]
        self._url = f"http://127.0.0.1:{server['listen_port']}/api/v1"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = (server["username"], server["password"])

    def is_up(self) -> bool:
        """Whether the bot can be asked to enter."""
        try:
            found = self._session.get(f"{self._url}/show_config", timeout=2)
            return found.ok and str(found.json().get("state", "")).lower() == "running"
        except (requests.RequestException, ValueError):
            return False

    def enter(self, pair: str, price: str) -> str | None:
        """Place a limit entry; returns why it was refused, or None."""
        wish = {"pair": pair, "price": float(price), "ordertype": "limit"}
        return self._post("forceenter", wish)

    def exit(self, trade_id: int, price: str) -> str | None:
        """Place a limit exit of a whole trade; returns why it was refused, or None."""
        wish = {"tradeid": str(trade_id), "price": float(price), "ordertype": "limit"}
        return self._post("forceexit", wish)

    def _post(self, what: str, wish: Mapping[str, Any]) -> str | None:
        try:
            answer = self._session.post(f"{self._url}/{what}", json=wish, timeout=CALL_SECONDS)
            document = answer.json()
        except (requests.RequestException, ValueError) as error:
            return type(error).__name__
        return None if answer.ok else str(document.get("error") or document)[:200]


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port
