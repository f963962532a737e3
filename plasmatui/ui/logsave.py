"""Logs into a file of the user's own."""

from __future__ import annotations

import os
import time
from pathlib import Path

from plasmatui.model.boot import LogFilter
from plasmatui.paths import make_private, state_root
from plasmatui.ui.logfeed import LogFeed
from plasmatui.ui.logtext import saved_line


async def save_logs(feed: LogFeed, wanted: LogFilter, wall: float) -> tuple[int, Path]:
    """Write everything that passes a filter, page by page; how many lines, and into which file. `wall` names it.

    Raises:
        OSError, UnsafeDirectoryError: it cannot be written.
    """
    directory = make_private(state_root() / "saved")
    path = directory / f"logs-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(wall))}.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    seq, count, more = 0, 0, True
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        while more:
            lines, more = await feed.after(wanted, seq)
            seq, count = lines[-1].seq if lines else seq, count + len(lines)
            file.writelines(saved_line(line) for line in lines)
    return count, path
