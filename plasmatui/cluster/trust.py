"""Shared TLS contexts towards the cluster's services: one per way of trusting, for all nodes."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from plasmatui.tls import is_pin, pinned, unverified


class TrustError(Exception):
    """The CA cannot be used: where it stands and why, one line."""


class Trust:
    """Contexts by `Service.verify_tls`. Building one from the cluster's CA costs 0.3 ms, from the system's 40 ms.

    Certificates of the runbook (section 4.5) have a common name only; OpenSSL falls back to it where there is no
    alternative name, and strict X.509 checks, which such certificates fail, are not asked for.
    """

    def __init__(self, ca: str) -> None:
        self.ca = ca
        self._lock = asyncio.Lock()
        self._contexts: dict[bool | str, tuple[int, ssl.SSLContext]] = {}

    async def get(self, verify: bool | str) -> ssl.SSLContext:
        """The context for a service.

        Raises:
            TrustError: the CA's file cannot be read, or the pin is none.
        """
        held = self._contexts.get(verify)
        if held is not None:
            return held[1]
        async with self._lock:
            if verify not in self._contexts:
                self._contexts[verify] = await asyncio.to_thread(self._build, verify)
            return self._contexts[verify][1]

    async def refresh(self, verify: bool | str) -> None:
        """Read the CA again at the next `get` if its file changed. To be called when a certificate was not trusted."""
        held = self._contexts.get(verify)
        if held is not None and await asyncio.to_thread(_changed, self._file(verify)) != held[0]:
            self._contexts.pop(verify, None)

    def _file(self, verify: bool | str) -> str:
        if isinstance(verify, str):
            return "" if is_pin(verify) else verify
        return self.ca if verify else ""

    def _build(self, verify: bool | str) -> tuple[int, ssl.SSLContext]:
        file = self._file(verify)
        changed = _changed(file)
        try:
            if verify is False:
                return changed, unverified()
            if is_pin(verify):
                return changed, pinned(str(verify))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if file:
                context.load_verify_locations(cafile=file)
            else:
                context.load_default_certs()
        except ssl.SSLError:
            raise TrustError(f"{file} holds no certificate that can be used") from None
        except OSError as error:
            raise TrustError(f"{file}: {error.strerror or error}") from None
        except ValueError as error:
            raise TrustError(f"verify_tls: {error}") from None
        return changed, context


def _changed(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns if file else 0
    except OSError:
        return -1
