"""A node's key and certificate in its own secrets: laid beside the old ones, put in their place, and back again.

Every change is a rename within a directory, so that a service finds whole files at any moment, and is as often done as
wanted. Names carry the operation's number: what another one left is not taken for ours.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plasmatui.certs.issue import Pair
from plasmatui.certs.read import Certificate, CertificateError, parse_pem
from plasmatui.nix.extrafiles import SECRETS_AT
from plasmatui.operations.endings import NodeFailedError

if TYPE_CHECKING:
    from plasmatui.remote.host import Host

LIMIT: Final = 60.0
"""Seconds for each command on the node."""

_KEY_MODES: Final = (0o400, 0o440, 0o600, 0o640)
"""Of a private key that a service or its group reads; another one is not kept."""

_BACK_UP: Final = '[ -e "$2" ] || ln -- "$1" "$2"'
_REMOVE: Final = 'rm -f -- "$1".new-* "$1".old-* "$2".new-* "$2".old-*'
_SWAP: Final = '[ ! -e "$1" ] || mv -f -- "$1" "$2"'


@dataclass(frozen=True)
class Owner:
    """Whom a file belongs to and who may read it."""

    uid: str
    gid: str
    mode: int

    @property
    def key_mode(self) -> int:
        """The mode for a new key in its place: that of the old one, unless it let others in."""
        return self.mode if self.mode in _KEY_MODES else 0o600


@dataclass(frozen=True)
class NodeFiles:
    """Paths on the node for operation `number`."""

    node: str
    number: int

    @property
    def key(self) -> str:
        return f"/{SECRETS_AT}/{self.node}-key.pem"

    @property
    def certificate(self) -> str:
        return f"/{SECRETS_AT}/{self.node}-cert.pem"

    def new(self, path: str) -> str:
        return f"{path}.new-{self.number}"

    def old(self, path: str) -> str:
        return f"{path}.old-{self.number}"


async def owner_of(host: Host, path: str) -> Owner:
    """Whose a file is.

    Raises:
        NodeFailedError: "secrets": it is not there, or no plain file, which something else keeps then.
        CommandError: the node cannot be asked.
    """
    ran = await host.run(("stat", "-c", "%u %g %a %F", "--", path), limit=LIMIT)
    words = ran.out.decode(errors="replace").split(None, 3)
    if ran.status != 0 or len(words) != 4:
        raise NodeFailedError("secrets", f"{host.node} has no {path}: it was not installed with certificates")
    if not words[3].startswith("regular"):
        raise NodeFailedError(
            "secrets", f"{host.node}: {path} is a {words[3].strip()}: rotate it where it is made (sops, agenix)"
        )
    return Owner(words[0], words[1], int(words[2], 8))


async def certificate_at(host: Host, path: str) -> Certificate | None:
    """The certificate in a file; None when there is none that can be read. Raises CommandError."""
    ran = await host.run(("cat", "--", path), limit=LIMIT, most=65536)
    try:
        return parse_pem(ran.out)[0] if ran.status == 0 else None
    except CertificateError:
        return None


async def digests(host: Host, *paths: str) -> dict[str, str]:
    """SHA-256 of files, in hexadecimal; one that is not there is missing. Raises CommandError."""
    ran = await host.run(("sha256sum", "--", *paths), limit=LIMIT)
    lines = (line.split(None, 1) for line in ran.out.decode(errors="replace").splitlines())
    return {words[1].strip(): words[0] for words in lines if len(words) == 2}


async def upload(host: Host, files: NodeFiles, pair: Pair, key: Owner, certificate: Owner) -> None:
    """Lay the new files beside those in use, with the owners of those. The key is nobody else's at any moment.

    Raises:
        CommandError: they cannot be written.
    """
    for path, data, owner, mode in (
        (files.key, pair.key, key, key.key_mode),
        (files.certificate, pair.certificate, certificate, 0o644),
    ):
        await host.put(data, files.new(path), mode=0o600, limit=LIMIT)
        await host.run(("chown", f"{owner.uid}:{owner.gid}", files.new(path)), limit=LIMIT, check=True)
        await host.run(("chmod", f"{mode:04o}", files.new(path)), limit=LIMIT, check=True)


async def arrived(host: Host, files: NodeFiles, pair: Pair, key: Owner) -> tuple[str, ...]:
    """What is wrong with the new files as they lie on the node. Raises CommandError, NodeFailedError."""
    found = await digests(host, files.new(files.key), files.new(files.certificate))
    wrong = [
        f"{path} is not what was sent"
        for path, data in ((files.new(files.key), pair.key), (files.new(files.certificate), pair.certificate))
        if found.get(path) != _digest(data)
    ]
    has = await owner_of(host, files.new(files.key))
    if (has.uid, has.gid, has.mode) != (key.uid, key.gid, key.key_mode):
        wrong.append(f"{files.new(files.key)} is {has.uid}:{has.gid} {has.mode:04o}")
    return tuple(wrong)


async def placed(host: Host, files: NodeFiles, pair: Pair) -> bool:
    """Whether the files in use are the new ones. Raises CommandError."""
    found = await digests(host, files.key, files.certificate)
    return found.get(files.key) == _digest(pair.key) and found.get(files.certificate) == _digest(pair.certificate)


async def place(host: Host, files: NodeFiles) -> None:
    """Put the new files in the place of those in use, which stay beside them. Raises CommandError."""
    paths = (files.key, files.certificate)
    for path in paths:
        await _sh(host, _BACK_UP, path, files.old(path))
    for path in paths:
        await _sh(host, _SWAP, files.new(path), path)


async def put_back(host: Host, files: NodeFiles) -> None:
    """Put the old files back where they were. Raises CommandError."""
    for path in (files.key, files.certificate):
        await _sh(host, _SWAP, files.old(path), path)
    await remove(host, files)


async def remove(host: Host, files: NodeFiles) -> None:
    """Remove what lies beside the files in use, also what a cancelled operation left there. Raises CommandError."""
    await _sh(host, _REMOVE, files.key, files.certificate)


async def _sh(host: Host, script: str, *arguments: str) -> None:
    await host.run(("sh", "-c", script, "sh", *arguments), limit=LIMIT, check=True)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
