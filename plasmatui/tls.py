"""Whom to trust over TLS: contexts, pinned certificates, and the words for a certificate that is not trusted.

A pin is compared inside the handshake itself (`ssl.SSLContext.sslobject_class`): a connection to another certificate
never comes up, so that no request, and no credential, can be written to it.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from typing import Final

EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h."""

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
REASONS: Final = {
    9: "it is not valid yet (or this host's clock is wrong)",
    EXPIRED: "it has expired",
    18: "it is self-signed",
    19: "its chain ends in a self-signed CA that is not trusted",
    20: "its issuer is not known",
    21: "its issuer is not known",
    62: "it was issued to another name",
    64: "it was issued to another address",
}
"""Why a certificate is not trusted, by the code of an `ssl.SSLCertVerificationError`."""

_PIN: Final = re.compile(r"sha256:([0-9a-f]{64})")


class FingerprintError(ssl.SSLError):
    """The peer's certificate is not the pinned one; `found` is the fingerprint of the one that it showed."""

    def __init__(self, found: str) -> None:
        super().__init__(1, "the certificate's fingerprint differs from the pinned one")
        self.found = found


def fingerprint(certificate: bytes) -> str:
    """`sha256:HEX` of a certificate in DER, as `verify_tls` takes it."""
    return "sha256:" + hashlib.sha256(certificate).hexdigest()


def unverified() -> ssl.SSLContext:
    """A context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def pinned(pin: str) -> ssl.SSLContext:
    """A context that takes one certificate only, `sha256:HEX`.

    Raises:
        ValueError: it is no fingerprint.
    """
    match = _PIN.fullmatch("sha256:" + pin[len("sha256:") :].replace(":", "").strip().lower())
    if match is None:
        raise ValueError("a fingerprint is sha256: and 64 hexadecimal digits")
    wanted = match.group()

    class Pinned(ssl.SSLObject):
        """The handshake is complete only when the peer has shown the pinned certificate."""

        def do_handshake(self) -> None:
            super().do_handshake()
            found = fingerprint(self.getpeercert(binary_form=True) or b"")
            if found != wanted:
                raise FingerprintError(found)

    context = unverified()
    context.sslobject_class = Pinned
    return context


def is_pin(verify: bool | str) -> bool:
    """Whether a `verify_tls` is a fingerprint rather than a CA file."""
    return isinstance(verify, str) and verify.lower().startswith("sha256:")


def causes(error: BaseException | None) -> list[BaseException]:
    """An exception and those behind it: a library's own ones hide the TLS library's and the system's."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
