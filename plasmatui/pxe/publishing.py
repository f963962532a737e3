"""Changing the store of images: deploy, activate, roll back, keep few. Every change is whole or does not happen.

A version is written into a hidden directory beside the others, made durable and renamed; the link of a profile is
replaced by renaming (rename(2), symlink(7): readers see the old or the new one). One process changes a store at a time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from plasmatui.pxe.assets import (
    HISTORY,
    INITRD,
    KERNEL,
    MANIFEST,
    SCRIPT,
    Activation,
    FileFacts,
    Manifest,
    Store,
    StoreError,
    Version,
    damage,
    hashed,
    profile_name,
    script_of,
)
from plasmatui.pxe.bootfiles import Tick
from plasmatui.pxe.imagecheck import Image, check_image, kernel_path

KEEP: Final = 5
"""Versions of a profile that are kept, unless the caller says otherwise."""

RESERVE: Final = 16 << 20
"""Bytes that stay free on the file system, for logs and for what the file system itself needs."""

_HISTORY_LENGTH: Final = 2000
_STAGING, _DOOMED, _LOCK = ".staging-", ".removed-", ".lock"


class NotBootableError(StoreError):
    """An image is not deployed or activated, because machines could not boot it. `image` has the checks."""

    def __init__(self, image: Image) -> None:
        wrong = [check for check in image.checks if check.ok is False]
        super().__init__("; ".join(check.message for check in wrong), f"plasmatui images verify {image.directory}")
        self.image = image


@dataclass(frozen=True)
class Deployed:
    """What a deployment did.

    Attributes:
        version: its name. existed: the store had the same files already, under this name.
        before: version that was served before, empty for none.
        removed: versions that made room.
    """

    profile: str
    version: str
    existed: bool
    active: bool
    before: str
    removed: tuple[str, ...]
    manifest: Manifest


def deploy(
    store: Store,
    directory: Path,
    profile: str = "",
    *,
    activate: bool = True,
    keep: int = KEEP,
    reserve: int = RESERVE,
    tick: Tick = lambda _: None,
    now: Callable[[], float] = time.time,
) -> Deployed:
    """Publish the image in a directory, and let machines boot it.

    Args:
        profile: whose it is; empty when its `build.json` says so, else the directory's name.
        keep: versions of the profile that stay, the active one and the one before it in any case.
        tick: told of bytes; every byte is read twice and written once: three times the image in all.

    Raises:
        NotBootableError: a check of the image failed.
        StoreError: no room, another deployment runs, the store cannot be written. Nothing was changed.
    """
    try:
        image = check_image(directory, tick)
    except OSError as error:
        raise StoreError(f"{error.filename or directory} cannot be read: {error.strerror}") from error
    profile = profile_name(profile or (image.record.profile if image.record else directory.resolve().name))
    if not image.bootable:
        raise NotBootableError(image)
    with _changing(store):
        if activate:
            _linkable(store, profile)
        before = store.active().get(profile, "")
        same = _same(store, profile, image, tick)
        manifest = same.manifest if same is not None else None
        if manifest is None:
            _room(store, image, reserve)
            manifest = _publish(store, profile, image, tick, now())
        if activate:
            _activate(store, manifest.profile, manifest.version, "activate", now())
        removed = _prune(store, profile, keep, {manifest.version})
    return Deployed(profile, manifest.version, same is not None, activate, before, removed, manifest)


def activate(store: Store, version: Version, now: Callable[[], float] = time.time) -> str:
    """Let machines of its profile boot a version; the version that they booted before.

    Raises:
        StoreError: it is not whole, or the store cannot be written.
    """
    with _changing(store):
        return _switch(store, version, "activate", now())


def rollback(store: Store, profile: str, now: Callable[[], float] = time.time) -> tuple[str, str]:
    """Let machines boot the version before the active one; the names of the one that was active, and of the other.

    Raises:
        StoreError: there is none, or as `activate`.
    """
    with _changing(store):
        name = store.previous(profile_name(profile))
        if not name:
            raise StoreError(
                f"{profile}: no version was active before this one", "plasmatui images list, then activate VERSION"
            )
        return _switch(store, store.find(name), "rollback", now()), name


def _switch(store: Store, version: Version, by: str, now: float) -> str:
    if why := damage(version):
        raise StoreError(f"{version.name} is not activated: {why}", "activate another, or deploy it again")
    before = store.active().get(version.profile, "")
    _linkable(store, version.profile)
    if before != version.name:
        _activate(store, version.profile, version.name, by, now)
    return before


def _same(store: Store, profile: str, image: Image, tick: Tick) -> Version | None:
    """A version with the same kernel and initrd, started in the same way."""
    assert image.netboot is not None
    for version in store.versions(profile):
        if (manifest := version.manifest) is not None:
            same = all(manifest.files.get(name) == image.files[name] for name in (KERNEL, INITRD))
            script = script_of(version.name, image.netboot)
            if same and manifest.files.get(SCRIPT) == _facts(script) and _untouched(version, tick):
                return version
    return None


def _untouched(version: Version, tick: Tick) -> bool:
    """Whether its files still are what they were: a damaged version is published anew."""
    assert version.manifest is not None
    with contextlib.suppress(OSError):
        return all(hashed(version.directory / name, tick) == facts for name, facts in version.manifest.files.items())
    return False


def _facts(text: str) -> FileFacts:
    data = text.encode()
    return FileFacts(len(data), hashlib.sha256(data).hexdigest())


def _room(store: Store, image: Image, reserve: int) -> None:
    needed = sum(image.files[name].size for name in (KERNEL, INITRD)) + reserve
    found = os.statvfs(store.versions_directory)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise StoreError(
            f"{store.root} has {free >> 20} MiB free, the image and some reserve need {needed >> 20} MiB",
            "make room, or keep fewer versions: --keep N",
        )


def _publish(store: Store, profile: str, image: Image, tick: Tick, now: float) -> Manifest:
    """Write a version beside the others, then give it its name."""
    assert image.netboot is not None
    assert image.kernel is not None
    digest = _facts("".join(image.files[name].sha256 for name in (KERNEL, INITRD, SCRIPT))).sha256
    version = f"{profile}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{digest[:8]}"
    staging = Path(tempfile.mkdtemp(dir=store.versions_directory, prefix=_STAGING))
    try:
        os.chmod(staging, 0o755)  # noqa: S103 - servers run as other users
        files = {
            KERNEL: _copy(kernel_path(image.directory), staging / KERNEL, tick),
            INITRD: _copy(image.directory / INITRD, staging / INITRD, tick),
        }
        if any(files[name] != image.files[name] for name in files):
            raise StoreError(f"{image.directory} was changed while it was copied", "deploy it again")
        script = script_of(version, image.netboot)
        _write(staging / SCRIPT, script.encode())
        record = image.record
        manifest = Manifest(
            profile=profile,
            version=version,
            init=image.netboot.init,
            toplevel=image.netboot.init.removesuffix("/init"),
            architecture=image.kernel.architecture,
            files={**files, SCRIPT: _facts(script)},
            revision=record.revision if record else "",
            dirty=record.dirty if record else False,
            built=record.built if record else 0.0,
            deployed=now,
        )
        _write(staging / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        _sync(staging)
        os.rename(staging, store.versions_directory / version)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _sync(store.versions_directory)
    return manifest


def _copy(source: Path, target: Path, tick: Tick) -> FileFacts:
    with open(target, "xb") as file:
        os.fchmod(file.fileno(), 0o644)
        facts = hashed(source, tick, file.write)
        file.flush()
        os.fsync(file.fileno())
    return facts


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _linkable(store: Store, profile: str) -> None:
    link = store.images_directory / profile
    if link.exists() and not link.is_symlink():
        raise StoreError(
            f"{link} is a directory of somebody's own: it is not replaced",
            f"move it away, and deploy it from there: mv {link} DIR; plasmatui images deploy --profile {profile} DIR",
        )


def _activate(store: Store, profile: str, version: str, by: str, now: float) -> None:
    if store.active().get(profile, "") == version:
        return
    link, fresh = store.images_directory / profile, store.images_directory / f".{profile}.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(Path("..", store.versions_directory.name, version))
    os.replace(fresh, link)
    _sync(store.images_directory)
    try:
        history = store.history()
    except StoreError:  # what is served matters more than what was
        history = ()
    lines = (*history, Activation(profile, version, now, by))[-_HISTORY_LENGTH:]
    fresh = store.versions_directory / f"{HISTORY}.new"
    fresh.unlink(missing_ok=True)
    _write(fresh, msgspec.json.encode(lines) + b"\n")
    os.replace(fresh, store.versions_directory / HISTORY)
    _sync(store.versions_directory)


def _prune(store: Store, profile: str, keep: int, needed: set[str]) -> tuple[str, ...]:
    """Remove the oldest versions, never those that are served or would be after a rollback."""
    try:
        needed = {*needed, store.active().get(profile, ""), store.previous(profile)}
    except StoreError:  # without a history nobody knows which one a rollback needs
        return ()
    versions = store.versions(profile)
    doomed = [version for version in versions[max(keep, 1) :] if version.name not in needed]
    for version in doomed:
        gone = store.versions_directory / f"{_DOOMED}{version.name}"
        os.rename(version.directory, gone)
        shutil.rmtree(gone, ignore_errors=True)
    return tuple(version.name for version in doomed)


@contextlib.contextmanager
def locked(directory: Path, what: str) -> Iterator[None]:
    """Hold the lock of a directory.

    Raises:
        StoreError: another process holds it.
        OSError: it cannot be written there.
    """
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read(20).decode("ascii", "replace").strip()
            who = f", process {holder}" if holder.isdigit() else ""
            raise StoreError(f"{what} runs already{who}: {directory}", "wait for its end") from None
        file.truncate(0)
        with contextlib.suppress(OSError):  # of a full disk: it is for people only
            file.write(f"{os.getpid()}\n".encode())
            file.flush()
        yield


@contextlib.contextmanager
def _changing(store: Store) -> Iterator[None]:
    """Have the store for oneself, with what others left half-done removed; its errors in words."""
    try:
        for directory in (store.root, store.versions_directory, store.images_directory):
            _own_directory(store.root, directory)
        with locked(store.versions_directory, "another change of the images"):
            for each in store.versions_directory.iterdir():
                if each.name.startswith((_STAGING, _DOOMED)):
                    shutil.rmtree(each, ignore_errors=True)
            yield
    except OSError as error:
        where = error.filename or store.root
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreError(
                f"{where}: {error.strerror}: what was written of the image was removed again",
                "make room, or keep fewer versions: --keep N",
            ) from error
        raise StoreError(f"{where}: {error.strerror}", "run it as a user who may write there") from error


def _own_directory(root: Path, directory: Path) -> None:
    """Make a directory that servers can read; refuse one that leads elsewhere."""
    try:
        directory.mkdir(mode=0o755)
        os.chmod(directory, 0o755)  # noqa: S103 - servers run as other users
    except FileExistsError:
        inside = directory == root or directory.resolve() == root.resolve() / directory.name
        if not directory.is_dir() or not inside:
            raise StoreError(f"{directory} is no directory of its own: servers refuse what leads elsewhere") from None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
