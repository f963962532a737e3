"""The store of images as clients are shown it: every version, whether it is whole, who boots it, what to do."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from plasmatui.model.boot import BootTimeline
from plasmatui.model.pxe import ImageCheck, ImageFile, Images, ImageState, ImageVersion
from plasmatui.pxe.assets import Activation, Manifest, Store, StoreError, Version, damage
from plasmatui.pxe.booted import booted_version
from plasmatui.pxe.imagecheck import Check, check_boot_script, check_version
from plasmatui.text import clean_line

MOST = 500
"""Versions that are told of, the newest of each profile first."""

Print = tuple[tuple[str, int, int], ...]
"""Name, size and time of change of a version's files: while it is the same, what was read of them holds."""


@dataclass(frozen=True)
class Verified:
    """What reading all bytes of a version showed. `at`: Unix seconds."""

    print: Print
    at: float
    checks: tuple[Check, ...]

    @property
    def wrong(self) -> str:
        """Why it cannot be booted, "" when it can."""
        return "; ".join(check.message for check in self.checks if check.ok is False)


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Nobody waits for the reading any more."""


class Reading:
    """A reading that goes on in another thread: `read` bytes so far; it ends when `over` is set."""

    def __init__(self) -> None:
        self.read = 0
        self.over = threading.Event()

    def tick(self, size: int) -> None:
        """So much more was read. Raises Stopped."""
        self.read += size
        if self.over.is_set():
            raise Stopped


def verify(store: Store, name: str, reading: Reading) -> Verified:
    """Read all bytes of a version and check them.

    Raises:
        StoreError: there is no such version.
        OSError: a file cannot be read.
        Stopped: nobody waits any more.
    """
    version = store.find(name)
    before = _print(version)
    return Verified(before, time.time(), check_version(store, version, reading.tick).checks)


def stock(root: Path, boots: Mapping[str, Sequence[BootTimeline]], verified: Mapping[str, Verified]) -> Images:
    """What is published below an HTTP root.

    Args:
        boots: of each node, newest first.
        verified: by version.
    """
    store = Store(root)
    try:
        versions = store.versions()[:MOST]
        active = store.active()
        history, problem = _history(store)
        previous = {profile: _previous(store, profile) for profile in active if active[profile] and not problem}
        script = check_boot_script(store)
    except StoreError as error:
        return Images(str(root), time.time(), problem=clean_line(str(error), 400))
    except OSError as error:
        return Images(str(root), time.time(), problem=f"{error.filename or root}: {error.strerror}")
    if problem:
        script = [*script, Check("history", False, problem)]
    booted = {node: booted_version(found, history) for node, found in boots.items()}
    by_version: dict[str, list[str]] = {}
    for node, name in booted.items():
        by_version.setdefault(name or "", []).append(node)
    return Images(
        str(root),
        time.time(),
        tuple(_told(each, by_version, verified, previous.get(each.profile, "")) for each in versions),
        {profile: name for profile, name in previous.items() if name},
        tuple(sorted(profile for profile, name in active.items() if not name)),
        tuple(by_version.get("", ())),
        told_checks(script),
    )


def told_checks(checks: Sequence[Check]) -> tuple[ImageCheck, ...]:
    """Checks as they go over the wire."""
    return tuple(ImageCheck(each.name, each.ok, clean_line(each.message, 1000)) for each in checks)


def _history(store: Store) -> tuple[Sequence[Activation], str]:
    try:
        return store.history(), ""
    except StoreError as error:
        return (), str(error)


def _previous(store: Store, profile: str) -> str:
    try:
        return store.previous(profile)
    except StoreError:  # told once, for all profiles
        return ""


def _print(version: Version) -> Print:
    names = version.manifest.files if version.manifest is not None else ()
    found = []
    for name in sorted(names):
        try:
            info = (version.directory / name).stat()
        except OSError:
            continue
        found.append((name, info.st_size, info.st_mtime_ns))
    return tuple(found)


def _told(
    version: Version, users: Mapping[str, list[str]], verified: Mapping[str, Verified], previous: str
) -> ImageVersion:
    seen = verified.get(version.name)
    if seen is not None and seen.print != _print(version):
        seen = None
    reason = damage(version) or (seen.wrong if seen is not None else "")
    state = ImageState.DAMAGED if reason else ImageState.VERIFIED if seen is not None else ImageState.WHOLE
    told = ImageVersion(
        name=version.name,
        profile=version.profile,
        active=version.active,
        state=state,
        reason=clean_line(reason, 400),
        verified=seen.at if seen is not None else 0.0,
        nodes=tuple(users.get(version.name, ())),
        fix=_fix(version, bool(reason), previous),
    )
    return told if version.manifest is None else _with_manifest(told, version.manifest)


def _with_manifest(told: ImageVersion, manifest: Manifest) -> ImageVersion:
    """A manifest is somebody's file: what stands in it is not trusted to be clean."""
    files = [(name, facts.size, facts.sha256) for name, facts in manifest.files.items()]
    return replace(
        told,
        files=tuple(ImageFile(clean_line(name, 80), size, clean_line(sha256, 64)) for name, size, sha256 in files[:20]),
        init=clean_line(manifest.init, 400),
        architecture=clean_line(manifest.architecture, 40),
        revision=clean_line(manifest.revision, 80),
        dirty=manifest.dirty,
        built=manifest.built,
        deployed=manifest.deployed,
    )


def _fix(version: Version, damaged: bool, previous: str) -> str:
    """The command that mends a damaged version, lets machines boot an idle one, or looks at the active one."""
    if damaged and version.active and previous:
        return shlex.join(("plasmatui", "images", "rollback", version.profile))
    if damaged:
        return shlex.join(("plasmatui", "images", "deploy", version.profile))
    word = "verify" if version.active else "activate"
    return shlex.join(("plasmatui", "images", word, version.name))
