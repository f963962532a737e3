"""The provisioning key of SSH: what it is, and how it is replaced."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from plasmatui.certs.issue import write_new
from plasmatui.inventory.inventory import Inventory
from plasmatui.text import clean_line


@dataclass(frozen=True)
class ProvisioningKey:
    """A key file. `fingerprint` as `ssh-keygen -l` prints it; `problem`: why there is none, or what is wrong."""

    path: str
    kind: str = ""
    fingerprint: str = ""
    comment: str = ""
    mode: int | None = None
    problem: str = ""


def read_key(given: str) -> ProvisioningKey:
    """The provisioning key: from its public file beside it, or from the key itself. Never raises."""
    path = Path(os.path.expanduser(given))
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        public = _public(path)
    except OSError as error:
        return ProvisioningKey(str(path), problem=error.strerror or str(error))
    problem = f"it is open to others: chmod 600 {path}" if mode & 0o077 else ""
    words = public.split(None, 2)
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, ValueError):
        return ProvisioningKey(str(path), mode=mode, problem=problem or "its public part cannot be read")
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    comment = clean_line(words[2].strip(), 100) if len(words) > 2 else ""
    return ProvisioningKey(str(path), clean_line(words[0], 40), f"SHA256:{digest}", comment, mode, problem)


def _public(path: Path) -> str:
    """The public part as one line, "" when it cannot be had without a passphrase. Raises OSError."""
    beside = path.with_name(f"{path.name}.pub")
    if beside.is_file():
        return beside.read_text(encoding="utf-8", errors="replace")[:16384]
    try:
        key = load_ssh_private_key(path.read_bytes()[:65536], None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return ""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class KeyFileError(Exception):
    """A key file cannot be used: which, why, what to do. Never the key."""


def next_path(key: str, day: str) -> str:
    """Where the key after `key` is made: beside it, with the day (YYYYMMDD) in place of an earlier one's."""
    path = Path(os.path.expanduser(key))
    stem = re.sub(r"-\d{8}(-\d+)?$", "", path.name)
    found, number = path.with_name(f"{stem}-{day}"), 1
    while found.exists():
        number += 1
        found = path.with_name(f"{stem}-{day}-{number}")
    return str(found)


def make_key(given: str, comment: str) -> None:
    """Make a key pair (ed25519, no passphrase), unless it is there: the private one 0600, PATH.pub beside it.

    Raises:
        KeyFileError: it cannot be written.
    """
    path = Path(os.path.expanduser(given))
    try:
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
            _put_whole(path, private)
        public = path.with_name(f"{path.name}.pub")
        if not public.exists():  # also after an end in the middle
            write_new(public, f"{public_line(given, comment)}\n".encode(), 0o644)
    except FileExistsError:
        return  # made at the same time
    except OSError as error:
        raise KeyFileError(f"{error.filename}: {error.strerror or error}") from None


def _put_whole(path: Path, data: bytes) -> None:
    """A private file that nobody sees half written: another node's step may look for it now. Raises OSError."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_new(beside, data, 0o600)
        os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def public_line(given: str, comment: str = "") -> str:
    """The public half of a private key, from the key itself: "TYPE BASE64 COMMENT".

    Raises:
        KeyFileError: it cannot be read, is open to others, or has a passphrase, which the engine could not give.
    """
    path = Path(os.path.expanduser(given))
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} is open to others: chmod 600 {path}")
        data = path.read_bytes()[:65536]
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror or error}") from None
    try:
        key = load_ssh_private_key(data, None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} is no private key that can be read, or has a passphrase") from None
    return f"{key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {comment}".strip()


@dataclass(frozen=True)
class RotationStep:
    """One step of a rotation, for a person: what, the commands, and how it is seen to be done."""

    text: str
    commands: tuple[str, ...] = ()
    proof: str = ""


def rotation(inventory: Inventory, nodes: Sequence[str], fold: str) -> tuple[RotationStep, ...]:
    """How the key is replaced without a moment in which neither lets us in (runbook, section 10.1).

    Args:
        fold: `nodes` as a node set.
    """
    named = str(Path(os.path.expanduser(inventory.ssh.key or "~/.ssh/id_ed25519_provisioning")))
    old, new = shlex.quote(named), shlex.quote(f"{named}_new")
    flake = shlex.quote(inventory.flake or "FLAKE")
    user = inventory.ssh.user
    hosts = [f"{user}@{inventory.nodes[node].production_ip or node}" for node in nodes]
    switch = tuple(
        f"nixos-rebuild switch --flake {flake}#{node} --target-host {host}"
        for node, host in zip(nodes, hosts, strict=True)
    )
    port = f" -p {inventory.ssh.port}" if inventory.ssh.port else ""
    return (
        RotationStep("Make a new key.", (f"ssh-keygen -t ed25519 -f {new}",), f"ssh-keygen -l -f {new}"),
        RotationStep(
            f"Add {new}.pub to users.users.{user}.openssh.authorizedKeys.keys of every node's configuration and of the "
            "netboot images, beside the old one.",
            (f"$EDITOR {flake}",),
            f"nix flake check {flake}",
        ),
        RotationStep("Bring it to the nodes, one after the other.", switch, f"plasmatui sshkeys status {fold}"),
        RotationStep(
            "See that the new key alone lets you in, on every node.",
            tuple(f"ssh{port} -o IdentitiesOnly=yes -i {new} {host} true" for host in hosts),
            "each ends with status 0",
        ),
        RotationStep("Build and publish the netboot images again.", (), "plasmatui check --online --only http-netboot"),
        RotationStep(
            f"Name the new key in the inventory: ssh.key: {new}", (f"$EDITOR {shlex.quote(str(inventory.path))}",),
            f"plasmatui sshkeys status {fold}",
        ),
        RotationStep("Take the old key out of the configurations, and bring that to the nodes as above.", switch),
        RotationStep(
            "See that the old key is refused, then destroy it.",
            (*(f"ssh{port} -o IdentitiesOnly=yes -i {old} {host} true" for host in hosts), f"shred -u {old}"),
            "each says Permission denied",
        ),
    )  # fmt: skip
