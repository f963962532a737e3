"""Until when the certificate is valid that a service showed, read from the connection that its answer came over."""

from __future__ import annotations

import ssl
from typing import Any


def end(connection: Any) -> float:
    """Unix seconds of the end of the certificate that the other side showed, 0 when it cannot be read.

    Args:
        connection: an `ssl.SSLObject` or `ssl.SSLSocket`, None where there is no TLS.
    """
    if connection is None:
        return 0.0
    try:
        words = connection.getpeercert()
        if words:
            return float(ssl.cert_time_to_seconds(words["notAfter"]))
        data = connection.getpeercert(binary_form=True)  # without words where it was not verified
    except (ValueError, KeyError):
        return 0.0
    if not data:
        return 0.0
    from plasmatui.certs.read import CertificateError, parse_der

    try:
        return parse_der(data).end
    except CertificateError:
        return 0.0
