"""TLS towards Redfish BMCs: shared contexts, and what to do about a certificate that is not trusted.

BMCs often carry self-signed certificates, so a leaf may be pinned by its SHA-256 fingerprint (`plasmatui.tls`).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import Final

from plasmatui.bmc.controller import BmcError
from plasmatui.tls import REASONS, FingerprintError, fingerprint, is_pin, pinned, unverified

_WRONG: Final = frozenset({9, 10, 62, 64})
"""Reasons that no CA file cures."""


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
        pin = is_pin(verify)
        changed = Path(os.path.expanduser(verify)).stat().st_mtime_ns if isinstance(verify, str) and not pin else 0
        held = self._contexts.get(verify)
        if held is None or held[0] != changed:
            held = changed, pinned(str(verify)) if pin else _verified(verify)
            self._contexts[verify] = held
        return held[1]


async def shown_fingerprint(host: str, port: int, limit: float) -> str:
    """Fingerprint of the certificate that a port shows, "" when it does not within `limit` seconds. Sends nothing."""
    try:
        async with asyncio.timeout(limit):
            _, writer = await asyncio.open_connection(host, port, ssl=unverified())
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
        reason = REASONS.get(error.verify_code, error.verify_message)
        remedy = "install one that is right" if error.verify_code in _WRONG else "give its CA's file as verify_tls"
        return f"its certificate is not trusted: {reason}; {remedy}, or pin its fingerprint as verify_tls"
    return ""


def _verified(verify: bool | str) -> ssl.SSLContext:
    if verify is False:
        context = unverified()
    else:
        file = str(Path(os.path.expanduser(verify))) if isinstance(verify, str) else None
        context = ssl.create_default_context(cafile=file)
    return context


def _cause(verify: bool | str, error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{verify} holds no certificate that can be used"
    if isinstance(error, OSError):
        return f"{verify}: {error.strerror or error}"
    return str(error)
