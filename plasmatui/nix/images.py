"""Building a profile's netboot image on this host: kernel, initrd, script and system of one build.

Attributes: nixpkgs, nixos/modules/installer/netboot/netboot.nix; a profile's image is the configuration
`netboot-PROFILE` of the flake.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from plasmatui.nix import flake
from plasmatui.nix.failures import explain
from plasmatui.nix.jsonlog import BuildLog, BuildProgress
from plasmatui.nix.programs import Ran, run_local
from plasmatui.nix.tools import OutputError

PREFIX: Final = "netboot-"
ATTRIBUTES: Final = ("toplevel", "kernel", "netbootRamdisk", "netbootIpxeScript")
KERNELS: Final = ("bzImage", "Image")
"""Names of a kernel's file: of x86, of arm64 (`boot.loader.kernelFile`)."""

EVAL_LIMIT: Final = 600.0
"""Seconds for asking the flake; large ones take minutes."""
BUILD_LIMIT: Final = 6 * 3600.0
"""Seconds for one image: with an empty store, kernels and compilers may have to be built."""

LINK: Final = "result"
LOG: Final = "build.log"

Progress = Callable[[BuildProgress], None]


class ImageBuildError(Exception):
    """An image was not built. `id`: of the finding that explains it; `evidence`: the lines that show it."""

    def __init__(self, problem: str, message: str, evidence: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.id = problem
        self.evidence = tuple(evidence)


@dataclass(frozen=True)
class BuiltImage:
    """Where the parts of an image are, and the store path of its system."""

    toplevel: str
    kernel: Path
    initrd: Path
    script: Path


def build_argv(nix: str, reference: str, profile: str, link: Path) -> tuple[str, ...]:
    """Build an image, with links that keep it from being collected as garbage.

    Raises:
        ValueError: the profile's name cannot be that of a configuration.
    """
    return (
        *(nix, *flake.FEATURES, "build", "--json", "--out-link", str(link), *flake.JSON_LOG),
        *(flake.attribute(reference, PREFIX + profile, "config", "system", "build", each) for each in ATTRIBUTES),
    )


async def image_profiles(nix: str, env: Mapping[str, str], reference: str) -> tuple[str, ...]:
    """The profiles for which the flake has an image.

    Raises:
        ImageBuildError: the flake cannot be evaluated.
        CommandError: nix cannot be started.
    """
    ran = await _run(flake.names_argv(nix, reference), env, BuildLog(), lambda _: None, EVAL_LIMIT)
    try:
        names = flake.parse_names(ran.out)
    except OutputError as error:
        raise ImageBuildError("build-failed", f"nix on this host: {error}") from error
    return tuple(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))


async def flake_revision(nix: str, env: Mapping[str, str], reference: str) -> flake.Metadata:
    """Which state of the flake it is; an empty one where nix does not tell."""
    try:
        ran = await _run(flake.metadata_argv(nix, reference), env, BuildLog(), lambda _: None, EVAL_LIMIT)
        return flake.parse_metadata(ran.out)
    except (ImageBuildError, OutputError):
        return flake.Metadata()


async def build_image(
    nix: str, env: Mapping[str, str], reference: str, profile: str, directory: Path, on_progress: Progress
) -> BuiltImage:
    """Build an image; links and log (`result*`, `build.log`) are in `directory`. Cancelled, nix is ended.

    Raises:
        ImageBuildError: it cannot be built, or nix built something else.
        CommandError: nix cannot be started.
        OSError: the log cannot be written.
    """
    try:
        argv = build_argv(nix, reference, profile, directory / LINK)
    except ValueError as error:
        raise ImageBuildError("install-flake-missing", f"profile {profile}: {error}") from error
    with _log_file(directory / LOG) as file:

        def line(text: str) -> None:
            file.write(f"{text}\n")
            file.flush()

        line(f"$ {shlex.join(argv)}")
        ran = await _run(argv, env, BuildLog(line), on_progress, BUILD_LIMIT)
    return find_parts(ran.out, directory)


def _log_file(path: Path) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


async def _run(argv: Sequence[str], env: Mapping[str, str], log: BuildLog, on_progress: Progress, limit: float) -> Ran:
    def take(data: bytes) -> None:
        log.feed(data)
        on_progress(log.progress)

    try:
        async with asyncio.timeout(limit):
            ran = await run_local(argv, env, take)
    except TimeoutError:
        failure = explain(None, "\n".join(log.tail))
        raise ImageBuildError(failure.id, f"after {limit:.0f} s: {failure.message}", failure.evidence) from None
    log.finish()
    if ran.code != 0:
        failure = explain(ran.code, "\n".join(log.tail))
        raise ImageBuildError(failure.id, failure.message, failure.evidence)
    return ran


def find_parts(output: bytes, directory: Path) -> BuiltImage:
    """Which of the links is what, from what nix printed and what they lead to; nix need not keep the order.

    Raises:
        ImageBuildError: something is missing.
    """
    try:
        paths = flake.parse_outputs(output)
    except OutputError as error:
        raise ImageBuildError("build-failed", f"nix on this host: {error}") from error
    systems = [path for path in paths if "-nixos-system-" in path]
    if len(systems) != 1:
        raise ImageBuildError("build-failed", f"nix built {len(systems)} systems, expected one")
    names = {path.rpartition("/")[2] for path in paths}
    parts = [
        real
        for link in sorted(directory.glob(f"{LINK}*"))
        if link.is_symlink() and (real := link.resolve()).name in names and not systems[0].endswith(f"/{real.name}")
    ]

    def part(what: str, *files: str) -> Path:
        found = [path for each in parts for file in files if (path := each / file).is_file()]
        if len(found) != 1:
            raise ImageBuildError("build-failed", f"nix built {len(found)} {what} ({' or '.join(files)}), expected one")
        return found[0]

    return BuiltImage(
        systems[0], part("kernels", *KERNELS), part("initrds", "initrd"), part("boot scripts", "netboot.ipxe")
    )
