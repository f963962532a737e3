"""Certificates of simulated BMCs and services: an authority per rack, a certificate per BMC and per node."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority that lives in a directory of its own; made anew for each rack.

    Attributes:
        ca_path: its certificate, for those who verify. ca_key: its private key, as PEM.
        server_key: of all its certificates, as PEM.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._server_key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated rack CA")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 60 * _DAY)
            .not_valid_after(now + 365 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_path = directory / "ca.pem"
        self.ca_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._key_path = directory / "server.key"
        self.ca_key, self.server_key = (
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            for key in (self._key, self._server_key)
        )
        descriptor = os.open(self._key_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.server_key)

    def context(self, address: str, name: str, *, expired: bool = False) -> ssl.SSLContext:
        """A server's context with a certificate for one address; an expired one ended a week ago."""
        return self._issue(f"{name} BMC", [address], [name], -7 if expired else 90)

    def service_context(self, address: str, host: str, *, days: float = 90) -> ssl.SSLContext:
        """A context for the services of a node, known by its host name, its address and `localhost`.

        Args:
            days: how long the certificate is valid from now on; negative: it has expired.
        """
        return self._issue(host, [address, "127.0.0.1"], [host, host.partition(".")[0], "localhost"], days)

    def node_certificate(self, address: str, host: str, *, days: float = 90) -> bytes:
        """The certificate of `service_context`, as PEM, for a node's secrets."""
        names = [host, host.partition(".")[0], "localhost"]
        return self._certificate(host, [address, "127.0.0.1"], names, days)

    def _issue(self, subject: str, addresses: list[str], names: list[str], days: float) -> ssl.SSLContext:
        path = self._directory / f"{names[0]}.pem"
        path.write_bytes(self._certificate(subject, addresses, names, days))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path, self._key_path)
        return context

    def _certificate(self, subject: str, addresses: list[str], names: list[str], days: float) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        end = now + days * _DAY
        alternatives = [
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
            *map(x509.DNSName, names),
        ]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(self._name)
            .public_key(self._server_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, end) - 30 * _DAY)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
