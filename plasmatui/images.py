"""Netboot images from the flake to a directory from which they are published: built by the room `nix`, looked at by the
room `pxe`.

    OUTPUT/PROFILE/    bzImage, initrd, netboot.ipxe: links to what was built
                       build.json, build.log; result*: keep the build from being collected as garbage
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.command import CommandError
from plasmatui.nix import flake
from plasmatui.nix.images import LOG, BuiltImage, ImageBuildError, build_image, flake_revision, image_profiles
from plasmatui.nix.tools import find_tool, tool_path
from plasmatui.pxe.assets import BUILD, INITRD, KERNEL, SCRIPT, BuildRecord, StoreError, profile_name
from plasmatui.pxe.imagecheck import Image, check_image
from plasmatui.pxe.publishing import locked

Progress = Callable[[str, float | None], None]
"""What is done now, and the percent of it, None where nothing can be counted."""


class BuildsError(Exception):
    """Nothing can be built; `id` of the finding that explains it, `evidence` shows it."""

    def __init__(self, problem: str, message: str, evidence: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.id = problem
        self.evidence = tuple(evidence)


@dataclass(frozen=True)
class ProfileBuild:
    """How the build of a profile's image ended.

    Attributes:
        image: what was built, with its checks; None when nothing was: `problem` is the finding, `message` says why.
        seconds: that it took.
    """

    profile: str
    directory: Path
    log: Path
    seconds: float
    image: Image | None
    problem: str = ""
    message: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Builder:
    """The inventory's flake, ready to build images of its `profiles`."""

    nix: str
    env: dict[str, str]
    reference: str
    profiles: tuple[str, ...]
    state: flake.Metadata

    async def build(
        self, profiles: Sequence[str], output: Path, on_progress: Callable[[str], Progress]
    ) -> AsyncIterator[ProfileBuild]:
        """Build one profile after the other; one that fails does not keep the next from being built."""
        for profile in profiles:
            yield await self._build(profile, output / profile, on_progress(profile))

    async def _build(self, profile: str, directory: Path, on_progress: Progress) -> ProfileBuild:
        begin = time.monotonic()

        def ended(image: Image | None, problem: str = "", message: str = "", lines: Sequence[str] = ()) -> ProfileBuild:
            took = time.monotonic() - begin
            return ProfileBuild(profile, directory, directory / LOG, took, image, problem, message, tuple(lines))

        try:
            await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
            with locked(directory, "another build of this image"):
                built = await build_image(
                    self.nix,
                    self.env,
                    self.reference,
                    profile,
                    directory,
                    lambda progress: on_progress(progress.text, progress.percent),
                )
                on_progress("looking at what was built", None)
                _lay_out(directory, built, self._record(profile, built))
                return ended(await _looked_at(directory))
        except ImageBuildError as error:
            return ended(None, error.id, str(error), error.evidence)
        except (CommandError, StoreError) as error:
            return ended(None, "build-failed", str(error))
        except OSError as error:
            return ended(None, "build-failed", f"{error.filename or directory}: {error.strerror}")

    def _record(self, profile: str, built: BuiltImage) -> BuildRecord:
        state = self.state
        return BuildRecord(
            profile=profile, toplevel=built.toplevel, revision=state.revision, dirty=state.dirty, built=time.time()
        )


async def open_builder(inventory: Inventory) -> Builder:
    """Ask the inventory's flake for its images.

    Raises:
        BuildsError: no nix, no flake, or a flake without images.
    """
    try:
        nix, reference = str(find_tool("nix", inventory)), flake.reference(inventory)
        env = {**os.environ, "PATH": tool_path(inventory)}
        profiles = await image_profiles(nix, env, reference)
        state = await flake_revision(nix, env, reference)
    except CommandError as error:
        raise BuildsError(error.id, str(error)) from error
    except ImageBuildError as error:
        raise BuildsError(error.id, str(error), error.evidence) from error
    except ValueError as error:
        raise BuildsError("install-flake-missing", str(error)) from error
    usable = tuple(profile for profile in profiles if _usable(profile))
    if not usable:
        raise BuildsError("install-flake-missing", f"{reference} has no nixosConfigurations.netboot-PROFILE")
    return Builder(nix, env, reference, usable, state)


async def _looked_at(directory: Path) -> Image:
    """The image in a directory, with its checks. Cancelled, the thread that reads it ends as well."""
    over = threading.Event()

    def tick(_: int) -> None:
        if over.is_set():
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))

    try:
        return await asyncio.to_thread(check_image, directory, tick)
    finally:
        over.set()


def _usable(profile: str) -> bool:
    try:
        return bool(profile_name(profile))
    except StoreError:
        return False


def _lay_out(directory: Path, built: BuiltImage, record: BuildRecord) -> None:
    """Give the parts their names; the script last, so that a build that is interrupted here does not pass for one."""
    fresh = directory / f".{BUILD}.new"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    os.replace(fresh, directory / BUILD)
    for name, target in ((KERNEL, built.kernel), (INITRD, built.initrd), (SCRIPT, built.script)):
        link = directory / f".{name}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        os.replace(link, directory / name)
