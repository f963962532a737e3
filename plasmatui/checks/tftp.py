"""Boot loaders by TFTP, as firmware fetches them."""

from __future__ import annotations

import asyncio

from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, SKIPPED, UNKNOWN, WARNING, Found, skipped, together
from plasmatui.checks.host import listens
from plasmatui.pxe.preflight import loader
from plasmatui.pxe.preflight.tftp import LIMIT, Fetched, TftpError, fetch

NO_SERVER = "the inventory names no PXE server (pxe.server)"


async def _one(context: Context, name: str, limit: float = LIMIT) -> Fetched | Found:
    pxe = context.inventory.pxe
    where = f"{pxe.server} port {context.tftp_port}"
    if pxe.server is not None and pxe.server.is_loopback and not await asyncio.to_thread(listens, context.tftp_port):
        return skipped(f"nothing listens on {where}, a loopback address: a simulated rack has no TFTP server")
    root = f"{pxe.tftp.root.rstrip('/')}/{name}"
    try:
        return await fetch(str(pxe.server), name, port=context.tftp_port, limit=limit)
    except TftpError as error:
        return Found(FAILED, f"{where}: {error}", f"ls -l {root} on the PXE server; it must be there for all to read")
    except TimeoutError:
        return Found(FAILED, f"{where} does not answer", f"systemctl status {pxe.tftp.engine} on the PXE server")
    except OSError as error:
        return Found(FAILED, f"{where}: {error.strerror or error}", "check the route to the PXE server, its firewall")
    except ValueError as error:
        return Found(UNKNOWN, str(error), "correct pxe.loaders in the inventory")


async def _all(context: Context) -> dict[str, tuple[str, Fetched | Found]]:
    """By architecture: the loader's name, and what came."""
    loaders = context.inventory.pxe.loaders
    names = tuple(dict.fromkeys(loaders.values()))
    got = dict(zip(names, await asyncio.gather(*(_one(context, name) for name in names)), strict=True))
    return {arch: (name, got[name]) for arch, name in loaders.items()}


async def fetched(context: Context) -> dict[str, tuple[str, Fetched | Found]]:
    return await context.once("loaders", lambda: _all(context))


async def answers(context: Context, limit: float) -> Found:
    """Whether the first loader comes within some seconds: a question that may be asked often."""
    pxe = context.inventory.pxe
    if pxe.server is None:
        return skipped(NO_SERVER)
    name = next(iter(pxe.loaders.values()), "")
    if not name:
        return skipped("the inventory names no loader (pxe.loaders)")
    got = await _one(context, name, limit)
    return got if isinstance(got, Found) else Found(OK, f"{name} comes from {pxe.server}")


async def loaders(context: Context) -> Found:
    if context.inventory.pxe.server is None:
        return skipped(NO_SERVER)
    found = {name: _judged(name, got) for name, got in (await fetched(context)).values()}
    return together(found, "{} loaders came", "the inventory names no loader (pxe.loaders)")


def _judged(name: str, got: Fetched | Found) -> Found:
    if isinstance(got, Found):
        return got
    if not got.data:
        return Found(FAILED, "the file is empty", f"copy {name} of iPXE to the TFTP root again")
    if got.size is None:
        return Found(WARNING, "the server does not tell the size, and the file is longer than a boot loader")
    if not got.told:
        return Found(WARNING, "the server does not tell sizes (tsize), which some firmware asks for")
    return Found(OK)


async def architecture(context: Context) -> Found:
    if context.inventory.pxe.server is None:
        return skipped(NO_SERVER)
    found = {}
    for arch, (name, got) in (await fetched(context)).items():
        if isinstance(got, Found):
            found[arch] = got if got.state is SKIPPED else Found(UNKNOWN, f"{name} did not come", "see tftp-loaders")
            continue
        made_for, told = loader.architecture(got.data)
        fix = f"put iPXE's build for {arch} as {name} into the TFTP root, or correct pxe.loaders.{arch}"
        found[arch] = Found(OK) if made_for == arch else Found(FAILED, f"{name} is {told}", fix)
    return together(found, "{} loaders fit", "the inventory names no loader (pxe.loaders)")
