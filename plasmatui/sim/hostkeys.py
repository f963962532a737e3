"""SSH keys of the simulated world: made fast, in OpenSSH's formats."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)


def make_key(purpose: str | None = None) -> bytes:
    """An ed25519 private key: one that nobody can guess, or always the same one for a purpose."""
    key = Ed25519PrivateKey.generate()
    if purpose is not None:
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(purpose.encode()).digest())
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public_key(private: bytes, comment: str) -> str:
    """The line of the public half.

    Raises:
        ValueError: that is no OpenSSH private key.
    """
    public = load_ssh_private_key(private, None).public_key()
    return f"{public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {comment}"


def fingerprint_line(private: bytes, comment: str) -> str:
    """What `ssh-keygen -lf` prints for it.

    Raises:
        ValueError: that is no OpenSSH private key.
    """
    blob = base64.b64decode(public_key(private, comment).split()[1])
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"256 SHA256:{digest} {comment} (ED25519)"
