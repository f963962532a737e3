"""A node's next key and certificate, on this host: made beside those in use, kept until the node uses them.

`SECRETS/_new/NODE` holds what was issued and not yet taken over. It survives the engine: what is found there was issued
by an operation that goes on, or is replaced by the next one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from plasmatui.certs.issue import (
    CA_CERT,
    IssueError,
    Pair,
    make_directory,
    names,
    open_authority,
    put_pair,
    replace,
    sign_pair,
)
from plasmatui.certs.read import CertificateError, key_fits, missing_names, parse_pem, read_file
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.secrets import Secret

NEXT: Final = "_new"


def staged_at(inventory: Inventory, node: str) -> Path:
    """Where a node's next pair lies."""
    return Path(inventory.secrets) / NEXT / node


def why_not(inventory: Inventory, passphrase: Secret) -> str:
    """Why no certificate can be rotated: no CA that can sign, or one that nobody trusts. "" when it can."""
    try:
        _, ca = open_authority(inventory, passphrase)
    except IssueError as error:
        return str(error)
    if not inventory.ca:
        return "cluster.ca is not given in the inventory, so that nothing says whom the cluster's clients trust"
    try:
        trusted = read_file(Path(inventory.ca))
    except CertificateError as error:
        return f"{inventory.ca} (cluster.ca): {error}"
    if ca not in [each.parsed for each in trusted]:
        return f"the CA in {inventory.secrets} is not among those of {inventory.ca} (cluster.ca), which clients trust"
    return ""


def stage(inventory: Inventory, node: str, passphrase: Secret) -> Pair:
    """Issue a node's next pair and keep it beside the one in use.

    Raises:
        IssueError: the CA cannot sign, or the files cannot be written.
    """
    key, ca = open_authority(inventory, passphrase)
    pair = sign_pair(inventory, node, key, ca)
    place = staged_at(inventory, node)
    try:
        make_directory(place.parent)
        make_directory(place)
        for name, data, mode in pair.files(node):
            replace(place / name, data, mode)
    except OSError as error:
        raise IssueError(f"{error.filename}: {error.strerror or error}") from None
    return pair


def staged(inventory: Inventory, node: str) -> Pair | None:
    """The next pair that was issued before; None when it is not there, or not whole. Never raises."""
    place = staged_at(inventory, node)
    try:
        pair = Pair(*((place / name).read_bytes() for name in (f"{node}-key.pem", f"{node}-cert.pem", CA_CERT)))
    except OSError:
        return None
    return pair if not faults(inventory, node, pair) else None


def faults(inventory: Inventory, node: str, pair: Pair) -> tuple[str, ...]:
    """What is wrong with a pair, for people: key, chain, names. Empty when it is good."""
    try:
        certificate, ca = parse_pem(pair.certificate)[0], parse_pem(pair.ca)[0]
    except CertificateError as error:
        return (str(error),)
    found = []
    if not key_fits(certificate, pair.key):
        found.append("the key is not the certificate's")
    if not certificate.issued_by(ca):
        found.append(f"it was not issued by {ca.subject}")
    if missing := missing_names(certificate, names(inventory, node)):
        found.append(f"it does not name {', '.join(missing)}")
    return tuple(found)


def adopt(inventory: Inventory, node: str) -> None:
    """Make the next pair the node's; the one before it goes to `SECRETS/_old`. Twice is as once.

    Raises:
        IssueError: it is not there, or cannot be written.
    """
    pair = staged(inventory, node)
    if pair is None:
        raise IssueError(f"{staged_at(inventory, node)} holds no whole key and certificate")
    try:
        put_pair(Path(inventory.secrets), node, pair)
    except OSError as error:
        raise IssueError(f"{error.filename}: {error.strerror or error}") from None


def discard(inventory: Inventory, node: str) -> None:
    """Remove the next pair; what cannot be removed is replaced by the next one. Never raises."""
    shutil.rmtree(staged_at(inventory, node), ignore_errors=True)
