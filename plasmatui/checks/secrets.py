"""The nodes' secrets on this host: there, private, and certificates in them that fit."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from pathlib import Path

from plasmatui.certs.read import CertificateError, key_fits, missing_names, read_file
from plasmatui.checks.certificates import ends
from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, WARNING, Found, skipped, together
from plasmatui.inventory.inventory import Inventory

NO_SECRETS = "the inventory names no secrets (secrets)"
CONFIG = "cluster-config.json"
_PUBLIC = (".pub", "-cert.pem", ".crt")


async def present(context: Context) -> Found:
    return await _each(context, _present)


async def modes(context: Context) -> Found:
    return await _each(context, _modes)


async def certificates(context: Context) -> Found:
    return await _each(context, _certificates)


async def _each(context: Context, work: object) -> Found:
    assert callable(work)
    inventory = context.inventory
    if not inventory.secrets:
        return skipped(NO_SECRETS)

    async def one(node: str) -> Found:
        directory = Path(inventory.secrets) / node
        try:
            found: Found = await asyncio.to_thread(work, directory, node, inventory)
        except OSError as error:
            return Found(FAILED, f"{error.filename or directory}: {error.strerror or error}", f"ls -ld {directory}")
        return found

    return together(await context.each(tuple(inventory.nodes), one), "of {} nodes", NO_SECRETS)


def _present(directory: Path, node: str, inventory: Inventory) -> Found:
    if not directory.is_dir():
        return Found(FAILED, f"{directory} is not there", f"plasmatui certs issue {node}; mkdir -m 700 {directory}")
    render = "plasmatui render --only first-boot -o DIR"
    config = directory / CONFIG
    if not config.is_file():
        return Found(FAILED, f"{CONFIG} is not there", render)
    try:
        read = json.loads(config.read_bytes()[: 1 << 20])
    except (ValueError, RecursionError):
        return Found(FAILED, f"{CONFIG} is no JSON", render)
    told = read.get("node_id") if isinstance(read, dict) else None
    if told != node:
        return Found(FAILED, f"{CONFIG} is another node's (node_id)", render)
    missing = [
        name for name in ("ca-cert.pem", f"{node}-cert.pem", f"{node}-key.pem") if not (directory / name).is_file()
    ]
    if missing:
        return Found(FAILED, f"{', '.join(missing)}: not there", f"plasmatui certs issue {node}")
    return Found(OK)


def _modes(directory: Path, node: str, inventory: Inventory) -> Found:
    if not directory.is_dir():
        return skipped("there are no secrets")
    for path in (directory.parent, directory):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            return Found(FAILED, f"{path} is open to others", f"chmod 700 {path}")
    for path in sorted(directory.rglob("*"))[:1000]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink() or path.is_dir() or path.name.endswith(_PUBLIC):
            continue
        if "key" in path.name.lower() and mode & 0o077:
            return Found(FAILED, f"{path} is open to others (mode {mode:04o})", f"chmod 600 {path}")
    return Found(OK)


def _certificates(directory: Path, node: str, inventory: Inventory) -> Found:
    path = directory / f"{node}-cert.pem"
    if not path.is_file():
        return skipped("there are no certificates")
    fix = f"plasmatui certs issue {node} --renew"
    try:
        found = read_file(path)[0]
        ca = read_file(directory / "ca-cert.pem")[0]
    except CertificateError as error:
        return Found(FAILED, f"{path.name} or ca-cert.pem: {error}", fix)
    key = directory / f"{node}-key.pem"
    fits = key_fits(found, key.read_bytes()[: 1 << 16]) if key.is_file() else None
    if fits is False:
        return Found(FAILED, f"{key.name} is not the key of {path.name}", fix)
    if not found.issued_by(ca):
        return Found(FAILED, f"ca-cert.pem did not sign {path.name}", fix)
    trusted = Path(inventory.ca) if inventory.ca else None
    if trusted is not None and trusted.is_file() and read_file(trusted)[0].public_key != ca.public_key:
        return Found(FAILED, f"ca-cert.pem is not {trusted}", "put the cluster's CA beside the certificates")
    last = ends(found, time.time(), fix)
    if last.state is not OK:
        return last
    name = f"{node}.{inventory.domain}" if inventory.domain else node
    missing = missing_names(found, (name,))
    if missing:
        return Found(FAILED if found.names else WARNING, f"{path.name} does not name {missing[0]} (SAN)", fix)
    return Found(OK) if fits else Found(WARNING, f"{key.name} cannot be compared: it is encrypted or not there", fix)
