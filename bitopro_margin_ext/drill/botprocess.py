"""The real ``freqtrade trade`` process of a drill."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from .userfolder import STRATEGY


class BotProcess:
    """Runs ``freqtrade trade`` on a config, as a user would; a context manager that ends it."""

    def __init__(self, folder: Path, config: Path, *arguments: str) -> None:
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
            STRATEGY,
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
        """End it as Ctrl-C would, and return its exit code."""
        if self._process is None:
            return None
        if self.running:
            self._process.send_signal(signal.SIGINT)
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
