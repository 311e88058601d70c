"""Where and when it was measured: figures without that mean nothing."""

import os
import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Machine:
    """The machine, the moment, and how busy it was with other things."""

    date: str
    cpu: str
    cores: int
    python: str
    ccxt: str
    freqtrade: str
    load: float
    """The load average of the minute before the first measurement."""

    def describe(self) -> str:
        busy = f"load {self.load:.1f} before the start"
        if self.load > 0.5:
            busy += ": the machine was shared"
        return (
            f"{self.date}, {self.cpu}, {self.cores} cores, Python {self.python}, ccxt {self.ccxt},"
            f" Freqtrade {self.freqtrade}, {busy}"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def this_machine() -> Machine:
    return Machine(
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        ccxt=version("ccxt"),
        freqtrade=version("freqtrade"),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
