"""What commands print: results on stdout, everything else on stderr; tables, JSON, folded node ranges, a live line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from plasmatui.text import clean_line

SCHEMA = 1
"""Version of the `--json` output; raised when a key changes its meaning or goes away."""


def result(text: str) -> None:
    """Print a line (or lines) of results."""
    click.echo(text)


def note(text: str) -> None:
    """Print something for people: warnings, progress, failures."""
    click.echo(text, err=True)


def clean(text: str) -> str:
    """Text from machines and files, safe for a terminal, one line."""
    return clean_line(text)


def print_json(value: Mapping[str, Any]) -> None:
    """Print `value` as JSON with the schema's number first."""
    import json

    click.echo(json.dumps({"schema": SCHEMA, **value}, indent=2, ensure_ascii=True))


def json_error(problem_id: str, message: str) -> dict[str, str] | None:
    """The `error` of a node's JSON answer; None when `problem_id` is empty."""
    return {"id": problem_id, "message": message} if problem_id else None


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces apart, without trailing blanks."""
    lines = [tuple(header), *(tuple(clean(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def collated(results: Mapping[str, str]) -> str:
    """One line per different result, with the nodes that gave it as folded ranges: `node[01-03]: off -> on`.

    Results that differ only in the node's own name count as equal; it then reads NODE.
    """
    from plasmatui.cli.sets import fold

    groups: dict[str, list[str]] = {}
    for node, text in results.items():
        groups.setdefault(text.replace(node, "NODE"), []).append(node)
    return "\n".join(
        f"{fold(nodes)}: {clean(text if len(nodes) > 1 else results[nodes[0]])}" for text, nodes in groups.items()
    )


def clock(wall: float) -> str:
    """A time of day for people, of today; with the date otherwise."""
    if not wall:
        return "-"
    local = time.localtime(wall)
    today = time.localtime()
    same_day = (local.tm_year, local.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S", local)


def duration(seconds: float) -> str:
    """`42s`, `3m10s`, `2h05m`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def disk_size(size: int) -> str:
    """Bytes as they stand on a disk's label, in powers of ten: `960 GB`, `1.92 TB`."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB" if amount < 999.5 else f"{amount:.0f} TB"


class LiveLine:
    """One line on stderr that is rewritten in place; silent when stderr is no terminal."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._shown = ""

    def show(self, text: str) -> None:
        """Replace the line. Does nothing when the text is the same."""
        if self._on and text != self._shown:
            import shutil

            width = shutil.get_terminal_size().columns
            sys.stderr.write(f"\r\x1b[K{clean(text)[: max(10, width - 1)]}")
            sys.stderr.flush()
            self._shown = text

    def clear(self) -> None:
        """Take the line away, before anything else is printed."""
        if self._on and self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = ""
