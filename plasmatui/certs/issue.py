"""A small authority of the cluster's own, in the secrets directory: its CA, and one certificate per node.

`SECRETS/_ca` holds the CA and its key, `SECRETS/NODE` what the node gets, `SECRETS/_old` what was replaced: outside the
nodes' directories, which installations take along as they are. No node's name begins with an underscore (RFC 1123).

Names: the node alone and with its domain, its production address, and `localhost` with its address, since services of a
node ask each other there (runbook, sections 5.5 and 6).
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from plasmatui.certs.read import SOON, Certificate, CertificateError, public_der, read_file
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.secrets import Secret, SecretError

AUTHORITY, OLD = "_ca", "_old"
CA_CERT, CA_KEY = "ca-cert.pem", "ca-key.pem"
CA_DAYS, NODE_DAYS = 3650, 365
"""As the runbook's (section 4.5)."""
KEY_MODE, CERT_MODE = 0o400, 0o644

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_EARLY: Final = datetime.timedelta(hours=1)
"""Certificates begin so long ago: clocks differ."""


class IssueError(Exception):
    """Nothing was issued, or not all: what, why, and what to do. Never a key, never a passphrase."""


@dataclass(frozen=True)
class Item:
    """One line of a plan. `node` is "" for the CA; `what`: "make", "renew" or "keep"."""

    node: str
    what: str
    path: Path
    text: str


@dataclass(frozen=True)
class Plan:
    """What would be issued. `ca`: the certificate of the authority that is there, None when it is made."""

    directory: Path
    items: tuple[Item, ...]
    ca: Certificate | None

    @property
    def changes(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.what != "keep")


def names(inventory: Inventory, node: str) -> tuple[str, ...]:
    """What a node's certificate names."""
    address = inventory.nodes[node].production_ip
    full = (f"{node}.{inventory.domain}",) if inventory.domain else ()
    return (*full, node, "localhost", *((address,) if address else ()), "127.0.0.1")


def make_plan(inventory: Inventory, nodes: Iterable[str], *, renew: bool, now: float | None = None) -> Plan:
    """Look at what is there; changes nothing.

    Raises:
        IssueError: the inventory names no secrets, they lie in the flake or are open to others, or there is a CA
            without its key.
    """
    if not inventory.secrets:
        raise IssueError("the inventory names no directory of secrets: add `secrets: /srv/secrets`")
    directory = Path(inventory.secrets)
    flake = inventory.flake_directory
    if flake is not None and directory.resolve().is_relative_to(flake):
        raise IssueError(f"{directory} lies in the flake {flake}, which nix copies where everybody can read it")
    if directory.is_dir() and directory.stat().st_mode & 0o077:
        raise IssueError(f"{directory} is open to others: chmod 700 {directory}")
    ca = _authority(inventory, directory)
    at = directory / AUTHORITY / CA_CERT
    told = "make the cluster's CA, for ten years" if ca is None else f"use the CA {ca.subject}"
    items = [Item("", "make" if ca is None else "keep", at, told)]
    moment = time.time() if now is None else now
    items += [_item(inventory, directory, node, ca, renew, moment) for node in nodes]
    return Plan(directory, tuple(items), ca)


def _authority(inventory: Inventory, directory: Path) -> Certificate | None:
    place = directory / AUTHORITY
    if (place / CA_KEY).exists() or (place / CA_CERT).exists():
        try:
            found = read_file(place / CA_CERT)[0]
        except CertificateError as error:
            raise IssueError(f"{place / CA_CERT}: {error}; put the CA's certificate there") from None
        if not (place / CA_KEY).exists():
            raise IssueError(f"{place / CA_KEY} is not there: put the key of the CA {found.subject} there")
        if not found.authority:
            raise IssueError(f"{place / CA_CERT}: {found.subject} is no CA; put the CA's certificate there")
        return found
    if inventory.ca and Path(inventory.ca).exists():
        raise IssueError(
            f"there is a CA already, {inventory.ca} (cluster.ca): put it as {place / CA_CERT} and its key as "
            f"{place / CA_KEY}, or issue with it where its key is"
        )
    return None


def _item(inventory: Inventory, directory: Path, node: str, ca: Certificate | None, renew: bool, now: float) -> Item:
    path = directory / node / f"{node}-cert.pem"
    wanted = names(inventory, node)
    if not path.exists() and not (directory / node / f"{node}-key.pem").exists():
        return Item(node, "make", path, f"issue for {', '.join(wanted)}")
    try:
        found = read_file(path)[0]
        left = f"ends in {found.days_left(now)} days" if found.end > now else "has ended"
        ours = ca is not None and found.issued_by(ca)
        told = f"{left}{'' if ours else ', of another CA'}"
        urgent = found.end - now < SOON or not ours
    except CertificateError as error:
        told, urgent = str(error), True
    if renew:
        return Item(node, "renew", path, f"issue again for {', '.join(wanted)}; the old one {told}")
    return Item(node, "keep", path, f"there already, {told}{'; --renew issues another' if urgent else ''}")


def issue(inventory: Inventory, plan: Plan, passphrase: Secret) -> tuple[Path, ...]:
    """Do what a plan says; the files that were written.

    Args:
        passphrase: of the CA's key; not given for none.

    Raises:
        IssueError: the CA's key cannot be used, or a file cannot be written; what was issued before stays.
    """
    secret = _revealed(passphrase)
    written: list[Path] = []
    try:
        make_directory(plan.directory)
        key, certificate = _ready_authority(inventory, plan, secret, written)
        for item in plan.changes:
            if item.node:
                written += _issue_one(inventory, plan.directory, item.node, key, certificate)
    except OSError as error:
        done = f"; {len(written)} files were written before" if written else ""
        raise IssueError(f"{error.filename}: {error.strerror or error}{done}; mend that and issue again") from None
    return tuple(written)


def make_directory(path: Path) -> None:
    """A private directory, unless it is there. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _revealed(passphrase: Secret) -> bytes | None:
    if not passphrase.given:
        return None
    try:
        found = passphrase.reveal()
    except SecretError as error:
        raise IssueError(f"the CA's passphrase cannot be had: {error}") from None
    if not found:
        raise IssueError(f"the CA's passphrase is empty ({passphrase.origin})")
    return found.encode()


def _ready_authority(
    inventory: Inventory, plan: Plan, secret: bytes | None, written: list[Path]
) -> tuple[_Key, x509.Certificate]:
    place = plan.directory / AUTHORITY
    if plan.ca is not None:
        return _load_key(place / CA_KEY, secret, plan.ca), plan.ca.parsed
    make_directory(place)
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = _sign_authority(inventory.cluster, key)
    # The key first, and neither over another: two who make a CA at the same time end with one.
    write_new(place / CA_KEY, _pem(key, secret), 0o600)
    written.append(place / CA_KEY)
    write_new(place / CA_CERT, certificate.public_bytes(serialization.Encoding.PEM), CERT_MODE)
    written.append(place / CA_CERT)
    return key, certificate


def _load_key(path: Path, secret: bytes | None, ca: Certificate) -> _Key:
    mode = path.stat().st_mode
    if mode & 0o077:
        raise IssueError(f"{path} is open to others: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), secret)
    except TypeError:
        told = "needs a passphrase: --passphrase env:NAME" if secret is None else "has no passphrase, but one was given"
        raise IssueError(f"{path} {told}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise IssueError(f"{path} cannot be read as a key: a wrong passphrase, or another format than PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise IssueError(f"{path} is neither an EC nor an RSA key")
    if public_der(key.public_key()) != ca.public_key:
        raise IssueError(f"{path} is not the key of {CA_CERT} beside it")
    return key


def _issue_one(
    inventory: Inventory, directory: Path, node: str, ca_key: _Key, ca: x509.Certificate
) -> tuple[Path, ...]:
    return put_pair(directory, node, sign_pair(inventory, node, ca_key, ca))


@dataclass(frozen=True, repr=False)
class Pair:
    """A node's key and certificate with the CA that signed it, as PEM. Its text forms hold none of them."""

    key: bytes
    certificate: bytes
    ca: bytes

    def files(self, node: str) -> tuple[tuple[str, bytes, int], ...]:
        """Name, content and mode of each file of a node's secrets."""
        return (
            (f"{node}-key.pem", self.key, KEY_MODE),
            (f"{node}-cert.pem", self.certificate, CERT_MODE),
            (CA_CERT, self.ca, CERT_MODE),
        )


def open_authority(inventory: Inventory, passphrase: Secret) -> tuple[_Key, x509.Certificate]:
    """The key and the certificate of the authority that is there. Raises IssueError: there is none, or none usable."""
    plan = make_plan(inventory, (), renew=False)
    if plan.ca is None:
        raise IssueError(f"there is no CA in {plan.directory / AUTHORITY}: plasmatui certs issue makes one")
    try:
        return _load_key(plan.directory / AUTHORITY / CA_KEY, _revealed(passphrase), plan.ca), plan.ca.parsed
    except OSError as error:
        raise IssueError(f"{error.filename}: {error.strerror or error}") from None


def sign_pair(inventory: Inventory, node: str, ca_key: _Key, ca: x509.Certificate) -> Pair:
    """A new key and certificate for a node; writes nothing. Raises IssueError: the CA ends too soon."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign_node(names(inventory, node), key, ca_key, ca)
    pem = serialization.Encoding.PEM
    return Pair(_pem(key, None), certificate.public_bytes(pem), ca.public_bytes(pem))


def put_pair(directory: Path, node: str, pair: Pair) -> tuple[Path, ...]:
    """Put a pair into a node's secrets; what it replaces is kept. Twice is as once. Raises OSError."""
    place = directory / node
    make_directory(place)
    files = [(place / name, data, mode) for name, data, mode in pair.files(node)]
    _keep(directory / OLD / node, [path for path, data, _ in files if path.exists() and path.read_bytes() != data])
    for path, data, mode in files:
        replace(path, data, mode)
    return tuple(path for path, _, _ in files)


def _keep(old: Path, paths: list[Path]) -> None:
    """Copies of what will be replaced, with modes, in a directory of this moment."""
    if not paths:
        return
    place = old / time.strftime("%Y%m%dT%H%M%S")
    while place.exists():
        place = place.with_name(f"{place.name}-{secrets.token_hex(2)}")
    for each in (old.parent, old, place):
        make_directory(each)
    for path in paths:
        write_new(place / path.name, path.read_bytes(), path.stat().st_mode & 0o777)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not be there; nobody else may read it at any moment if `mode` says so. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, data: bytes, mode: int) -> None:
    """Put a file in place in one step. Raises OSError."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_new(beside, data, mode)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _pem(key: ec.EllipticCurvePrivateKey, secret: bytes | None) -> bytes:
    how = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def _builder(subject: str, issuer: x509.Name | None, days: int) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _sign_authority(cluster: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return (
        _builder(f"{cluster} CA", None, CA_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )


def _sign_node(
    wanted: tuple[str, ...], key: ec.EllipticCurvePrivateKey, ca_key: _Key, ca: x509.Certificate
) -> x509.Certificate:
    left = (ca.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days
    if left < 1:
        raise IssueError("the CA has ended, or ends within a day: make a new one, and issue every certificate again")
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(wanted[0], ca.subject, min(NODE_DAYS, left))
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip
