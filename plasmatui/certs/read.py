"""What a certificate says."""

from __future__ import annotations

import ipaddress
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning

from plasmatui.text import clean_line

LARGEST: Final = 256 * 1024
"""Bytes of a file that is read as certificates."""
SOON: Final = 30 * 86400.0
"""Seconds before its end from which on a certificate ends soon."""


class CertificateError(ValueError):
    """No certificate that can be read; the message says why, never what was found."""


@dataclass(frozen=True)
class Certificate:
    """A certificate in words.

    Attributes:
        names: DNS names and addresses of its subject alternative name; empty when it has none.
        begin, end: Unix seconds.
        authority: whether it may sign others.
        public_key: as DER, to compare.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    begin: float
    end: float
    authority: bool
    public_key: bytes
    parsed: x509.Certificate

    def days_left(self, now: float) -> int:
        """Whole days until it ends; negative when it has ended."""
        return int((self.end - now) // 86400)

    def issued_by(self, other: Certificate) -> bool:
        """Whether another one's key signed it, and that one may."""
        try:
            self.parsed.verify_directly_issued_by(other.parsed)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return other.authority


def parse_der(data: bytes) -> Certificate:
    """Raises CertificateError."""
    try:
        return _words(x509.load_der_x509_certificate(data))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"no certificate that can be read ({type(error).__name__})") from None


def parse_pem(data: bytes) -> tuple[Certificate, ...]:
    """Every certificate of a file, one or more. Raises CertificateError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return tuple(_words(each) for each in x509.load_pem_x509_certificates(data))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"no certificate that can be read ({type(error).__name__})") from None


def read_file(path: Path) -> tuple[Certificate, ...]:
    """Raises CertificateError: it cannot be read, or holds none."""
    try:
        with path.open("rb") as file:
            return parse_pem(file.read(LARGEST))
    except OSError as error:
        raise CertificateError(error.strerror or str(error)) from None


def key_fits(certificate: Certificate, key: bytes) -> bool | None:
    """Whether a private key (PEM) is the certificate's; None when it is encrypted or cannot be read."""
    try:
        private = serialization.load_pem_private_key(key, None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return None
    return public_der(private.public_key()) == certificate.public_key


def public_der(key: object) -> bytes:
    """A public key as DER."""
    made = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    assert isinstance(made, bytes)
    return made


def missing_names(certificate: Certificate, wanted: Iterable[str]) -> tuple[str, ...]:
    """Names and addresses that it should name and does not. Wildcards cover one label (RFC 6125, section 6.4.3)."""
    have = {name.lower() for name in certificate.names}
    return tuple(
        name for name in wanted if name.lower() not in have and f"*.{name.lower().partition('.')[2]}" not in have
    )


def _words(parsed: x509.Certificate) -> Certificate:
    return Certificate(
        _name(parsed.subject),
        _name(parsed.issuer),
        _alternatives(parsed),
        parsed.not_valid_before_utc.timestamp(),
        parsed.not_valid_after_utc.timestamp(),
        _authority(parsed),
        public_der(parsed.public_key()),
        parsed,
    )


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return clean_line(str(common[0].value) if common else name.rfc4514_string(), 120)


def _alternatives(parsed: x509.Certificate) -> tuple[str, ...]:
    try:
        found = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [
        each
        for each in found.get_values_for_type(x509.IPAddress)
        if isinstance(each, ipaddress.IPv4Address | ipaddress.IPv6Address)
    ]
    names = [*found.get_values_for_type(x509.DNSName), *map(str, addresses)]
    return tuple(clean_line(name, 120) for name in names[:100])


def _authority(parsed: x509.Certificate) -> bool:
    """A certificate without the extension is none (RFC 5280, section 4.2.1.9)."""
    try:
        return bool(parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False
