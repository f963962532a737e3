"""The certificates that lie on this host: the cluster's CA, our authority's, and those in nodes' secrets."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from plasmatui.certs.issue import AUTHORITY, CA_CERT
from plasmatui.certs.read import Certificate, CertificateError, read_file
from plasmatui.inventory.inventory import Inventory
from plasmatui.model.checks import CertificateSeen

ENDINGS = (".pem", ".crt", ".cer")
_MOST = 100
"""Files of one directory that are looked at."""


def in_secrets(inventory: Inventory, nodes: Iterable[str]) -> tuple[CertificateSeen, ...]:
    """Every certificate of the inventory's files; a file that should hold one and does not is there with why.

    Copies of the CA in nodes' secrets are not listed again. Never raises.
    """
    found: dict[Path, CertificateSeen] = {}
    known: set[bytes] = set()
    if inventory.ca:
        _add(found, Path(inventory.ca), "", known)
    if inventory.secrets:
        directory = Path(inventory.secrets)
        if (directory / AUTHORITY / CA_CERT).exists():
            _add(found, directory / AUTHORITY / CA_CERT, "", known)
        for node in nodes:
            for path in _candidates(directory / node):
                _add(found, path, node, known)
    return tuple(found.values())


def _candidates(directory: Path) -> list[Path]:
    try:
        entries = sorted(directory.iterdir())[:_MOST]
    except OSError:
        return []  # `secrets-present` of the checklist says so
    return [path for path in entries if path.suffix in ENDINGS and "key" not in path.stem.lower()]


def _add(found: dict[Path, CertificateSeen], path: Path, node: str, known: set[bytes]) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        certificates = read_file(path)
    except (OSError, CertificateError) as error:
        told = (error.strerror if isinstance(error, OSError) else None) or str(error)
        found[path] = CertificateSeen(str(path), node, problem=told)
        return
    first = certificates[0]
    if first.authority and first.public_key in known:
        return
    if first.authority:
        known.add(first.public_key)
    found[path] = _words(path, node, first, mode)


def _words(path: Path, node: str, found: Certificate, mode: int) -> CertificateSeen:
    return CertificateSeen(
        str(path), node, found.subject, found.issuer, found.names, found.begin, found.end, mode
    )  # fmt: skip
