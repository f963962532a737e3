"""`plasmatui backup`: data and configuration of nodes brought to this host, listed and verified."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from plasmatui.backups.manifest import Backup, BackupError, NodeManifest, find_backups, read_backup
from plasmatui.cli.completion import complete_set
from plasmatui.cli.failure import DONE, FAILED, SOME_FAILED, USAGE, Failure
from plasmatui.cli.order_options import OrderOptions, order_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.output import LiveLine, clean, disk_size, note, print_json, result, table
from plasmatui.cli.records import outcome_json
from plasmatui.cli.settings import Settings
from plasmatui.model.operation import BackupOrder

_SET = "make"


class _Backup(click.Group):
    """`backup SET` is `backup make SET`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), "")
        if first and first not in self.commands and not {"--help", "-h"} & set(args[:1]):
            args = [_SET, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Backup)
def backup() -> None:
    """Back up nodes (backup SET -o DIR), list and verify backups."""


@backup.command(_SET)
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory on this host; the backup gets one of its own there.  [default: backups, beside the inventory]",
)
@click.option("--service", "services", multiple=True, metavar="NAME", help="Only its data; may be given again.")
@click.option("--live", is_flag=True, help="Do not stop services: what is read is as after a power failure.")
@click.option("--secrets", is_flag=True, help="With /etc/nixos/secrets; the backup holds private keys then.")
@order_options
@click.pass_obj
def make(
    settings: Settings,
    node_set: str,
    directory: Path | None,
    services: tuple[str, ...],
    live: bool,
    secrets: bool,
    options: OrderOptions,
) -> int:
    """Bring the data of SET's services, and its configuration, into a new directory below DIR.

    One node at a time, leaders of raft groups last: each service is stopped, copied, started, and seen to be well
    before anything else is stopped. `backup SET` is short for it.
    """
    place = str(Path(os.path.expanduser(directory)).absolute()) if directory is not None else ""
    order = BackupOrder(place, services, live, secrets)
    return give_order(settings, order, node_set, options, outcome_json)


@backup.command("list")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def list_(directory: Path, as_json: bool) -> int:
    """List the backups in DIR, oldest first. Archives are not read: see verify."""
    rows: list[tuple[str, ...]] = []
    values: list[dict[str, Any]] = []
    wrong = 0
    for path in _find(directory):
        try:
            found = read_backup(path)
        except BackupError as error:
            wrong += 1
            rows.append((path.name, "", "", "", f"unreadable: {error}"))
            values.append({"path": str(path), "error": str(error)})
            continue
        state = "whole" if found.whole else f"partial: {', '.join(found.missing)} missing"
        modes = "live" if found.head.live else "quiesced"
        rows.append((path.name, found.head.begin, " ".join(found.nodes), disk_size(found.bytes), f"{state}, {modes}"))
        values.append(_json(found))
    if as_json:
        print_json({"backups": values})
    elif rows:
        result(table(("BACKUP", "BEGUN", "NODES", "SIZE", "STATE"), rows))
    else:
        note(clean(f"no backup lies in {directory}"))
    return DONE if not wrong else FAILED if wrong == len(values) else SOME_FAILED


@backup.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def verify(directory: Path, as_json: bool) -> int:
    """Read everything in the backup DIR again.

    Sums are compared, archives taken apart, their members seen to stay where they belong. A DIR that holds several has
    all of them read.
    """
    from plasmatui.backups.verify import verify_backup

    paths = _find(directory)
    if not paths:
        raise Failure(USAGE, f"no backup lies in {directory}", "plasmatui backup list DIR")
    seen: list[dict[str, Any]] = []
    for path in paths:
        live = _Reading(path.name)
        try:
            found = read_backup(path)
            contents = verify_backup(found, live.passed)
        except BackupError as error:
            seen.append({"path": str(path), "ok": False, "error": str(error)})
            continue
        finally:
            live.clear()
        partial = "" if found.whole else f"{path}: partial: {', '.join(found.missing)} missing"
        files = sum(len(each.members) for each in contents.values())
        seen.append({"path": str(path), "ok": found.whole, "error": partial or None, "members": files})
    wrong = sum(not each["ok"] for each in seen)
    if as_json:
        print_json({"backups": seen})
    else:
        result("\n".join(clean(each["error"] or f"{each['path']}: whole, {each['members']} members") for each in seen))
    return DONE if not wrong else FAILED if wrong == len(seen) else SOME_FAILED


class _Reading:
    """Progress on the terminal, a few times a second."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._line = LiveLine()
        self._bytes = 0
        self._next = 0.0

    def passed(self, count: int) -> None:
        self._bytes += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.25
            self._line.show(f"verifying {self._name}: {disk_size(self._bytes)}")

    def clear(self) -> None:
        self._line.clear()


def _find(directory: Path) -> tuple[Path, ...]:
    try:
        return find_backups(directory)
    except BackupError as error:
        raise Failure(USAGE, str(error)) from None


def _json(found: Backup) -> dict[str, Any]:
    return {
        "path": found.directory,
        "cluster": found.head.cluster,
        "begin": found.head.begin,
        "age": int(time.time() - datetime.fromisoformat(found.head.begin).timestamp()),
        "live": found.head.live,
        "secrets": found.head.secrets,
        "whole": found.whole,
        "missing": list(found.missing),
        "bytes": found.bytes,
        "nodes": {node: _node_json(manifest) for node, manifest in found.nodes.items()},
        "error": None,
    }


def _node_json(manifest: NodeManifest) -> dict[str, Any]:
    parts = [
        {
            "service": part.service,
            "file": part.file,
            "bytes": part.bytes,
            "sha256": part.sha256,
            "quiesced": part.quiesced,
        }
        for part in manifest.parts
    ]
    return {"end": manifest.end, "generation": manifest.generation, "parts": parts}
