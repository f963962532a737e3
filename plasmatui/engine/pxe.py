"""The PXE side for clients: services, published images, drift. Only looked at when somebody asks."""

from __future__ import annotations

import asyncio
import importlib
import os
import shlex
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plasmatui.engine.boots import BootWatch
from plasmatui.engine.checks import ChecksDesk, import_rooms
from plasmatui.engine.ports import ProblemError
from plasmatui.engine.redact import Redactor
from plasmatui.engine.session import Session
from plasmatui.engine.shared import Shared
from plasmatui.engine.store import Store
from plasmatui.inventory.inventory import Inventory, InventoryError
from plasmatui.model import wire
from plasmatui.text import clean_line

if TYPE_CHECKING:
    from plasmatui.pxe.drift import Compared
    from plasmatui.pxe.rendering import Prepared
    from plasmatui.pxe.stock import Verified

SERVICES_AGE, IMAGES_AGE, DRIFT_AGE = 15.0, 5.0, 5.0
"""Seconds that an answer is good for: services write a line into their logs for each question."""
LIMIT: Final = 30.0
PROGRESS: Final = 0.5
"""Seconds between two words on how far a reading is."""
MOST_FILES: Final = 300
MOST_LINES: Final = 4000
LONGEST: Final = 2000
"""Files of a drift that are named; lines of a diff and characters of a line that are told."""

_ROOMS = ("plasmatui.pxe.stock", "plasmatui.pxe.publishing", "plasmatui.pxe.rendering", "plasmatui.pxe.drift")


class PxeDesk:
    """Answers the requests of `model.pxe`."""

    def __init__(self, store: Store, boots: BootWatch, checks: ChecksDesk, inventory: Callable[[], Inventory]) -> None:
        self._store = store
        self._boots = boots
        self._checks = checks
        self._inventory = inventory
        self._verified: dict[str, Verified] = {}
        self._services = Shared("PXE services", self._look_services, SERVICES_AGE, LIMIT)
        self._images = Shared("images", self._look_images, IMAGES_AGE, LIMIT)
        self._drift = Shared("drift", self._look_drift, DRIFT_AGE, LIMIT)
        self.handlers: dict[type, Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]] = {
            wire.AskPxeServices: lambda _, __, body: self._services.get(fresh=body.fresh),
            wire.AskImages: lambda _, __, body: self._images.get(fresh=body.fresh),
            wire.AskDrift: lambda _, __, body: self._drift.get(fresh=body.fresh),
            wire.AskDriftDiff: self._diff,
            wire.VerifyImage: self._verify,
            wire.ActivateImage: self._activate,
            wire.RollBackImage: self._roll_back,
        }

    async def close(self) -> None:
        """Leave what is looked at."""
        await asyncio.gather(*(each.close() for each in (self._services, self._images, self._drift)))

    # --- services -------------------------------------------------------------------------------------------------

    async def _look_services(self) -> wire.PxeServices:
        await asyncio.to_thread(import_rooms)
        from plasmatui.checks.services import services

        context = self._checks.context()
        try:
            return wire.PxeServices(await services(context), time.time())
        finally:
            await context.close()

    # --- images ---------------------------------------------------------------------------------------------------

    async def _look_images(self) -> wire.Images:
        await asyncio.to_thread(_import_pxe)
        from plasmatui.pxe.booted import BOOTS
        from plasmatui.pxe.stock import stock

        boots = {name: await self._boots.timelines(name, BOOTS) for name in tuple(self._store.nodes)}
        return await asyncio.to_thread(stock, self._root(), boots, dict(self._verified))

    async def _verify(self, session: Session, number: int, body: wire.VerifyImage) -> wire.ReplyBody:
        await asyncio.to_thread(_import_pxe)
        from plasmatui.pxe.assets import Store as Images
        from plasmatui.pxe.assets import StoreError
        from plasmatui.pxe.stock import Reading, told_checks, verify

        reading = Reading()
        task = asyncio.create_task(
            asyncio.to_thread(verify, Images(self._root()), body.version, reading), name=f"verify {body.version}"
        )
        try:
            while not (await asyncio.wait((task,), timeout=PROGRESS))[0]:
                await session.outbound.room()
                session.item(number, wire.ImageProgress(body.version, reading.read))
            seen = task.result()
        except StoreError as error:
            raise ProblemError("unsupported", clean_line(str(error), 400)) from None
        except OSError as error:
            raise ProblemError("unsupported", f"{error.filename}: {error.strerror}") from None
        finally:
            reading.over.set()
            task.cancel()
        self._verified[body.version] = seen
        self._images.forget()
        verified = wire.ImageVerified(body.version, told_checks(seen.checks))
        await session.outbound.room()
        session.item(number, verified)
        return verified

    async def _activate(self, session: Session, _: int, body: wire.ActivateImage) -> wire.ReplyBody:
        from plasmatui.pxe.assets import Store as Images
        from plasmatui.pxe.publishing import activate

        def switch(images: Images) -> tuple[str, str, str]:
            version = images.find(body.version)
            return version.profile, activate(images, version), version.name

        return await self._switch(session, f"images activate {body.version}", switch)

    async def _roll_back(self, session: Session, _: int, body: wire.RollBackImage) -> wire.ReplyBody:
        from plasmatui.pxe.assets import Store as Images
        from plasmatui.pxe.assets import StoreError
        from plasmatui.pxe.publishing import rollback

        def switch(images: Images) -> tuple[str, str, str]:
            if images.previous(body.profile) != body.version:
                raise StoreError(f"a rollback of {body.profile} does not lead to {body.version} any more", "look again")
            return body.profile, *rollback(images, body.profile)

        return await self._switch(session, f"images rollback {body.profile}", switch)

    async def _switch(
        self, session: Session, text: str, switch: Callable[[Any], tuple[str, str, str]]
    ) -> wire.ImageSwitched:
        from plasmatui.pxe.assets import Store as Images
        from plasmatui.pxe.assets import StoreError

        images, by, origin = Images(self._root()), session.id.user, session.id.origin
        self._store.audit(by, "", text, "begun", origin=origin)
        try:
            profile, before, after = await asyncio.to_thread(switch, images)
        except (StoreError, OSError) as error:
            hint = getattr(error, "hint", "") or f"as a user who may: plasmatui {text}"
            message = clean_line(f"{error}; nothing was changed: {hint}", 600)
            self._store.audit(by, "", text, f"failed: {message}", origin=origin)
            raise ProblemError("refused", message) from None
        finally:
            self._images.forget()
        self._store.audit(by, "", text, "done", origin=origin, before=before, after=after)
        self._store.note(f"{by}: machines of {profile} boot {after} now, before {before or 'nothing'}")
        return wire.ImageSwitched(profile, before, after, await asyncio.to_thread(_script_warnings, images))

    def _root(self) -> Path:
        return Path(os.path.expanduser(self._inventory().pxe.assets))

    # --- drift ----------------------------------------------------------------------------------------------------

    async def _look_drift(self) -> wire.Drift:
        await asyncio.to_thread(_import_pxe)
        return await asyncio.to_thread(_drift, self._inventory().path)

    async def _diff(self, _: Session, __: int, body: wire.AskDriftDiff) -> wire.ReplyBody:
        await asyncio.to_thread(_import_pxe)
        try:
            async with asyncio.timeout(LIMIT):
                return await asyncio.to_thread(_diff, self._inventory().path, body.relative)
        except TimeoutError:
            raise ProblemError("timeout", f"{body.relative} was not compared within {LIMIT:g} s") from None


def _import_pxe() -> None:
    for name in _ROOMS:
        importlib.import_module(name)


def _script_warnings(images: Any) -> tuple[str, ...]:
    """What is to be done about the rendered boot script."""
    from plasmatui.pxe.assets import StoreError
    from plasmatui.pxe.imagecheck import check_boot_script

    try:
        checks = check_boot_script(images)
    except (OSError, StoreError):
        return ()
    wanted = [each for each in checks if each.ok is False or (each.ok is None and "not active" in each.message)]
    return tuple(clean_line(each.message, 400) for each in wanted)


class _NothingError(Exception):
    pass


def _compared(path: Path) -> tuple[Prepared, Path, tuple[Compared, ...], bool]:
    """The inventory's file as it is now, rendered and held against what is deployed. Raises _NothingError."""
    from plasmatui.checks.host import is_here
    from plasmatui.pxe.drift import compare, is_rendered, read_deployed
    from plasmatui.pxe.quoting import RefusedError
    from plasmatui.pxe.rendering import ImagesError, expected, prepare, script_path

    try:
        prepared = prepare(path)
        named = prepared.inventory.pxe.deployed
        if not named and not is_here(str(prepared.site.server)):
            raise _NothingError(
                f"the PXE server {prepared.site.server} is another host: name a directory with its files here as "
                "`pxe.deployed` in the inventory, or run plasmatui render --diff / there"
            )
        directory = Path(os.path.expanduser(named or "/"))
        if not directory.is_dir():
            raise _NothingError(
                f"{directory} is no directory: correct `pxe.deployed`, or plasmatui render -o {directory}"
            )
        script = directory / f"{'server/' if is_rendered(directory) else ''}{script_path(prepared.site)}"
        files, images = expected(prepared, read_deployed(script) or "")
        return prepared, directory, compare(files, directory), images
    except InventoryError as error:
        raise _NothingError(f"the inventory cannot be rendered: {error}") from None
    except (ImagesError, RefusedError) as error:
        raise _NothingError(str(error)) from None
    except OSError as error:
        raise _NothingError(f"{error.filename or path}: {error.strerror or error}") from None


def _drift(path: Path) -> wire.Drift:
    from plasmatui.pxe.drift import is_rendered

    try:
        prepared, directory, compared, images = _compared(path)
    except _NothingError as nothing:
        return wire.Drift("", time.time(), problem=clean_line(" / ".join(str(nothing).splitlines()), 1000))
    counts: dict[str, int] = {}
    for each in compared:
        counts[each.state] = counts.get(each.state, 0) + 1
    rendered = is_rendered(directory)
    files = [_told(each, prepared, directory, rendered, images) for each in compared if each.state != "same"]
    files.sort(key=lambda file: (file.state == wire.DriftState.MISSING, file.output, file.relative))
    return wire.Drift(str(directory), time.time(), tuple(files[:MOST_FILES]), counts, images)


def _diff(path: Path, relative: str) -> wire.DriftDiff:
    from plasmatui.pxe.drift import is_rendered

    try:
        prepared, directory, compared, images = _compared(path)
    except _NothingError as nothing:
        raise ProblemError("unsupported", clean_line(str(nothing), 1000)) from None
    found = next((each for each in compared if each.file.relative == relative), None)
    if found is None:
        raise ProblemError("unsupported", f"{clean_line(relative, 200)} is no rendered file")
    lines = found.diff() if found.error is None else ()
    file = _told(found, prepared, directory, is_rendered(directory), images)
    redactor = Redactor(None)  # files of others may hold secrets, which are none of the inventory's
    told = tuple(redactor.text(line[:LONGEST]) for line in lines[:MOST_LINES])
    return wire.DriftDiff(file, told, len(lines) - len(told))


def _told(each: Compared, prepared: Prepared, directory: Path, rendered: bool, images: bool) -> wire.DriftFile:
    from plasmatui.pxe.rendering import SCRIPT_OUTPUT, active_images

    output = each.file.name
    words = ["plasmatui", "render", "--only", output]
    if images and output == SCRIPT_OUTPUT:
        words += ["--images", str(active_images(prepared.site))]
    if rendered:
        fix = shlex.join([*words, "-o", str(directory)])
    else:
        fix = shlex.join([*words, "-o", "rendered"])
        fix += " && " + shlex.join(("install", "-D", "-m644", f"rendered/{each.file.relative}", str(each.path)))
    reason = each.error.strerror or str(each.error) if each.error is not None else ""
    return wire.DriftFile(output, each.file.relative, clean_line(str(each.path), 400), each.state, reason, fix)
