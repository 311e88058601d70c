"""Where a bot's heartbeat file lies: one rule for the bot that touches it and all that watch it."""

import os
from pathlib import Path


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
