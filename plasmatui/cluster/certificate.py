"""Until when the certificate is valid that a service showed, read from the connection that its answer came over."""

from __future__ import annotations

import ssl
from typing import Any

import httpx


def of(response: httpx.Response) -> Any:
    """The TLS side of an answer's connection, one object per connection; None when it cannot be had."""
    stream = response.extensions.get("network_stream")
    return stream.get_extra_info("ssl_object") if stream is not None else None


def end(shown: Any) -> float:
    """Unix seconds of the end of the certificate that the other side showed, 0 when it cannot be read."""
    try:
        words = shown.getpeercert()
        if words:
            return float(ssl.cert_time_to_seconds(words["notAfter"]))
        data = shown.getpeercert(binary_form=True)  # without words where it was not verified
    except (ValueError, KeyError):
        return 0.0
    if not data:
        return 0.0
    from plasmatui.certs.read import CertificateError, parse_der

    try:
        return parse_der(data).end
    except CertificateError:
        return 0.0
