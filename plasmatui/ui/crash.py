"""A crash file that may be sent to somebody: code places and kinds of errors, never the values of variables."""

from __future__ import annotations

import os
import platform
import time
import traceback
from pathlib import Path

from plasmatui import __version__
from plasmatui.paths import UnsafeDirectoryError, crash_dir, make_private
from plasmatui.text import clean_line


def report(error: BaseException, screen: str) -> tuple[str, str]:
    """Write the file; the two lines for the terminal."""
    kind = type(error).__name__
    try:
        path = write(error, screen)
    except (OSError, UnsafeDirectoryError) as problem:
        where = f"no crash file could be written: {clean_line(str(problem), 200)}"
    else:
        where = f"crash file: {path}"
    first = f"plasmatui: the screen ended by an error of its own ({kind}); the engine and its operations go on."
    return first, f"plasmatui: {where}"


def write(error: BaseException, screen: str) -> Path:
    """Write the crash file, mode 0600, and return its path.

    Raises:
        OSError, UnsafeDirectoryError: it cannot be written.
    """
    directory = make_private(crash_dir())
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = directory / f"screen-{stamp}-{os.getpid()}.txt"
    lines = [
        f"plasmatui {__version__}, Python {platform.python_version()}, {platform.system()}",
        f"screen: {screen or 'none'}",
        *_chain(error),
    ]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


def _chain(error: BaseException) -> list[str]:
    """Each error of the chain as its kind and its places. Messages are left out: they may hold what was typed."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        lines.append(f"error: {type(current).__module__}.{type(current).__qualname__} (message withheld)")
        for frame in traceback.extract_tb(current.__traceback__):
            lines.append(f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}")
        current = current.__cause__ or current.__context__
    return lines
