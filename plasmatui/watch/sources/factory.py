"""From the inventory's `logs:` to sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plasmatui.inventory.inventory import LogSource as LogEntry
from plasmatui.model.command import Commands
from plasmatui.watch.sources.base import LogSource, OnBatch, OnState, Position, Stamp, Start
from plasmatui.watch.sources.file import FileSource
from plasmatui.watch.sources.journal import JournalSource
from plasmatui.watch.sources.process import LocalCommands
from plasmatui.watch.sources.remote_file import RemoteFileSource


def source_name(entry: LogEntry) -> str:
    """How a source is called on screen and in evidence: `pxe01:tftpd-hpa.service`, `/var/log/kea/kea-dhcp4.log`."""
    what = entry.file or entry.journal
    return f"{entry.ssh}:{what}" if entry.ssh else what


def make_source(
    entry: LogEntry,
    on_batch: OnBatch,
    *,
    connect: Callable[[str], Commands],
    on_state: OnState | None = None,
    start: Start | float = Start.END,
    position: Position | None = None,
    stamp: Stamp | None = None,
) -> LogSource:
    """The source that an entry describes, not started.

    Args:
        on_batch, on_state: called on the loop.
        connect: gives a host's `Commands`; not called for local sources.
        start: where to begin when there is no position; a float is Unix seconds. A file on another host is then read
            from its beginning.
        position: as the last batch reported it.
        stamp: tells a raw line's time, for beginning a local file at a time.
    """
    name = source_name(entry)
    if entry.journal:
        commands = connect(entry.ssh) if entry.ssh else LocalCommands()
        return JournalSource(name, entry.journal, commands, on_batch, on_state=on_state, start=start, position=position)
    if entry.ssh:
        commands = connect(entry.ssh)
        return RemoteFileSource(name, entry.file, commands, on_batch, on_state=on_state, start=start, position=position)
    return FileSource(name, Path(entry.file), on_batch, on_state=on_state, start=start, position=position, stamp=stamp)
