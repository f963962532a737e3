"""What an installation takes along: the node's secrets, as a tree that nixos-anywhere copies to the new root.

`SECRETS/NODE/...` becomes `/etc/nixos/secrets/...`; `SECRETS/NODE/ssh_host_ed25519_key` becomes the node's SSH host key
as well, so that its fingerprint is known before the first boot. nixos-anywhere packs the tree with tar, keeps modes and
links, and makes everything root's. Contents are copied, never shown.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plasmatui.inventory import values
from plasmatui.inventory.inventory import Inventory
from plasmatui.nix.job import remove_all
from plasmatui.text import clean_line

SECRETS_AT: Final = "etc/nixos/secrets"
HOST_KEY: Final = "ssh_host_ed25519_key"
HOST_KEY_AT: Final = f"etc/ssh/{HOST_KEY}"
MOST_FILES: Final = 1000
LARGEST: Final = 64 << 20
"""Bytes of all files together."""

_KEY_NAME: Final = re.compile(r"(?i)key(?!.*\.pub$)")
_KEY_TEXT: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


class SecretsError(Exception):
    """The secrets cannot be used as they are: every reason, each with the command that mends it. Never content."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Entry(msgspec.Struct, frozen=True):
    """A file that is taken along: its path on the node, its mode and size."""

    path: str
    mode: int
    size: int

    def __str__(self) -> str:
        return f"{self.mode:04o} {self.size:>8} /{self.path}"


class Source(msgspec.Struct, frozen=True):
    """The secrets of a node, looked through and found good.

    Attributes:
        directory: SECRETS/NODE; "" when the inventory names no secrets.
        manifest: what the node will have, host key and its public part included.
        host_key: public SSH host key ("ssh-ed25519 AAAA..."), "" where there is none yet, or no secrets.
    """

    node: str
    directory: str = ""
    manifest: tuple[Entry, ...] = ()
    host_key: str = ""


class Tree(msgspec.Struct, frozen=True):
    """A tree for `--extra-files`. Private; the caller removes it (`remove`), or has a job do so.

    Attributes:
        host_key: public key that the node will show, "" when it makes one itself.
    """

    path: str
    manifest: tuple[Entry, ...]
    host_key: str

    def remove(self) -> None:
        remove_all((self.path,))


def inspect(node: str, inventory: Inventory) -> Source:
    """Look through a node's secrets; changes nothing. Reads the files' beginnings: call it off the event loop.

    Raises:
        SecretsError: something is open to others, no plain file, or lies in the flake; or there is no such directory.
    """
    values.host_name(node)
    if not inventory.secrets:
        return Source(node)
    directory = Path(inventory.secrets) / node
    flake = inventory.flake_directory
    if flake is not None and directory.resolve().is_relative_to(flake):
        raise SecretsError((f"{directory} lies in the flake {flake}, which nix copies where everybody can read it",))
    if not directory.is_dir():
        raise SecretsError((f"{_name(directory)} is not there: mkdir -m 700 {_quoted(directory)}",))
    try:
        problems = [*_open_to_others(directory.parent), *_open_to_others(directory)]
        files = list(_files(directory, problems))
    except OSError as error:
        name = clean_line(str(error.filename or directory), 200)
        raise SecretsError((f"{name}: {error.strerror or error}; `secrets` of the inventory holds it",)) from error
    if len(files) > MOST_FILES or sum(info.st_size for _, info in files) > LARGEST:
        problems.append(f"{directory} holds more than {MOST_FILES} files or {LARGEST >> 20} MiB; that is no secret")
    if problems:
        raise SecretsError(tuple(problems))
    entries = [
        Entry(f"{SECRETS_AT}/{path.relative_to(directory)}", stat.S_IMODE(info.st_mode), info.st_size)
        for path, info in files
    ]
    public = _public_key(directory / HOST_KEY) if (directory / HOST_KEY).exists() else ""
    if public:
        entries.append(Entry(HOST_KEY_AT, 0o600, (directory / HOST_KEY).stat().st_size))
        entries.append(Entry(f"{HOST_KEY_AT}.pub", 0o644, len(public) + 1))
    return Source(node, str(directory), tuple(entries), public)


def make_host_key(source: Source) -> str:
    """Make the node's SSH host key in its secrets, unless there is one; its public part. `inspect` again afterwards.

    Raises:
        SecretsError: there are no secrets, or they cannot be written.
    """
    if source.host_key:
        return source.host_key
    if not source.directory:
        raise SecretsError(("the inventory names no `secrets`, where the node's SSH host key would be kept",))
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path = Path(source.directory) / HOST_KEY
    try:
        # O_EXCL: of two that make it at the same time, one loses; nothing is ever replaced.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(private)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return _public_key(path)
    except OSError as error:
        raise SecretsError((f"{path} cannot be written: {error.strerror or error}",)) from error
    return _public_key(path)


def build(
    source: Source, parent: Path | None = None, *, instead: Mapping[str, bytes] = MappingProxyType({})
) -> Tree | None:
    """Copy a node's secrets into a private tree; None when there are none.

    Args:
        instead: content that takes the place of a file's, by the file's name in the secrets.
        parent: where the tree is made, the usual place of temporary files by default.

    Raises:
        SecretsError: they cannot be read. Nothing is left then.
    """
    if not source.directory:
        return None
    root = Path(tempfile.mkdtemp(prefix="plasmatui-extra-", dir=parent))
    directory = Path(source.directory)
    try:
        for entry in source.manifest:
            if entry.path.startswith(f"{SECRETS_AT}/"):
                name = entry.path.removeprefix(f"{SECRETS_AT}/")
                if name in instead:
                    _write(root / entry.path, instead[name], entry.mode)
                else:
                    _copy(directory / name, root / entry.path, entry.mode)
        (root / SECRETS_AT).mkdir(mode=0o700, parents=True, exist_ok=True)
        if source.host_key:
            _copy(directory / HOST_KEY, root / HOST_KEY_AT, 0o600)
            _write(root / f"{HOST_KEY_AT}.pub", f"{source.host_key}\n".encode(), 0o644)
        _set_directory_modes(root)
    except OSError as error:
        shutil.rmtree(root, ignore_errors=True)
        name = clean_line(str(error.filename or root), 200)
        raise SecretsError((f"{name}: {error.strerror or error}",)) from error
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    return Tree(str(root), source.manifest, source.host_key)


def _files(directory: Path, problems: list[str]) -> Iterator[tuple[Path, os.stat_result]]:
    """The plain files below a directory, in order; what is wrong with others is added to `problems`."""
    for path in sorted(directory.iterdir()):
        info = path.lstat()
        if stat.S_ISDIR(info.st_mode):
            problems.extend(_open_to_others(path))
            yield from _files(path, problems)
        elif not stat.S_ISREG(info.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(info.st_mode) else "no plain file"
            problems.append(f"{_name(path)} is {kind}; put the file itself there")
        else:
            problems.extend(_wrong_mode(path, info))
            yield path, info


def _wrong_mode(path: Path, info: os.stat_result) -> Iterator[str]:
    mode = stat.S_IMODE(info.st_mode)
    if mode & 0o077 and _is_private_key(path):
        yield f"{_name(path)} is a private key that others can use (mode {mode:04o}): chmod 600 {_quoted(path)}"
    elif mode & 0o7022:
        yield f"{_name(path)} can be changed by others (mode {mode:04o}): chmod 644 {_quoted(path)}"


def _open_to_others(directory: Path) -> Iterator[str]:
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & 0o077:
        yield f"{_name(directory)} is open to others (mode {mode:04o}): chmod 700 {_quoted(directory)}"


def _is_private_key(path: Path) -> bool:
    if _KEY_NAME.search(path.name):
        return True
    with path.open("rb") as file:
        return _KEY_TEXT.search(file.read(65536)) is not None


def _name(path: Path) -> str:
    return clean_line(str(path), 300)


def _quoted(path: Path) -> str:
    return clean_line(shlex.quote(str(path)), 300)


def _public_key(path: Path) -> str:
    """The public part of an SSH private key, from the key itself: a file beside it may be another's."""
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), None)
        encoded = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SecretsError(
            (f"{_name(path)} is no SSH private key without a passphrase ({type(error).__name__})",)
        ) from None
    return encoded.decode()


def _copy(source: Path, target: Path, mode: int) -> None:
    # O_NOFOLLOW: it may have been replaced since it was looked at.
    with os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        _write(target, file.read(LARGEST), mode)


def _write(target: Path, data: bytes, mode: int) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    target.chmod(mode)


def _set_directory_modes(root: Path) -> None:
    """What lies in the tree becomes part of the node's root: /etc must stay open, the secrets must not be."""
    for path in (root / "etc", root / "etc/nixos", root / "etc/ssh"):
        if path.exists():
            path.chmod(0o755)
    for path in (root / SECRETS_AT, *(root / SECRETS_AT).rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
