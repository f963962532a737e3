"""`plasmatui images`: the netboot images of the profiles, from the flake to the HTTP root, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plasmatui.cli.failure import DONE, FAILED, REFUSED, SOME_FAILED, USAGE, Failure
from plasmatui.cli.output import LiveLine, clean, note, print_json, result
from plasmatui.cli.settings import Settings

if TYPE_CHECKING:
    from plasmatui.inventory.inventory import Inventory
    from plasmatui.pxe.assets import Store
    from plasmatui.pxe.bootfiles import Tick
    from plasmatui.pxe.imagecheck import Check, Image

_directory = click.Path(path_type=Path, file_okay=False)
_root = click.option("--root", type=_directory, metavar="DIR", help="HTTP root instead of the inventory's pxe.assets.")
_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@click.group()
def images() -> None:
    """Build, check and publish the netboot images of the profiles."""


def inventory_of(settings: Settings) -> Inventory:
    """The inventory. Raises Failure: it is wrong."""
    from plasmatui.cli.check import refuse_wrong_inventory
    from plasmatui.inventory.loader import load

    path = settings.inventory_path()
    refuse_wrong_inventory(path)
    return load(path)


def store_of(settings: Settings, root: Path | None) -> Store:
    """The images below the HTTP root. Raises Failure: the inventory is needed and wrong."""
    from plasmatui.pxe.assets import Store

    return Store(root.absolute() if root is not None else Path(inventory_of(settings).pxe.assets))


def builds_of(settings: Settings) -> Path:
    """Where builds of the inventory's images are."""
    from plasmatui.paths import engine_paths

    return engine_paths(settings.inventory_path()).state / "images"


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Let the store's errors end the command."""
    from plasmatui.pxe.assets import StoreError
    from plasmatui.pxe.publishing import NotBootableError

    try:
        yield
    except NotBootableError as error:
        raise Failure(REFUSED, f"nothing was changed: {error}", error.hint) from None
    except StoreError as error:
        raise Failure(FAILED, str(error), error.hint) from None
    except OSError as error:
        raise Failure(FAILED, f"{error.filename}: {error.strerror}", "run it as a user who may") from None


@contextlib.contextmanager
def shown_bytes(what: str, total: int) -> Iterator[Tick]:
    """A live line with how far the bytes of `what` are; `total` 0: not known."""
    line, done = LiveLine(), 0

    def tick(size: int) -> None:
        nonlocal done
        done += size
        percent = f"{min(100, 100 * done // total)} %, " if total else ""
        line.show(f"{what}: {percent}{done / 1e6:.0f} MB read")

    try:
        yield tick
    finally:
        line.clear()


def check_data(image: Image) -> dict[str, Any]:
    """An image's checks as `--json` shows them."""
    return {
        "bootable": image.bootable,
        "init": image.netboot.init if image.netboot else None,
        "architecture": image.kernel.architecture if image.kernel else None,
        "files": {name: {"size": facts.size, "sha256": facts.sha256} for name, facts in image.files.items()},
        "checks": [{"name": check.name, "ok": check.ok, "message": check.message} for check in image.checks],
    }


def check_lines(checks: tuple[Check, ...]) -> list[str]:
    """Checks as people read them."""
    glyphs = {True: "+ ok     ", False: "x wrong  ", None: "! note   "}
    return [clean(f"  {glyphs[check.ok]}{check.name}: {check.message}") for check in checks]


@images.command()
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...")
@click.option("-o", "--output", type=_directory, metavar="DIR", help="Where to keep builds, by profile.")
@_json
@click.pass_obj
def build(settings: Settings, profiles: tuple[str, ...], output: Path | None, as_json: bool) -> int:
    """Build the profiles' netboot images from the inventory's flake, all without PROFILE.

    Runs nix in this process; ctrl-c ends it. What was built is looked at and compared with the active version, and not
    published: that is `deploy`.
    """
    from plasmatui.cli.images_build import build_images
    from plasmatui.pxe.assets import Store

    inventory = inventory_of(settings)
    place = output.absolute() if output is not None else builds_of(settings)
    return build_images(inventory, Store(Path(inventory.pxe.assets)), profiles, place, as_json=as_json)


@images.command("list")
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...")
@click.option(
    "--plan", "nodes", type=click.IntRange(1, 100_000), metavar="N", help="Seconds in which N nodes fetch them."
)
@_root
@_json
@click.pass_obj
def list_(settings: Settings, profiles: tuple[str, ...], nodes: int | None, root: Path | None, as_json: bool) -> int:
    """List published versions: which one is active, its size and age, and which node booted it last.

    With an inventory and an engine that runs; without, the nodes' versions are unknown. Starts no engine.
    """
    from plasmatui.cli.images_list import booted_versions, print_versions, version_data

    named = settings.inventory is not None or settings.sim is not None
    inventory = inventory_of(settings) if named or root is None or nodes is not None else None
    store = store_of(settings, root)
    with told():
        versions = [each for each in store.versions() if not profiles or each.profile in profiles]
        own = sorted(profile for profile, name in store.active().items() if not name)
    booted = booted_versions(settings, store) if inventory is not None else None
    rate = inventory.policy.bandwidth if inventory is not None else 0
    if nodes is not None and not rate:
        note("plasmatui: the inventory's policy has no bandwidth: --plan cannot tell seconds")
    if as_json:
        print_json(
            {
                "root": str(store.root),
                "versions": [version_data(each, booted, nodes, rate) for each in versions],
                "unmanaged": own,
                "nodes": None if booted is None else dict(booted),
            }
        )
        return DONE
    for profile in own:
        note(clean(f"plasmatui: {store.images_directory / profile} is no version of this store: it is left alone"))
    if not versions:
        result(clean(f"no versions in {store.versions_directory}"))
        return DONE
    print_versions(versions, booted, nodes, rate)
    return DONE


@images.command()
@click.argument("targets", nargs=-1, metavar="[DIR|VERSION]...")
@_root
@_json
@click.pass_obj
def verify(settings: Settings, targets: tuple[str, ...], root: Path | None, as_json: bool) -> int:
    """Look at images byte for byte: kernel, initrd to its end, script, manifest, modes.

    A directory with a build, or published versions; without any, those that are active and the boot script that is
    rendered. Unpacks nothing to disk and changes nothing.
    """
    from plasmatui.pxe.imagecheck import check_boot_script, check_image, check_version

    directories = [Path(each) for each in targets if "/" in each or Path(each).is_dir()]
    names = [each for each in targets if Path(each) not in directories]
    found: dict[str, Image] = {}
    script: list[Check] = []
    with told(), shown_bytes("images", 0) as tick:
        for directory in directories:
            if not directory.is_dir():
                raise Failure(USAGE, f"{directory} is no directory", "name a build's directory, or a version")
            found[str(directory)] = check_image(directory, tick)
        if names or not targets:
            store = store_of(settings, root)
            versions = [store.find(each) for each in names] or [each for each in store.versions() if each.active]
            found |= {version.name: check_version(store, version, tick) for version in versions}
            script = check_boot_script(store) if not targets else []
    if as_json:
        print_json(
            {
                "images": {name: check_data(image) for name, image in found.items()},
                "boot_script": [{"ok": check.ok, "message": check.message} for check in script],
            }
        )
    else:
        for name, image in found.items():
            result(clean(f"{name}: {'can be booted' if image.bootable else 'cannot be booted'}"))
            result("\n".join(check_lines(image.checks)))
        if script:
            result("boot script:\n" + "\n".join(check_lines(tuple(script))))
        if not found:
            note("plasmatui: no version is active")
    wrong = sum(not image.bootable for image in found.values())
    if any(check.ok is False for check in script):
        return FAILED
    return FAILED if wrong and wrong == len(found) else SOME_FAILED if wrong else DONE


@images.command()
@click.argument("sources", nargs=-1, metavar="[PROFILE|DIR]...")
@click.option("--profile", default="", metavar="PROFILE", help="Whose image it is, where its directory does not tell.")
@click.option("--keep", type=click.IntRange(1, 1000), default=5, show_default=True, help="Versions to keep.")
@click.option("--no-activate", is_flag=True, help="Publish only: machines go on booting the active version.")
@_root
@_json
@click.pass_obj
def deploy(
    settings: Settings,
    sources: tuple[str, ...],
    profile: str,
    keep: int,
    no_activate: bool,
    root: Path | None,
    as_json: bool,
) -> int:
    """Publish images below the HTTP root, each as a version of its own, and let machines boot them.

    PROFILE is one that `images build` has built, DIR a directory with bzImage, initrd and netboot.ipxe; without any,
    all builds. What cannot be booted is refused, and nothing is ever half-deployed.
    """
    _writable(settings)
    from plasmatui.pxe.publishing import Deployed
    from plasmatui.pxe.publishing import deploy as publish

    directories = _sources(settings, sources)
    if profile and len(directories) != 1:
        raise Failure(USAGE, "--profile names whose one image it is", "deploy one DIR at a time")
    store = store_of(settings, root)
    done: list[Deployed] = []
    for directory in directories:
        with told(), shown_bytes(f"{directory.name}", _work(directory)) as tick:
            done.append(publish(store, directory, profile, activate=not no_activate, keep=keep, tick=tick))
        if not as_json:
            each = done[-1]
            result(clean(f"{each.profile}: {_deployed_words(each)}"))
    if as_json:
        print_json(
            {
                "deployed": [
                    {
                        "profile": each.profile,
                        "version": each.version,
                        "existed": each.existed,
                        "active": each.active,
                        "before": each.before or None,
                        "removed": list(each.removed),
                    }
                    for each in done
                ]
            }
        )
    if not no_activate:
        _warn_of_script(store)
    return DONE


def _deployed_words(each: Any) -> str:
    words = f"{each.version} {'was there already' if each.existed else 'published'}"
    if each.active:
        words += f", active{f' (before: {each.before})' if each.before and each.before != each.version else ''}"
    return words + (f", removed {', '.join(each.removed)}" if each.removed else "")


def _writable(settings: Settings) -> None:
    from plasmatui.cli.engine_link import require_writable

    require_writable(settings)


def _work(directory: Path) -> int:
    """Bytes that a deployment reads: twice to look at it, once to copy it."""
    with contextlib.suppress(OSError):
        return 3 * sum(
            path.stat().st_size for path in directory.iterdir() if path.name in ("bzImage", "Image", "initrd")
        )
    return 0


def _sources(settings: Settings, sources: tuple[str, ...]) -> list[Path]:
    """The directories that are meant. Raises Failure: one is not there."""
    found = []
    for source in sources:
        builds = builds_of(settings) if "/" not in source else None
        places = [Path(source)] if builds is None else [builds / source, Path(source)]
        directory = next((place for place in places if (place / "netboot.ipxe").exists()), None)
        if directory is None:
            where = " or ".join(str(place) for place in places)
            raise Failure(USAGE, f"no image in {where}", f"plasmatui images build {source if builds else ''}".rstrip())
        found.append(directory)
    if not sources:
        builds = builds_of(settings)
        found = sorted(path.parent for path in builds.glob("*/netboot.ipxe"))
        if not found:
            raise Failure(USAGE, f"nothing is built in {builds}", "plasmatui images build")
    return found


@images.command()
@click.argument("version", metavar="VERSION")
@_root
@_json
@click.pass_obj
def activate(settings: Settings, version: str, root: Path | None, as_json: bool) -> int:
    """Let the machines of its profile boot VERSION from now on, in one step."""
    _writable(settings)
    from plasmatui.pxe.publishing import activate as switch

    store = store_of(settings, root)
    with told():
        found = store.find(version)
        before = switch(store, found)
    return _switched(store, found.profile, before, found.name, as_json)


@images.command()
@click.argument("profile", metavar="PROFILE")
@_root
@_json
@click.pass_obj
def rollback(settings: Settings, profile: str, root: Path | None, as_json: bool) -> int:
    """Let the machines of PROFILE boot the version that was active before, in one step."""
    _writable(settings)
    from plasmatui.pxe.publishing import rollback as switch_back

    store = store_of(settings, root)
    with told():
        before, after = switch_back(store, profile)
    return _switched(store, profile, before, after, as_json)


def _switched(store: Store, profile: str, before: str, after: str, as_json: bool) -> int:
    if as_json:
        print_json({"profile": profile, "before": before or None, "active": after})
    else:
        result(clean(f"{profile}: {before or 'nothing'} -> {after}"))
    _warn_of_script(store)
    return DONE


def _warn_of_script(store: Store) -> None:
    """Say when the rendered boot script does not go with what is active now."""
    from plasmatui.pxe.assets import StoreError
    from plasmatui.pxe.imagecheck import check_boot_script

    with contextlib.suppress(OSError, StoreError):
        for check in check_boot_script(store):
            if check.ok is False or (check.ok is None and "not active" in check.message):
                note(clean(f"plasmatui: warning: {check.message}"))
