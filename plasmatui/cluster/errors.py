"""What can go wrong with a request to a service, in words for people."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

import httpx

from plasmatui.text import clean_line
from plasmatui.tls import EXPIRED, REASONS, FingerprintError, causes

SILENT: Final = "service-silent"
EXPIRED_CERTIFICATE: Final = "certificate-expired"
UNTRUSTED: Final = "certificate-untrusted"
REJECTED: Final = "rejected"

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL, UnicodeError)


class ServiceError(Exception):
    """A service on a node did not do what was asked.

    Attributes:
        id: "certificate-expired", "certificate-untrusted", "service-silent" (no answer: nothing is known), "rejected"
            (it answered with a refusal, or with what cannot be understood).
        cause: why, one clean line. remedy: what to do next.
        status: of HTTP, 0 without an answer.
        uncertain: the request may have taken effect although no answer came.
        unreached: no connection came up within the limit; the host itself may be gone.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name on the wire
        node: str,
        service: str,
        cause: str,
        remedy: str = "",
        *,
        status: int = 0,
        uncertain: bool = False,
        unreached: bool = False,
    ) -> None:
        super().__init__(f"{node}: {service}: {cause}")
        self.id = id
        self.node = node
        self.service = service
        self.cause = cause
        self.remedy = remedy
        self.status = status
        self.uncertain = uncertain
        self.unreached = unreached

    @property
    def message(self) -> str:
        """What happened, to which service on which node, and why, in one line."""
        return str(self)


def from_network(error: Exception, node: str, service: str, *, name: str, port: int, changing: bool) -> ServiceError:
    """The words for an exchange that failed. `name`: the host name that was asked for; `changing`: not a GET."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError | FingerprintError):
            return _distrust(cause, node, service, name)
        if isinstance(cause, ssl.SSLError) and isinstance(error, httpx.ConnectError):
            reason = clean_line(cause.reason or cause.strerror or "handshake ended", 80)
            return ServiceError(
                SILENT, node, service, f"TLS fails at port {port}: {reason}",
                f"Check that the service speaks HTTPS at port {port}: `services` in the inventory.",
            )  # fmt: skip
    unit = f"systemctl status {service}.service"
    remedy = f"Look at `{unit}` on {node}, at its firewall and at `services.{service}` in the inventory."
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        cause_text = f"no connection to port {port} in time"
        return ServiceError(SILENT, node, service, cause_text, remedy, unreached=True)
    uncertain = changing and not isinstance(error, _NOT_SENT)
    if isinstance(error, httpx.ConnectError | UnicodeError | httpx.InvalidURL):
        told = f"no connection to port {port}: {_reason(error)}"
    elif isinstance(error, httpx.TimeoutException | TimeoutError):
        told = "no whole answer in time"
    elif isinstance(error, httpx.NetworkError) or "isconnected" in str(error) or "peer closed" in str(error):
        told = "it ended the connection without a whole answer"
    else:
        told = f"its answer is no HTTP that can be read: {clean_line(str(error), 120)}"
        return ServiceError(REJECTED, node, service, told, remedy, uncertain=uncertain)
    if uncertain:
        told += "; whether it took effect is not known"
    return ServiceError(SILENT, node, service, told, remedy, uncertain=uncertain)


def _distrust(error: ssl.SSLError, node: str, service: str, name: str) -> ServiceError:
    """Runbook, section 8.6: expired, wrong CA, other name."""
    if isinstance(error, FingerprintError):
        told = f"its certificate is not the pinned one: it shows {error.found}"
        remedy = f"If it was given a new certificate, compare and correct `services.{service}.verify_tls`."
        return ServiceError(UNTRUSTED, node, service, told, remedy)
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    message = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
    reason = REASONS.get(code, clean_line(message, 120))
    if code == EXPIRED:
        told = f"its certificate cannot be used: {reason}"
        remedy = f"Issue a new certificate for {name} and restart {service}; compare {node}'s clock with this host's."
        return ServiceError(EXPIRED_CERTIFICATE, node, service, told, remedy)
    if code in (62, 64):
        remedy = f"Issue a certificate for {name}; check that the node's address in the inventory is its own."
        return ServiceError(UNTRUSTED, node, service, f"its certificate is not trusted: {reason}, not {name}", remedy)
    remedy = "Give the CA that signed it as `cluster.ca` in the inventory, or install a certificate of that CA."
    return ServiceError(UNTRUSTED, node, service, f"its certificate is not trusted: {reason}", remedy)


def _reason(error: BaseException) -> str:
    """The system's words ("Connection refused") rather than a library's ("All connection attempts failed")."""
    for cause in reversed(causes(error)):
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return os.strerror(cause.errno)
        if isinstance(cause, socket.gaierror):
            return f"its name does not resolve: {clean_line(str(cause.strerror), 120)}"
    return clean_line(str(error) or type(error).__name__, 120)
