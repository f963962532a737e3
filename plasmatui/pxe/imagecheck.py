"""Whether an image can be booted: kernel, initrd, script and manifest, each for itself and with each other."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plasmatui.pxe.assets import (
    BUILD,
    BUILT_KERNELS,
    INITRD,
    KERNEL,
    MANIFEST,
    SCRIPT,
    BuildRecord,
    FileFacts,
    Manifest,
    Store,
    StoreError,
    Version,
    hashed,
    read_record,
    version_of_path,
)
from plasmatui.pxe.bootfiles import LARGE_INITRD, LARGEST_INITRD, ImageError, Kernel, Tick, read_initrd, read_kernel
from plasmatui.pxe.netboot import Netboot, NetbootError, parse_netboot
from plasmatui.pxe.site import IMAGES
from plasmatui.pxe.site import SCRIPT as BOOT_SCRIPT

_FETCHES: Final = re.compile(r"^(?:kernel|initrd(?: --name \S+)?|chain) \$\{base\}/(?P<path>\S+)(?P<rest>.*)$", re.M)
_INIT: Final = re.compile(r"(?:^|\s)init=(\S+)")


@dataclass(frozen=True)
class Check:
    """What was looked at. `ok` is False when it keeps machines from booting, None when a person should know it."""

    name: str
    ok: bool | None
    message: str


@dataclass(frozen=True)
class Image:
    """An image as its files tell it; what cannot be read is None.

    Attributes:
        files: size and hash by the names under which they are published.
        checks: all, in the order in which they were made.
    """

    directory: Path
    kernel: Kernel | None
    netboot: Netboot | None
    record: BuildRecord | None
    files: dict[str, FileFacts]
    checks: tuple[Check, ...]

    @property
    def bootable(self) -> bool:
        return all(check.ok is not False for check in self.checks)


def kernel_path(directory: Path) -> Path:
    """The kernel of a directory, under whichever name builds give it; the usual one when there is none."""
    return next((path for name in BUILT_KERNELS if (path := directory / name).exists()), directory / KERNEL)


def check_image(directory: Path, tick: Tick = lambda _: None) -> Image:
    """Look at an image in a directory: a build's, a version's, or one that somebody copied there.

    Raises:
        OSError: a file cannot be read (a missing one is a check that failed).
    """
    checks: list[Check] = []
    files: dict[str, FileFacts] = {}

    def look(name: str, path: Path, read: Callable[[Path], str]) -> None:
        try:
            said = read(path)
            files[name] = hashed(path, tick)
        except (FileNotFoundError, NotADirectoryError):
            checks.append(Check(name, False, f"{path} is missing"))
        except IsADirectoryError:
            checks.append(Check(name, False, f"{path} is a directory"))
        except ImageError as error:
            checks.append(Check(name, False, f"{path}: {error}"))
        else:
            checks.append(Check(name, True, f"{files[name].size} bytes, {said}"))

    found = _Found()
    look(KERNEL, kernel_path(directory), found.read_kernel)
    look(INITRD, directory / INITRD, lambda path: found.read_initrd(path, tick))
    look(SCRIPT, directory / SCRIPT, found.read_script)
    checks += found.remarks(files)
    record = _record(directory, checks)
    if record is not None and record.toplevel and found.netboot is not None:
        right = found.netboot.init == f"{record.toplevel}/init"
        said = "is the toplevel's" if right else f"is {found.netboot.init}, but the system is {record.toplevel}"
        checks.append(Check("init", right, f"init= of the script {said}"))
    return Image(directory, found.kernel, found.netboot, record, files, tuple(checks))


class _Found:
    """What the files tell beside that they are right."""

    def __init__(self) -> None:
        self.kernel: Kernel | None = None
        self.netboot: Netboot | None = None

    def read_kernel(self, path: Path) -> str:
        with open(path, "rb") as file:
            self.kernel = read_kernel(file, os.fstat(file.fileno()).st_size)
        return f"{self.kernel.architecture} kernel{' with EFI stub' if self.kernel.efi else ''}"

    def read_initrd(self, path: Path, tick: Tick) -> str:
        with open(path, "rb") as file:
            parts = read_initrd(file, os.fstat(file.fileno()).st_size, tick)
        return f"whole: {' + '.join(parts)}"

    def read_script(self, path: Path) -> str:
        with open(path, "rb") as file:
            text = file.read(1 << 20).decode("utf-8", "replace")
        if not text.startswith("#!ipxe"):
            raise ImageError("it is no iPXE script: it does not begin with #!ipxe")
        try:
            self.netboot = parse_netboot(text)
        except NetbootError as error:
            raise ImageError(str(error)) from error
        return f"init={self.netboot.init}"

    def remarks(self, files: dict[str, FileFacts]) -> list[Check]:
        remarks = []
        if self.kernel is not None and not self.kernel.efi:
            remarks.append(Check("efi", None, "the kernel has no EFI stub: only BIOS machines can boot it"))
        if (initrd := files.get(INITRD)) is not None and initrd.size >= LARGEST_INITRD:
            remarks.append(Check("size", False, "the initrd has 4 GiB or more, of which machines silently get less"))
        elif initrd is not None and initrd.size >= LARGE_INITRD:
            remarks.append(Check("size", None, "the initrd has 2 GiB or more, which some loaders cannot hold"))
        return remarks


def _record(directory: Path, checks: list[Check]) -> BuildRecord | None:
    try:
        return read_record(directory / BUILD, BuildRecord)
    except FileNotFoundError:
        return None
    except StoreError as error:
        checks.append(Check(BUILD, False, str(error)))
        return None


def check_version(store: Store, version: Version, tick: Tick = lambda _: None) -> Image:
    """Look at a published version: its image, whether it is what its manifest says, and whether it can be served.

    Raises:
        OSError: a file cannot be read.
    """
    image = check_image(version.directory, tick)
    checks = list(image.checks)
    if version.manifest is None:
        checks.append(Check(MANIFEST, False, version.problem))
    else:
        checks += _against(version.manifest, image)
    checks += check_served(store.root, [version.directory / name for name in (KERNEL, INITRD, SCRIPT)])
    return Image(image.directory, image.kernel, image.netboot, image.record, image.files, tuple(checks))


def _against(manifest: Manifest, image: Image) -> list[Check]:
    checks = []
    for name in (KERNEL, INITRD, SCRIPT):
        said, found = manifest.files.get(name), image.files.get(name)
        if said is None:
            checks.append(Check(MANIFEST, False, f"the manifest does not name {name}"))
        elif found is not None and said.size != found.size:
            checks.append(Check(MANIFEST, False, f"{name} has {found.size} bytes, the manifest says {said.size}"))
        elif found is not None and said.sha256 != found.sha256:
            checks.append(Check(MANIFEST, False, f"{name} was changed: its SHA-256 is not the manifest's"))
    init = image.netboot.init if image.netboot is not None else ""
    if init and (init != manifest.init or (manifest.toplevel and init != f"{manifest.toplevel}/init")):
        checks.append(Check("init", False, f"init= of the script is {init}, the manifest says {manifest.init}"))
    return checks or [Check(MANIFEST, True, "sizes, SHA-256 and init= are the manifest's")]


def check_served(root: Path, paths: list[Path]) -> list[Check]:
    """Whether a server that runs as another user can read the files, and whether they lie below the root."""
    checks: list[Check] = []
    real_root = os.path.realpath(root)
    seen: set[Path] = set()
    for path in paths:
        real = os.path.realpath(path)
        if os.path.commonpath([real, real_root]) != real_root:
            checks.append(Check("place", False, f"{path} leads to {real}, out of {root}: servers refuse that"))
            continue
        for each in (path, *path.parents):
            if each in seen or not each.is_relative_to(root):
                break
            seen.add(each)
            try:
                mode = os.stat(each).st_mode
            except OSError:  # missing, which is a check of its own
                continue
            wanted = 0o005 if stat.S_ISDIR(mode) else 0o004
            if mode & wanted != wanted:
                kind = "a+rx" if stat.S_ISDIR(mode) else "a+r"
                checks.append(Check("mode", False, f"{each} is not readable for servers: chmod {kind} {each}"))
    return checks or [Check("mode", True, "readable for servers, inside the HTTP root")]


def check_boot_script(store: Store) -> list[Check]:
    """Whether the rendered boot script asks for files that are there, of one version each.

    Raises:
        OSError, StoreError: script or store cannot be read.
    """
    path = store.root / BOOT_SCRIPT
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return [Check("boot-script", None, f"there is no {path}: the boot service makes its own, others need one")]
    active, checks = store.active(), []
    for found in _FETCHES.finditer(text):
        asked = found["path"]
        # profiles stand in the script for which nobody has built an image: chosen by hand, they fail
        of_profile = asked.split("/")[1] if asked.startswith(f"{IMAGES}/") and asked.count("/") > 1 else ""
        if of_profile and of_profile not in active:
            checks.append(Check("boot-script", None, f"asks for {asked}: no image of {of_profile} is deployed"))
        elif not (store.root / asked).is_file():
            checks.append(Check("boot-script", False, f"{path} asks for {asked}, which is missing"))
        elif init := _INIT.search(found["rest"]):
            checks += _same_init(store, path, asked, init[1])
    return checks or [Check("boot-script", True, f"what {path} asks for is there")]


def _same_init(store: Store, script: Path, asked: str, init: str) -> list[Check]:
    beside = (store.root / asked).parent / SCRIPT
    try:
        right = parse_netboot(beside.read_text("utf-8", "replace")).init
    except (OSError, NetbootError):
        return []
    if right != init:
        return [
            Check("boot-script", False, f"{script} starts {init} with {asked}, which needs {right}: render it again")
        ]
    version = version_of_path(f"/{asked}")
    if version and version not in store.active().values():
        return [Check("boot-script", None, f"{script} boots {version}, which is not active: render it again")]
    return []
