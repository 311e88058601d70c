"""The real ``freqtrade trade`` process of a drill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ..core.errors import BitoproMarginError

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


class DrillError(BitoproMarginError):
    """The drill could not be played to its end; the text says why."""


class BotProcess:
    """Runs ``freqtrade trade`` on a config, as a user would; a context manager that ends it."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        *arguments: str,
        strategy: str = STRATEGY,
        patience: float = 45.0,
    ) -> None:
        self.folder = folder
        self._patience = patience
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

    def wait_for(self, what: str, done: Callable[[], bool]) -> None:
        """Look until something is done, for ``patience`` seconds at most.

        :raises DrillError: when the process ends before, or the time is over.
        """
        deadline = time.monotonic() + self._patience
        while not done():
            if not self.running:
                raise DrillError(f"freqtrade ended before {what}:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise DrillError(f"waited {self._patience:g} s for {what}; see {self.logfile}")
            time.sleep(0.2)

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
