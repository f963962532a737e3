"""The certificate that a server shows on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final

CONNECT_LIMIT: Final = 5.0


async def shown_certificate(address: str, port: int, name: str, context: ssl.SSLContext) -> bytes:
    """The certificate of a server, DER, after a handshake under `name`.

    Raises:
        OSError: there is no connection, or no trust (`ssl.SSLError`); TimeoutError: no answer within 5 s.
    """
    async with asyncio.timeout(CONNECT_LIMIT):
        _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    try:
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        return found
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await writer.wait_closed()
