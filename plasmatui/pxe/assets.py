"""The store of published netboot images below the HTTP root: what is there, and what is served.

    versions/PROFILE.TIME-HASH/   bzImage, initrd, netboot.ipxe, manifest.json: one build, never changed
    nixos/PROFILE                 link to the version that machines of the profile boot
    versions/.history.json        which version was served from when

A version's `netboot.ipxe` names its kernel and its initrd by version, so that a machine that has begun to boot gets all
of one build, whatever is activated meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from plasmatui.pxe.bootfiles import CHUNK, Tick
from plasmatui.pxe.netboot import Netboot
from plasmatui.pxe.site import IMAGES

T = TypeVar("T")

VERSIONS: Final = "versions"
MANIFEST: Final = "manifest.json"
BUILD: Final = "build.json"
"""Beside the files of a build that is not published: what is known of it."""
HISTORY: Final = ".history.json"
KERNEL, INITRD, SCRIPT = "bzImage", "initrd", "netboot.ipxe"
"""Names under which boot scripts ask for the files, whatever the build calls its kernel."""
BUILT_KERNELS: Final = (KERNEL, "Image")

_NAME: Final = re.compile(r"(?P<profile>[A-Za-z0-9][A-Za-z0-9._-]{0,62})\.(?P<id>\d{8}T\d{6}Z-[0-9a-f]{8})")
_PROFILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LARGEST_RECORD: Final = 1 << 22


class StoreError(Exception):
    """The store cannot do what was asked; the message says why, `hint` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class FileFacts(msgspec.Struct, frozen=True):
    """A file's size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


class BuildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a build.

    Attributes:
        toplevel: store path of the system; its `init` is what the script must start.
        revision: of the flake in git, empty when not known; dirty: with changes that are not committed.
        built: Unix seconds, 0 when not known.
    """

    profile: str
    toplevel: str
    revision: str = ""
    dirty: bool = False
    built: float = 0.0
    schema: int = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a published version is. See `BuildRecord`; `deployed`: Unix seconds; `files` by name."""

    profile: str
    version: str
    init: str
    toplevel: str
    architecture: str
    files: dict[str, FileFacts]
    revision: str = ""
    dirty: bool = False
    built: float = 0.0
    deployed: float = 0.0
    schema: int = 1

    @property
    def boot_size(self) -> int:
        """Bytes that a machine fetches: kernel and initrd."""
        return sum(self.files[name].size for name in (KERNEL, INITRD) if name in self.files)


class Activation(msgspec.Struct, frozen=True):
    """A version was served from `at` (Unix seconds) on; `by`: "activate" or "rollback"."""

    profile: str
    version: str
    at: float
    by: str = "activate"


@dataclass(frozen=True)
class Version:
    """A version in the store. `manifest` is None when it cannot be read: `problem` says why."""

    name: str
    profile: str
    directory: Path
    active: bool
    manifest: Manifest | None
    problem: str = ""


def profile_name(text: str) -> str:
    """A profile's name as it may stand in a path. Raises StoreError."""
    if not _PROFILE.fullmatch(text):
        raise StoreError(f"found the profile {text[:80]!a}, expected letters, digits, '.', '_' and '-'")
    return text


def split_name(name: str) -> tuple[str, str] | None:
    """Profile and the rest of a version's name; None when it is none."""
    found = _NAME.fullmatch(name)
    return (found["profile"], found["id"]) if found else None


def version_of_path(path: str) -> str:
    """The version that a URL or path leads into; empty when it names none."""
    found = re.search(rf"/{VERSIONS}/({_NAME.pattern})/", path)
    return found[1] if found else ""


class Store:
    """The images below an HTTP root. Reads only; `plasmatui.pxe.publishing` changes it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.versions_directory = root / VERSIONS
        self.images_directory = root / IMAGES

    def versions(self, profile: str = "") -> tuple[Version, ...]:
        """All versions by profile, the newest of each first.

        Raises:
            StoreError: the store cannot be read.
        """
        active = self.active()
        names = [name for name in self._listed(self.versions_directory) if split_name(name)]
        found = [self._version(name, active) for name in sorted(names, reverse=True)]
        return tuple(
            sorted((each for each in found if profile in ("", each.profile)), key=lambda version: version.profile)
        )

    def active(self) -> Mapping[str, str]:
        """The version that is served, by profile; empty for what is no version of this store.

        Raises:
            StoreError: the store cannot be read.
        """
        found: dict[str, str] = {}
        for profile in self._listed(self.images_directory):
            if not profile.startswith("."):
                try:
                    target = Path(os.readlink(self.images_directory / profile))
                except OSError:  # somebody's own directory
                    found[profile] = ""
                    continue
                ours = target.parent == Path("..", VERSIONS) and split_name(target.name) is not None
                found[profile] = target.name if ours else ""
        return found

    def find(self, name: str) -> Version:
        """A version by its name, or by the part of it that follows the profile.

        Raises:
            StoreError: there is none, or there are several.
        """
        versions = self.versions()
        found = [each for each in versions if name in (each.name, each.name.removeprefix(f"{each.profile}."))]
        if len(found) == 1:
            return found[0]
        if found:
            raise StoreError(f"{name} is a version of several profiles", f"one of: {', '.join(x.name for x in found)}")
        raise StoreError(f"there is no version {name[:100]!a} in {self.versions_directory}", "plasmatui images list")

    def history(self) -> tuple[Activation, ...]:
        """What was served when, oldest first. Raises StoreError: it is damaged."""
        path = self.versions_directory / HISTORY
        try:
            return read_record(path, tuple[Activation, ...])
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error

    def previous(self, profile: str) -> str:
        """The version that a rollback serves: the one before the active one, without those that were rolled back
        from or are gone; empty when there is none.

        Raises:
            StoreError: the history is damaged.
        """
        stack: list[str] = []
        for each in self.history():
            if each.profile != profile:
                continue
            if each.by == "rollback" and each.version in stack:
                del stack[stack.index(each.version) + 1 :]
            elif not stack or stack[-1] != each.version:
                stack.append(each.version)
        active = self.active().get(profile, "")
        here = {version.name for version in self.versions(profile)}
        return next((name for name in reversed(stack) if name != active and name in here), "")

    def _version(self, name: str, active: Mapping[str, str]) -> Version:
        profile = (split_name(name) or ("", ""))[0]
        directory = self.versions_directory / name
        manifest, problem = None, ""
        try:
            manifest = read_record(directory / MANIFEST, Manifest)
            if (manifest.version, manifest.profile) != (name, profile):
                manifest, problem = None, f"{directory / MANIFEST} is of another version"
        except FileNotFoundError:
            problem = f"{directory / MANIFEST} is missing"
        except (OSError, StoreError) as error:
            problem = str(error)
        return Version(name, profile, directory, active.get(profile) == name, manifest, problem)

    def _listed(self, directory: Path) -> list[str]:
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{directory} cannot be read: {error.strerror}", "run it as a user who may") from error


def damage(version: Version) -> str:
    """Why a version cannot be booted, as far as the sizes of its files tell; "" when they are as the manifest says."""
    if version.manifest is None:
        return version.problem
    for name, facts in version.manifest.files.items():
        path = version.directory / name
        try:
            size = path.stat().st_size
        except OSError as error:
            return f"{path}: {error.strerror}"
        if size != facts.size:
            return f"{name} has {size} bytes, the manifest says {facts.size}"
    return ""


def active_at(history: Sequence[Activation], profile: str, wall: float) -> str:
    """The version that was served at a time; empty when the history does not go back so far."""
    return next((each.version for each in reversed(history) if each.profile == profile and each.at <= wall), "")


def read_record(path: Path, kind: type[T]) -> T:
    """A JSON file of the store.

    Raises:
        OSError: it cannot be read.
        StoreError: it is damaged, no regular file, or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_size > _LARGEST_RECORD:
            raise StoreError(f"{path} is damaged: it is no file of at most {_LARGEST_RECORD >> 20} MiB")
        data = file.read(_LARGEST_RECORD)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}", "deploy the image again") from error


def hashed(path: Path, tick: Tick, write: Callable[[bytes], object] = lambda _: None) -> FileFacts:
    """Size and SHA-256 of a file, read once; `write` gets its bytes. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
            write(data)
            size += len(data)
            tick(len(data))
    return FileFacts(size, digest.hexdigest())


def script_of(version: str, image: Netboot) -> str:
    """The `netboot.ipxe` of a version, as `plasmatui.pxe.netboot` reads it.

    Its URLs are relative (RFC 3986 section 5.2) to its own, and lead to the version from `nixos/PROFILE/` as well as
    from `versions/VERSION/`. A script that chains to it may set `cmdline`.
    """
    at = f"../../{VERSIONS}/{version}"
    arguments = " ".join((f"init={image.init}", "initrd=initrd", *image.parameters, "${cmdline}"))
    return f"#!ipxe\n# Image {version}\nkernel {at}/{KERNEL} {arguments}\ninitrd --name initrd {at}/{INITRD}\nboot\n"
