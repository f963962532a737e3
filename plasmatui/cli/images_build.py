"""What `plasmatui images build` does: builds in this process, with nix's own progress; needs no engine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plasmatui.cli.engine_link import run_async
from plasmatui.cli.failure import FAILED, USAGE, Failure, code_of_results
from plasmatui.cli.images_list import size_words
from plasmatui.cli.output import LiveLine, clean, duration, json_error, note, print_json, result

if TYPE_CHECKING:
    from plasmatui.images import ProfileBuild
    from plasmatui.inventory.inventory import Inventory
    from plasmatui.pxe.assets import Manifest, Store


def build_images(inventory: Inventory, store: Store, profiles: tuple[str, ...], output: Path, *, as_json: bool) -> int:
    """Build the profiles' images, all for no profile; ctrl-c ends nix and leaves what was built before."""
    try:
        done = run_async(_build(inventory, store, profiles, output, as_json))
    except asyncio.CancelledError:  # the terminal is gone, or somebody ended us
        raise KeyboardInterrupt from None
    if as_json:
        print_json({"builds": {each.profile: _data(each, _active(store, each.profile)) for each in done}})
    return code_of_results(sum(each.image is None or not each.image.bootable for each in done), len(done))


async def _build(
    inventory: Inventory, store: Store, profiles: tuple[str, ...], output: Path, as_json: bool
) -> list[ProfileBuild]:
    from plasmatui.images import BuildsError, open_builder

    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):  # as ctrl-c: nix is in a session of its own
        loop.add_signal_handler(number, task.cancel)
    line = LiveLine()
    done: list[ProfileBuild] = []
    try:
        line.show("asking the flake for its images")
        try:
            builder = await open_builder(inventory)
        except BuildsError as error:
            line.clear()
            for text in error.evidence:
                note(clean(f"  {text}"))
            raise Failure(FAILED, str(error), f"plasmatui explain {error.id}") from None
        unknown = [profile for profile in profiles if profile not in builder.profiles]
        if unknown:
            line.clear()
            raise Failure(
                USAGE,
                clean(f"{builder.reference} has no image of {unknown[0]!a} (nixosConfigurations.netboot-PROFILE)"),
                clean(f"it has: {', '.join(builder.profiles)}"),
            )
        async for each in builder.build(profiles or builder.profiles, output, lambda profile: _shown(line, profile)):
            line.clear()
            done.append(each)
            if not as_json:
                _print(each, _active(store, each.profile))
    finally:
        line.clear()
    return done


def _shown(line: LiveLine, profile: str) -> Callable[[str, float | None], None]:
    def show(text: str, percent: float | None) -> None:
        line.show(f"{profile}: {'' if percent is None else f'{percent:.0f} % '}{text}")

    return show


def _active(store: Store, profile: str) -> Manifest | None:
    """What is served of a profile; None when nothing is, or it cannot be told."""
    from plasmatui.pxe.assets import StoreError

    try:
        return next((each.manifest for each in store.versions(profile) if each.active), None)
    except StoreError:
        return None


def _print(build: ProfileBuild, active: Manifest | None) -> None:
    from plasmatui.cli.images import check_lines

    if build.image is None:
        note(clean(f"{build.profile}: not built: {build.message}"))
        for text in build.evidence:
            note(clean(f"  {text}"))
        note(clean(f"  do: plasmatui explain {build.problem}; the log is {build.log}"))
        return
    image = build.image
    verdict = "built" if image.bootable else "built, but cannot be booted"
    result(clean(f"{build.profile}: {verdict} in {duration(build.seconds)}, in {build.directory}"))
    for name, facts in image.files.items():
        if name != "netboot.ipxe":
            result(f"  {name} {size_words(facts.size)}{_trend(name, facts.size, active)}")
    if image.netboot is not None:
        result(clean(f"  init={image.netboot.init}"))
    for text in check_lines(tuple(check for check in image.checks if check.ok is not True)):
        result(text)


def _trend(name: str, size: int, active: Manifest | None) -> str:
    """How a size differs from the version that is served."""
    before = active.files.get(name) if active is not None else None
    if before is None or not before.size:
        return ""
    if before.size == size:
        return ", as the active version"
    return f", {100 * (size - before.size) / before.size:+.1f} % against the active version's {size_words(before.size)}"


def _data(build: ProfileBuild, active: Manifest | None) -> dict[str, Any]:
    from plasmatui.cli.images import check_data

    image = build.image
    message = build.message
    if image is not None and not image.bootable:
        message = "; ".join(check.message for check in image.checks if check.ok is False)
    problem = build.problem or ("build-failed" if message else "")
    return {
        "ok": not problem,
        "seconds": round(build.seconds, 1),
        "directory": str(build.directory),
        "log": str(build.log),
        "active": None
        if active is None
        else {"version": active.version, "files": {name: facts.size for name, facts in active.files.items()}},
        "image": None if image is None else check_data(image),
        "evidence": list(build.evidence),
        "error": json_error(problem, message),
    }
