"""What `plasmatui images list` shows: published versions, and which node booted which one last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plasmatui.cli.output import duration, note, result, table
from plasmatui.cli.settings import Settings
from plasmatui.model import wire

if TYPE_CHECKING:
    from plasmatui.pxe.assets import Store, Version

ASK_LIMIT = 10.0
"""Seconds for asking a running engine about all nodes."""

Booted = Mapping[str, str | None]
"""Version by node; None where it is not known which one a node booted."""


def booted_versions(settings: Settings, store: Store) -> Booted | None:
    """What the nodes booted last, as the engine has seen it; None when no engine runs. Starts none."""
    return asyncio.run(_booted_versions(settings, store))


async def _booted_versions(settings: Settings, store: Store) -> Booted | None:
    from plasmatui.cli.engine_link import expect
    from plasmatui.client import EngineClient, EngineError, EngineUnreachableError
    from plasmatui.paths import engine_paths
    from plasmatui.pxe.assets import StoreError
    from plasmatui.pxe.booted import BOOTS, booted_version

    try:
        history = store.history()
    except StoreError:
        history = ()
    try:
        async with asyncio.timeout(ASK_LIMIT):
            socket = engine_paths(settings.inventory_path()).socket
            async with await EngineClient.connect(socket, kind="cli", read_only=True) as client:
                found: dict[str, str | None] = {}
                for name in (node.name for node in client.welcome.nodes):
                    reply = expect(await client.ask(wire.AskTimeline(name, BOOTS)), wire.Timelines)
                    found[name] = booted_version(reply.timelines, history)
                return found
    except (EngineUnreachableError, EngineError, TimeoutError):
        return None


def print_versions(versions: Sequence[Version], booted: Booted | None, nodes: int | None, rate: int) -> None:
    """The table. `nodes`, `rate`: for which number of nodes, at which bits per second, the time to fetch is shown."""
    from plasmatui.cli.sets import fold

    plan = [] if nodes is None else [f"{nodes} NODES"]
    header = ["VERSION", "ACTIVE", "KERNEL", "INITRD", *plan, "AGE", "REVISION", "BOOTED BY"]
    rows = []
    for version in versions:
        active = "active" if version.active else "-"
        manifest = version.manifest
        if manifest is None:
            rows.append([version.name, active, f"! {version.problem}", *("" for _ in header[3:])])
            continue
        users = [name for name, found in (booted or {}).items() if found == version.name]
        facts = [manifest.files.get(name) for name in ("bzImage", "initrd")]
        sizes = ["?" if each is None else size_words(each.size) for each in facts]
        seconds = [] if nodes is None else [_seconds(nodes * manifest.boot_size, rate)]
        age = duration(time.time() - manifest.deployed)
        revision = (manifest.revision[:12] or "-") + ("-dirty" if manifest.dirty else "")
        by = "unknown" if booted is None else fold(users) if users else "-"
        rows.append([version.name, active, *sizes, *seconds, age, revision, by])
    result(table(header, rows))
    unknown = [name for name, found in (booted or {}).items() if found is None]
    if unknown:
        note(f"plasmatui: not known what they booted last: {fold(unknown)}")


def _seconds(size: int, rate: int) -> str:
    return f"{size * 8 / rate:.0f}s" if rate else "?"


def version_data(version: Version, booted: Booted | None, nodes: int | None, rate: int) -> dict[str, Any]:
    """A version as `--json` shows it."""
    manifest = version.manifest
    data: dict[str, Any] = {
        "version": version.name,
        "profile": version.profile,
        "active": version.active,
        "directory": str(version.directory),
        "problem": version.problem or None,
        "booted_by": None if booted is None else [name for name, found in booted.items() if found == version.name],
    }
    if manifest is None:
        return data
    if nodes is not None:
        data["plan"] = {"nodes": nodes, "seconds": nodes * manifest.boot_size * 8 / rate if rate else None}
    return data | {
        "size": manifest.boot_size,
        "files": {name: {"size": facts.size, "sha256": facts.sha256} for name, facts in manifest.files.items()},
        "init": manifest.init,
        "architecture": manifest.architecture,
        "revision": manifest.revision or None,
        "dirty": manifest.dirty,
        "built": manifest.built or None,
        "deployed": manifest.deployed,
    }


def size_words(size: int) -> str:
    """Bytes as boot timelines show them."""
    return f"{size / 1e6:.1f} MB"
