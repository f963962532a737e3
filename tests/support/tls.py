"""TLS as tests use it against the simulated cluster."""

from __future__ import annotations

import ssl
from pathlib import Path


def trusting(ca: Path) -> ssl.SSLContext:
    """Believes the CA, whatever name a certificate has: services are reached by their address."""
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = False
    return context
