"""TLS towards Redfish BMCs: whom to trust, shared contexts, and the words for a certificate that is not trusted.

BMCs often carry self-signed certificates, so a leaf may be pinned by its SHA-256 fingerprint. The pin is compared
inside the handshake itself (`ssl.SSLContext.sslobject_class`): a connection to another certificate never comes up, so
that no request, and no credential, can be written to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from pathlib import Path
from typing import Final

from plasmatui.bmc.controller import BmcError

_PIN: Final = re.compile(r"sha256:([0-9a-f]{64})")

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_REASONS: Final = {
    9: "it is not valid yet (or this host's clock is wrong)",
    10: "it has expired",
    18: "it is self-signed",
    19: "its chain ends in a self-signed CA that is not trusted",
    20: "its issuer is not known",
    21: "its issuer is not known",
    62: "it was issued to another name",
    64: "it was issued to another address",
}
_WRONG: Final = frozenset({9, 10, 62, 64})
"""Reasons that no CA file cures."""


class FingerprintError(ssl.SSLError):
    """The peer's certificate is not the pinned one; `found` is the fingerprint of the one that it showed."""

    def __init__(self, found: str) -> None:
        super().__init__(1, "the certificate's fingerprint differs from the pinned one")
        self.found = found


class TlsContexts:
    """Contexts by TLS setting, shared by all controllers with the same one: building one costs 20 ms of CPU."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._contexts: dict[bool | str, tuple[int, ssl.SSLContext]] = {}

    async def get(self, verify: bool | str, where: str) -> ssl.SSLContext:
        """The context for `BmcTarget.verify_tls`. A CA file that changed since is read again.

        Raises:
            BmcError: "certificate-untrusted": the CA file cannot be used, or the pin is none; `where` begins the text.
        """
        async with self._lock:
            try:
                return await asyncio.to_thread(self._get, verify)
            except (OSError, ValueError) as error:
                raise BmcError("certificate-untrusted", f"{where}: verify_tls: {_cause(verify, error)}") from error

    def _get(self, verify: bool | str) -> ssl.SSLContext:
        pinned = isinstance(verify, str) and verify.lower().startswith("sha256:")
        changed = Path(verify).expanduser().stat().st_mtime_ns if isinstance(verify, str) and not pinned else 0
        held = self._contexts.get(verify)
        if held is None or held[0] != changed:
            held = changed, _pinned(str(verify)) if pinned else _verified(verify)
            self._contexts[verify] = held
        return held[1]


def fingerprint(certificate: bytes) -> str:
    """`sha256:HEX` of a certificate in DER, as `verify_tls` takes it."""
    return "sha256:" + hashlib.sha256(certificate).hexdigest()


async def shown_fingerprint(host: str, port: int, limit: float) -> str:
    """Fingerprint of the certificate that a port shows, "" when it does not within `limit` seconds. Sends nothing."""
    try:
        async with asyncio.timeout(limit):
            _, writer = await asyncio.open_connection(host, port, ssl=_unverified())
    except (OSError, TimeoutError):
        return ""
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return fingerprint(certificate or b"")


def untrusted(error: BaseException) -> str:
    """Why a handshake failed, if a certificate that is not trusted is the cause; else ""."""
    if isinstance(error, FingerprintError):
        return (
            f"its certificate is not the pinned one: it shows {error.found}; if the BMC was given a new certificate, "
            "compare this with what the BMC's own page says and correct verify_tls"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _REASONS.get(error.verify_code, error.verify_message)
        remedy = "install one that is right" if error.verify_code in _WRONG else "give its CA's file as verify_tls"
        return f"its certificate is not trusted: {reason}; {remedy}, or pin its fingerprint as verify_tls"
    return ""


def _verified(verify: bool | str) -> ssl.SSLContext:
    if verify is False:
        context = _unverified()
    else:
        file = str(Path(verify).expanduser()) if isinstance(verify, str) else None
        context = ssl.create_default_context(cafile=file)
    return context


def _pinned(pin: str) -> ssl.SSLContext:
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

    context = _unverified()
    context.sslobject_class = Pinned
    return context


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _cause(verify: bool | str, error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{verify} holds no certificate that can be used"
    if isinstance(error, OSError):
        return f"{verify}: {error.strerror or error}"
    return str(error)
