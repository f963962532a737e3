"""Fingerprints of SSH host keys from the lines that a machine prints on its serial console while it boots.

Two forms are understood: what `ssh-keygen -l` prints (`256 SHA256:... root@nixos (ED25519)`, OpenSSH sshkey.c,
`sshkey_fingerprint`; base64 without padding), and public keys (`ssh-ed25519 AAAA... root@nixos`, RFC 4253 section 6.6,
RFC 5656, RFC 8709), which cloud-init prints between its BEGIN and END SSH HOST KEY KEYS lines. Anything before either
on the line (a time, a unit's name) is passed over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from plasmatui.text import is_clean

MOST: Final = 16
"""Fingerprints that are believed of one boot; a host has three keys or four."""

_LONGEST: Final = 4096
_DIGEST: Final = re.compile(r"SHA256:([A-Za-z0-9+/]{43})")
_LISTED: Final = re.compile(
    r"(?:^|[\s:|>])(?P<bits>[1-9][0-9]{2,4}) (?P<digest>SHA256:[A-Za-z0-9+/]{43}) "
    r"(?:\S.* )?\((?P<type>[A-Z0-9]+)\)[\s|]*$"
)
_KEY: Final = re.compile(
    r"(?:^|[\s:|>])(?P<type>ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) "
    r"(?P<blob>[A-Za-z0-9+/]+={0,2})(?=[\s|]|$)"
)
_CURVES: Final = {256: "ecdsa-sha2-nistp256", 384: "ecdsa-sha2-nistp384", 521: "ecdsa-sha2-nistp521"}
_RSA_BITS: Final = range(2048, 16385)


@dataclass(frozen=True, order=True)
class Fingerprint:
    """SHA-256 of a public host key.

    Attributes:
        sha256: `SHA256:` and base64, as ssh prints it.
        algorithm: the key's type ("ssh-ed25519"), "" when it was not said.
    """

    sha256: str
    algorithm: str = ""

    def __post_init__(self) -> None:
        match = _DIGEST.fullmatch(self.sha256)
        if match is None or not _canonical(match[1]):
            raise ValueError("a fingerprint is SHA256: and 43 characters of base64")

    def __str__(self) -> str:
        return f"{self.sha256} ({self.algorithm})" if self.algorithm else self.sha256


def fingerprints(lines: Iterable[str]) -> tuple[Fingerprint, ...]:
    """The host keys' fingerprints in these clean lines, each once, in their order, at most `MOST`.

    A line that is not clean, too long, or in which any part is not exactly as OpenSSH prints it gives nothing. What a
    machine prints is its own word: a fingerprint says which key that machine has, not who owns the machine.
    """
    found: dict[str, Fingerprint] = {}
    for line in lines:
        if len(found) >= MOST:
            break
        fingerprint = _of_line(line)
        if fingerprint is not None:
            found.setdefault(fingerprint.sha256, fingerprint)
    return tuple(found.values())


def fingerprint_of(public_key: str) -> Fingerprint:
    """The fingerprint of a public key in OpenSSH's form, `TYPE BASE64 [COMMENT]`.

    Raises:
        ValueError: it is none, or of a type that is no longer to be used (DSA).
    """
    match = _KEY.match(public_key)
    found = _of_key(match["type"], match["blob"]) if match else None
    if found is None:
        raise ValueError("a public key is its type and base64, such as ssh-ed25519 AAAA...")
    return found


def _of_line(line: str) -> Fingerprint | None:
    if len(line) > _LONGEST or not line.isascii() or not is_clean(line):
        return None
    if listed := _LISTED.search(line):
        algorithm = _algorithm(listed["type"], int(listed["bits"]))
        digest = listed["digest"]
        return Fingerprint(digest, algorithm) if algorithm and _canonical(digest.partition(":")[2]) else None
    if key := _KEY.search(line):
        return _of_key(key["type"], key["blob"])
    return None


def _algorithm(kind: str, bits: int) -> str:
    """The type in the protocol's words of what ssh-keygen prints in brackets; "" when the two do not go together."""
    if kind == "ED25519" and bits == 256:
        return "ssh-ed25519"
    if kind == "RSA" and bits in _RSA_BITS:
        return "ssh-rsa"
    return _CURVES.get(bits, "") if kind == "ECDSA" else ""


def _of_key(kind: str, text: str) -> Fingerprint | None:
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if base64.b64encode(blob).decode() != text or not _whole(kind, blob):
        return None
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return Fingerprint(f"SHA256:{digest}", kind)


def _whole(kind: str, blob: bytes) -> bool:
    """Whether the blob holds the fields of its type and nothing else: strings with four bytes of length before each."""
    fields: list[bytes] = []
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4])
        if at + 4 + size > len(blob):
            return False
        fields.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    if not fields or fields[0] != kind.encode():
        return False
    if kind == "ssh-ed25519":
        return len(fields) == 2 and len(fields[1]) == 32
    if kind == "ssh-rsa":
        return len(fields) == 3 and len(fields[2]) * 8 >= _RSA_BITS.start
    return len(fields) == 3 and fields[1] == kind.rpartition("-")[2].encode() and fields[2][:1] == b"\4"


def _canonical(digest: str) -> bool:
    """Whether these 43 characters are what base64 makes of 32 bytes: the last one has two bits to spare."""
    return base64.b64encode(base64.b64decode(digest + "=")).decode() == digest + "="
