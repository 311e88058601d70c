"""Freqtrade's configuration as Freqtrade merges it, read without Freqtrade.

The kill switch must find the bot's keys where the bot is not even installed. Tests compare what
comes out here with what Freqtrade's own code makes of the same files and variables.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..core.errors import BitoproMarginError

PREFIX: Final = "FREQTRADE__"
_AS_TEXT: Final = ("CHAT_ID", "PASSWORD")
_CCXT_SECTIONS: Final = frozenset({"ccxt_config", "ccxt_sync_config", "ccxt_async_config"})
_DEEPEST: Final = 5

_STRING_OR_COMMENT: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_STRING_OR_LAST_COMMA: Final = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])', re.DOTALL)

Config = dict[str, Any]


class ConfigurationError(BitoproMarginError, ValueError):
    """A config that cannot be read; the text is one line that says what to do."""


def load_configuration(
    files: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    on_file: Callable[[Path], None] = lambda path: None,
) -> Config:
    """Merge the files, those that they add, and the ``FREQTRADE__`` variables.

    Later files override earlier ones, a file overrides those that it adds, and variables override
    all; ``-`` reads standard input. ``on_file`` is called with every file as it is read.

    :raises ConfigurationError: naming the file, and the line where it is not JSON.
    """
    config = _load_files(files, None, 0, on_file)
    return _merge(read_variables(environment), config)


def read_variables(environment: Mapping[str, str]) -> Config:
    """The nested config that ``FREQTRADE__SECTION__NAME`` variables spell, typed as it does."""
    config: Config = {}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX):
            continue
        parts = variable.replace(PREFIX, "").split("__")
        lowered = [part.lower() for part in parts]
        if lowered[0] == "exchange" and _CCXT_SECTIONS & set(lowered):
            # ccxt's own names are in camel case.
            lowered[-1] = parts[-1]
        value: Any = text if parts[-1] in _AS_TEXT else _typed(text)
        for name in reversed(lowered):
            value = {name: value}
        config = _merge(value, config)
    return config


def _load_files(
    files: Sequence[str], base: Path | None, level: int, on_file: Callable[[Path], None]
) -> Config:
    if level > _DEEPEST:
        raise ConfigurationError("config files add each other in a circle: see add_config_files")
    config: Config = {}
    for name in files:
        if name == "-":
            return _parse(sys.stdin.read(), "standard input")
        if not isinstance(name, str) or not name.strip():
            raise ConfigurationError("the name of a config file is empty, or no text")
        path = Path(name) if base is None else base / name
        found = _load_file(path)
        on_file(path)
        if "add_config_files" in found:
            if not isinstance(found["add_config_files"], list):
                raise ConfigurationError(f"{path}: add_config_files must be a list of files")
            added = _load_files(
                found["add_config_files"], path.resolve().parent, level + 1, on_file
            )
            found = _merge(found, added)
        config = _merge(found, config)
    return config


def _load_file(path: Path) -> Config:
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith("\ufeff"):
            # Freqtrade does not read it either.
            raise ConfigurationError(f"{path} begins with a byte order mark: save it without")
        return _parse(text, str(path))
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not a text file in UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _parse(text: str, name: str) -> Config:
    try:
        document = json.loads(text)
    except ValueError:
        try:
            document = json.loads(_plain_json(text))
        except json.JSONDecodeError as error:
            where = f"line {error.lineno} column {error.colno}"
            raise ConfigurationError(f"{name} is not JSON: {error.msg} at {where}") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{name} is not a config: it holds no object")
    return document


def _plain_json(text: str) -> str:
    """Without the comments and last commas that Freqtrade allows; every line stays in its place."""
    text = _STRING_OR_COMMENT.sub(_blank_comment, text)
    return _STRING_OR_LAST_COMMA.sub(lambda match: match[0] if match[0] != "," else " ", text)


def _blank_comment(match: re.Match[str]) -> str:
    found = match[0]
    return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)


def _merge(source: Config, destination: Config) -> Config:
    """Override ``destination`` by ``source``, and return it."""
    for name, value in source.items():
        if isinstance(value, dict):
            node = destination.setdefault(name, {})
            if not isinstance(node, dict):
                raise ConfigurationError(f"{name!r} is a section in one config and not in another")
            _merge(value, node)
        else:
            destination[name] = value
    return destination


def _typed(text: str) -> Any:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    if text.lower() in ("t", "true"):
        return True
    if text.lower() in ("f", "false"):
        return False
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, list) else text
