"""Is everything installed, in versions that we know?"""

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from typing import Final

from . import CheckResult, fail, ok

OWN_NAME: Final = "bitopro-margin-ext"


def check_versions() -> Iterator[CheckResult]:
    """Python, ccxt and Freqtrade, against what our own package metadata asks for."""
    running = ".".join(map(str, sys.version_info[:3]))
    wanted = importlib.metadata.metadata(OWN_NAME)["Requires-Python"]
    if _satisfies(running, wanted):
        yield ok("Python", f"{running} (needs {wanted})")
    else:
        yield fail("Python", f"{running}, needs {wanted}", "install a newer Python")
    for name in ("ccxt", "freqtrade"):
        yield _check_package(name, required_range(name))


def required_range(name: str) -> str:
    """The range of versions that our extras ask for, as ``>=1.2``."""
    for line in importlib.metadata.requires(OWN_NAME) or ():
        match = re.match(rf"{name}\s*\(?([<>=!~0-9.,\s]*)\)?\s*(;|$)", line, re.IGNORECASE)
        if match is not None:
            return match[1].strip()
    return ""


def _check_package(name: str, wanted: str) -> CheckResult:
    install = f"pip install '{name}{wanted}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return fail(name, "not installed", install)
    if not _satisfies(version, wanted):
        return fail(name, f"{version}, needs {wanted}", install)
    if name == "freqtrade":
        from ..bot import freqtrade_internals

        try:
            freqtrade_internals.check_classes()
        except freqtrade_internals.UnsupportedFreqtradeError as error:
            return fail(name, str(error), install)
    return ok(name, f"{version} (needs {wanted or 'any'})")


def _satisfies(version: str, wanted: str) -> bool:
    for part in filter(None, (part.strip() for part in wanted.split(","))):
        match = re.fullmatch(r"(>=|<)\s*([0-9.]+)", part)
        if match is None:
            continue
        newer = _numbers(version) >= _numbers(match[2])
        if newer is not (match[1] == ">="):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
