"""Script, loaders and images by HTTP, as iPXE fetches them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, UNKNOWN, WARNING, Found, skipped, together
from plasmatui.pxe.netboot import NetbootError, parse_netboot
from plasmatui.pxe.preflight.loader import is_kernel
from plasmatui.pxe.site import IMAGES, SCRIPT, Site, SiteError, make_site
from plasmatui.text import clean_line

if TYPE_CHECKING:
    from plasmatui.checks.web import Head, Part, WebError

CLOCK_MOST = 5.0
"""Seconds that clocks may differ: raft and certificates bear more, logs that are put in order do not."""


class _NothingError(Exception):
    pass


def _site(context: Context) -> Site:
    try:
        return make_site(context.inventory)
    except SiteError as error:
        raise _NothingError(str(error)) from None


async def _head(context: Context, path: str) -> Head | Found:
    """HEAD of a path below the HTTP root; anything but 200 is the finding."""

    async def ask() -> Head | Found:
        from plasmatui.checks import web

        site = _site(context)
        async with web.make_client() as client:
            try:
                answer = await web.head(client, f"{site.base_url}/{path}")
            except web.WebError as error:
                return _unanswered(path, error)
        if answer.status == 200:
            return answer
        return Found(FAILED, f"/{path}: HTTP {answer.status}", f"ls -l {site.http_root}/{path} on the PXE server")

    return await context.once(f"head {path}", ask)


async def _first(context: Context, path: str) -> Part | Found:
    """The first bytes; a script whole."""

    async def ask() -> Part | Found:
        from plasmatui.checks import web

        script = path.endswith(".ipxe")
        async with web.make_client() as client:
            try:
                url = f"{_site(context).base_url}/{path}"
                return await web.first(client, url, web.TEXT_MOST if script else web.FIRST, ranged=not script)
            except web.WebError as error:
                return _unanswered(path, error)

    return await context.once(f"first {path}", ask)


def _unanswered(path: str, error: WebError) -> Found:
    """A server that is not there fails one check, `http-port`; of the rest nothing is known."""
    if error.unreached:
        return Found(UNKNOWN, "the HTTP server takes no connection", "see http-port")
    return Found(FAILED, f"/{path}: {error}", "systemctl status nginx on the PXE server")


async def port(context: Context) -> Found:
    try:
        site = _site(context)
    except _NothingError as nothing:
        return skipped(str(nothing))
    return await connects(str(site.server), site.http_port, "systemctl status nginx on the PXE server")


def reason_of(error: OSError) -> str:
    """The system's words; asyncio's have its own "Connect call failed" in their place."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else clean_line(str(error), 120)


async def connects(host: str, number: int, fix: str) -> Found:
    """Whether a TCP port takes connections."""
    try:
        async with asyncio.timeout(4.0):
            _, writer = await asyncio.open_connection(host, number)
    except TimeoutError:
        return Found(FAILED, f"{host} port {number} does not answer", fix)
    except OSError as error:
        return Found(FAILED, f"{host} port {number}: {reason_of(error)}", fix)
    writer.close()
    return Found(OK, f"{host} port {number}")


async def boot_service(context: Context) -> Found:
    place = context.inventory.pxe.boot_service
    if not place:
        return skipped("the inventory names no boot service (pxe.boot_service)")
    host, _, number = place.rpartition(":")
    if not number.isdigit():
        return Found(UNKNOWN, f"{place} is no HOST:PORT", "correct pxe.boot_service in the inventory")
    return await connects(
        host.strip("[]") or "127.0.0.1", int(number), "plasmatui serve; systemctl status plasmatui-serve"
    )


async def boot_service_health(context: Context) -> Found:
    """What the boot service says of itself (docs/bootservice.md)."""
    from plasmatui.checks import web

    connected = await boot_service(context)
    if connected.state is not OK:
        return connected
    place = context.inventory.pxe.boot_service
    place = f"127.0.0.1{place}" if place.startswith(":") else place
    async with web.make_client() as client:
        try:
            part = await web.first(client, f"http://{place}/health", web.TEXT_MOST, ranged=False)
        except web.WebError as error:
            return Found(FAILED, f"http://{place}/health: {error}", "systemctl status plasmatui-serve")
    try:
        told = json.loads(part.data)
        status, problems = str(told["status"]), [str(each) for each in told.get("problems", ())]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Found(UNKNOWN, f"http://{place}/health: HTTP {part.status}, and no health: another boot service?")
    if status != "healthy":
        return Found(
            FAILED, f"{place} is {status}: {'; '.join(problems[:3]) or 'no reason given'}", "plasmatui serve explain"
        )
    return Found(OK, f"{place} is healthy")


async def script(context: Context) -> Found:
    try:
        site = _site(context)
    except _NothingError as nothing:
        return skipped(str(nothing))
    fix = "plasmatui render -o DIR, and put its boot.ipxe where it belongs"
    answer, part = await asyncio.gather(_head(context, SCRIPT), _first(context, SCRIPT))
    for each in (answer, part):
        if isinstance(each, Found):
            return each
    assert not isinstance(part, Found)
    if not part.data.startswith(b"#!ipxe"):
        return Found(FAILED, f"{site.script_url} does not begin with #!ipxe", fix)
    text = part.data.decode("utf-8", "replace")
    missing = [node.name for node in context.nodes if node.profile and not _named(text, node.macs)]
    if missing:
        told = {name: Found(WARNING, "its MAC address is not in the boot script", fix) for name in missing}
        return together(told, "", "")
    return Found(OK, f"{site.script_url}, {len(part.data)} bytes")


def _named(text: str, macs: Iterable[str]) -> bool:
    macs = tuple(macs)
    return not macs or any(mac in text for mac in macs)


async def loaders(context: Context) -> Found:
    try:
        site = _site(context)
    except _NothingError as nothing:
        return skipped(str(nothing))
    files = tuple(each.file for each in site.loaders if each.architecture.http)

    async def one(file: str) -> Found:
        answer = await _head(context, f"ipxe/{file}")
        return answer if isinstance(answer, Found) else Found(OK)

    return together(await context.each(files, one), "{} loaders are served", "no loader for UEFI is configured")


def _profiles(context: Context) -> tuple[str, ...]:
    return _site(context).profiles


async def _per_profile(context: Context, file: str, judge: bool) -> Found:
    try:
        profiles = _profiles(context)
    except _NothingError as nothing:
        return skipped(str(nothing))

    async def one(profile: str) -> Found:
        path = f"{IMAGES}/{profile}/{file}"
        answer = await _head(context, path)
        if isinstance(answer, Found):
            return answer
        fix = f"publish the image of {profile} again: {path} below the HTTP root"
        if answer.length == 0:
            return Found(FAILED, f"/{path} is empty", fix)
        if answer.length is None:
            return Found(WARNING, f"/{path}: no Content-Length, so that a machine cannot tell when it is whole", fix)
        if judge:
            part = await _first(context, path)
            if isinstance(part, Found):
                return part
            if not is_kernel(part.data):
                return Found(FAILED, f"/{path} is no Linux kernel", fix)
        return Found(OK)

    return together(await context.each(profiles, one), f"{file} of {{}} profiles", "no profile is used")


async def kernel(context: Context) -> Found:
    return await _per_profile(context, "bzImage", judge=True)


async def initrd(context: Context) -> Found:
    return await _per_profile(context, "initrd", judge=False)


async def netboot(context: Context) -> Found:
    try:
        profiles = _profiles(context)
    except _NothingError as nothing:
        return skipped(str(nothing))

    async def one(profile: str) -> Found:
        path = f"{IMAGES}/{profile}/netboot.ipxe"
        answer, part = await asyncio.gather(_head(context, path), _first(context, path))
        if isinstance(answer, Found):
            return answer
        if isinstance(part, Found):
            return part
        try:
            parse_netboot(part.data.decode("utf-8", "replace"))
        except NetbootError as error:
            return Found(
                FAILED, f"/{path}: {error}", f"publish the build of {profile} again, with its own netboot.ipxe"
            )
        return Found(OK)

    return together(await context.each(profiles, one), "of {} profiles", "no profile is used")


async def ranges(context: Context) -> Found:
    """Of the kernels and initrds that are served."""
    try:
        profiles = _profiles(context)
    except _NothingError as nothing:
        return skipped(str(nothing))
    paths = tuple(f"{IMAGES}/{profile}/{file}" for profile in profiles for file in ("bzImage", "initrd"))

    async def one(path: str) -> Found:
        answer, part = await asyncio.gather(_head(context, path), _first(context, path))
        if isinstance(answer, Found) or isinstance(part, Found):
            return skipped("no image is served")
        if not part.ranged:
            return Found(
                WARNING, f"a part was asked for, HTTP {part.status} came", "serve images by nginx, as rendered"
            )
        if answer.length is not None and part.total is not None and part.total != answer.length:
            return Found(
                FAILED, f"HEAD tells {answer.length} bytes, a part {part.total}", "look which server answers there"
            )
        return Found(OK)

    return together(await context.each(paths, one), "of {} files", "no profile is used")


async def assets(context: Context) -> Found:
    """Sizes on disk, where this host has the directory that is served."""
    try:
        site = _site(context)
    except _NothingError as nothing:
        return skipped(str(nothing))
    root = Path(site.http_root)
    if not await asyncio.to_thread(root.is_dir):
        return skipped(f"{root} is not on this host")
    files = [SCRIPT, *(f"{IMAGES}/{each}/{file}" for each in site.profiles for file in ("bzImage", "initrd"))]

    async def one(path: str) -> Found:
        answer = await _head(context, path)
        try:
            size = (await asyncio.to_thread((root / path).stat)).st_size
        except OSError:
            return skipped(f"{root} holds other files")
        if isinstance(answer, Found):
            return answer
        if answer.length != size:
            fix = "look whether the server serves that directory, and no cache stands before it"
            return Found(FAILED, f"{size} bytes on disk, {answer.length} are served", fix)
        return Found(OK)

    return together(await context.each(tuple(files), one), "{} files", "nothing is published")


async def clock(context: Context) -> Found:
    try:
        site = _site(context)
    except _NothingError as nothing:
        return skipped(str(nothing))
    answer = await _head(context, SCRIPT)
    if isinstance(answer, Found) or answer.skew is None:
        return Found(UNKNOWN, "its HTTP server tells no time", "see http-script")
    return judged_clock(answer.skew, 1.0, f"timedatectl on {site.server}")


def judged_clock(skew: float, doubt: float, fix: str) -> Found:
    """`skew`: seconds ahead of this host; `doubt`: seconds that the measurement may be wrong by."""
    if abs(skew) - doubt <= CLOCK_MOST:
        return Found(OK, f"{abs(skew):.0f} s apart")
    return Found(FAILED, f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this host", fix)
