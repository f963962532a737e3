"""Fingerprints from console lines: the real forms are read, and nothing that is malformed gets through."""

from __future__ import annotations

import base64
import hashlib
import re

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.remote.hostkeys import MOST, Fingerprint, fingerprint_of, fingerprints
from plasmatui.text import clean_line

KEYS = [
    asyncssh.generate_private_key(*kind)
    for kind in (("ssh-ed25519",), ("ecdsa-sha2-nistp256",), ("ecdsa-sha2-nistp521",))
] + [asyncssh.generate_private_key("ssh-rsa", key_size=2048)]
PUBLIC = [key.export_public_key().decode().strip() for key in KEYS]
PRINTED = [
    f"{bits} {key.get_fingerprint()} root@nixos ({kind})"
    for key, bits, kind in zip(KEYS, (256, 256, 521, 2048), ("ED25519", "ECDSA", "ECDSA", "RSA"), strict=True)
]
EXPECTED = tuple(Fingerprint(key.get_fingerprint(), key.get_algorithm()) for key in KEYS)

prefixes = st.sampled_from(["", "  ", "[   12.345678] sshd-keygen[412]: ", "<14>Jun  1 10:00:00 cloud-init: ", "| "])


@given(prefixes, st.sampled_from(["", " ", " |"]))
def test_what_ssh_keygen_and_cloud_init_print(prefix: str, after: str) -> None:
    assert fingerprints(f"{prefix}{line}{after}" for line in PRINTED) == EXPECTED
    assert fingerprints(f"{prefix}{line}{after}" for line in PUBLIC) == EXPECTED
    assert fingerprints([*PRINTED, "noise", *PUBLIC, *PRINTED]) == EXPECTED


@pytest.mark.parametrize("key", PUBLIC)
def test_of_a_public_key(key: str) -> None:
    assert fingerprint_of(key) in EXPECTED
    assert fingerprint_of(f"{key} root@nixos") == fingerprint_of(key)


@pytest.mark.parametrize(
    "line",
    [
        PRINTED[0].replace("256 ", "255 "),
        PRINTED[0].replace("ED25519", "RSA"),
        PRINTED[0].replace("ED25519", "DSA"),
        PRINTED[0].replace("(ED25519)", ""),
        PRINTED[0] + " and more",
        PRINTED[0].replace("SHA256:", "SHA256:A"),
        PRINTED[0].replace("SHA256:", "xSHA256:"),
        PRINTED[0].replace("SHA256", "MD5"),
        "x" + PRINTED[0],
        re.sub(r"SHA256:.{43}", "SHA256:" + "A" * 42 + "B", PRINTED[0]),  # bits beyond 32 bytes
        PRINTED[0].replace("root@nixos", "root@n\N{RIGHT-TO-LEFT OVERRIDE}ixos"),
        PRINTED[0].replace("root@nixos", "root@n\x1b[2Kixos"),
        PRINTED[0].replace("root", "\N{CYRILLIC SMALL LETTER O}"),
        PUBLIC[0].replace("ssh-ed25519 ", "ssh-rsa "),
        PUBLIC[0][:-4],
        PUBLIC[0] + "AAAA",
        PUBLIC[0].replace("ssh-ed25519 ", "ssh-ed25519\t"),
        "ssh-ed25519 AAAA",
        "ssh-dss AAAAB3NzaC1kc3MAAACBAA==",
        "SHA256:" + "A" * 43,
        " " * 5000 + PRINTED[0],
    ],
)
def test_what_is_not_exactly_so_gives_nothing(line: str) -> None:
    assert fingerprints([line]) == ()


@given(st.lists(st.text(max_size=80) | st.sampled_from(PRINTED + PUBLIC), max_size=30), st.data())
def test_whatever_a_console_says_only_whole_fingerprints_come_out(lines: list[str], data: st.DataObject) -> None:
    mangled = []
    for line in lines:
        at = data.draw(st.integers(0, len(line)))
        change = data.draw(st.sampled_from(["", "A", "=", " ", "\x1b[1m", "\0", "é", "SHA256:"]))
        mangled.append(clean_line(line[:at] + change + line[at:]))
    for found in fingerprints(mangled):
        digest = found.sha256.removeprefix("SHA256:")
        assert base64.b64encode(base64.b64decode(f"{digest}=", validate=True)).decode() == f"{digest}="
        assert found.algorithm in {key.get_algorithm() for key in KEYS}
    whole = {line for line in mangled if line in PRINTED or line in PUBLIC}
    assert len(fingerprints(mangled)) >= len(fingerprints(sorted(whole)))


@given(st.binary(max_size=200))
def test_a_blob_of_anything_is_no_key(blob: bytes) -> None:
    text = base64.b64encode(len(b"ssh-ed25519").to_bytes(4) + b"ssh-ed25519" + blob).decode()
    right = len(blob) == 36 and blob[:4] == (32).to_bytes(4)
    found = fingerprints([f"ssh-ed25519 {text}"])
    assert bool(found) == right
    if found:
        digest = hashlib.sha256(base64.b64decode(text)).digest()
        assert found[0].sha256 == f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def test_a_flood_of_fingerprints_is_cut() -> None:
    lines = [
        f"256 SHA256:{base64.b64encode(hashlib.sha256(bytes([n])).digest()).decode()[:43]} x (ED25519)"
        for n in range(100)
    ]
    assert len(fingerprints(lines)) == MOST


@pytest.mark.parametrize("digest", ["", "A" * 42, "A" * 42 + "B", "A" * 44, "A" * 42 + "\n"])
def test_a_fingerprint_is_checked_however_it_is_made(digest: str) -> None:
    with pytest.raises(ValueError):
        Fingerprint(f"SHA256:{digest}")
