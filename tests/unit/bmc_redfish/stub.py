"""A Redfish service for tests: HTTPS with keep-alive on loopback, scripted resources, sessions, everything recorded."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import hashlib
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from plasmatui.bmc.controller import BmcTarget
from plasmatui.inventory.secrets import Secret

USER, PASSWORD = "admin", "s3cret-word"
SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"


@dataclass(frozen=True)
class Certificate:
    """Files of a self-signed certificate, and its fingerprint as `verify_tls` takes it."""

    cert: Path
    key: Path
    pin: str

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


def make_certificate(directory: Path, name: str, address: str = "127.0.0.1", *, days: int = 30) -> Certificate:
    """Self-signed, for `address`; with negative `days` it expired that long ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Certificate(cert_file, key_file, "sha256:" + hashlib.sha256(der).hexdigest())


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    drop: bool = False
    """End the connection instead of answering."""
    hang: bool = False
    """Never answer."""


Handler = Callable[[Asked], Reply]


def error(status: int, message_id: str = "", message: str = "") -> Reply:
    info = [{"MessageId": message_id, "Message": message}]
    return Reply(status, {"error": {"code": "Base.1.8.GeneralError", "@Message.ExtendedInfo": info}})


class Stub:
    """Resources at `resources`; `handlers` go first. Sessions are those of DSP0266."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[Asked] = []
        self.connections = 0
        self.tokens: set[str] = set()
        self.logins = 0
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.resources: dict[str, Any] = {
            "/redfish/v1/": {
                "RedfishVersion": "1.15.0",
                "Systems": {"@odata.id": "/redfish/v1/Systems"},
                "Chassis": {"@odata.id": "/redfish/v1/Chassis"},
                "Links": {"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}},
            },
            "/redfish/v1/Systems": {"Members": [{"@odata.id": SYSTEM}]},
            SYSTEM: {
                "Id": "1",
                "PowerState": "Off",
                "LocationIndicatorActive": False,
                "Boot": {
                    "BootSourceOverrideTarget": "None",
                    "BootSourceOverrideEnabled": "Disabled",
                    "BootSourceOverrideMode": "UEFI",
                    "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd", "BiosSetup"],
                },
                "Actions": {
                    "#ComputerSystem.Reset": {
                        "target": RESET,
                        "ResetType@Redfish.AllowableValues": [
                            "On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle",
                        ],
                    }
                },
                "Links": {
                    "Chassis": [{"@odata.id": "/redfish/v1/Chassis/1"}],
                    "ManagedBy": [{"@odata.id": "/redfish/v1/Managers/1"}],
                },
            },
        }  # fmt: skip

    @property
    def system(self) -> dict[str, Any]:
        found: dict[str, Any] = self.resources[SYSTEM]
        return found

    def on(self, method: str, path: str, reply: Reply | Handler) -> None:
        self.handlers[method, path] = reply if callable(reply) else lambda _: reply

    def seen(self, method: str, path: str = "") -> list[Asked]:
        return [one for one in self.asked if one.method == method and path in ("", one.path)]

    def target(self, verify: bool | str, **changes: Any) -> BmcTarget:
        settings: dict[str, Any] = {
            "node": "node01",
            "driver": "redfish",
            "address": "127.0.0.1",
            "port": self.port,
            "username": USER,
            "password": Secret(literal=PASSWORD),
            "verify_tls": verify,
        }
        return BmcTarget(**{**settings, **changes})

    def answer(self, asked: Asked) -> Reply:
        if handler := self.handlers.get((asked.method, asked.path)):
            return handler(asked)
        if asked.path == "/redfish/v1/SessionService/Sessions":
            return self._log_in(asked)
        if asked.path != "/redfish/v1/" and not self._allowed(asked):
            return error(401, "Base.1.8.NoValidSession", "There is no valid session.")
        if asked.method == "DELETE":
            self.tokens.discard(asked.headers.get("x-auth-token", ""))
            return Reply(204)
        if asked.method == "GET":
            body = self.resources.get(asked.path)
            return error(404, "Base.1.8.ResourceMissingAtURI", "Not here.") if body is None else Reply(body=body)
        if asked.method == "PATCH" and asked.path in self.resources:
            _merge(self.resources[asked.path], asked.body)
            return Reply(204)
        return Reply(204) if asked.path == RESET else error(405)

    def _log_in(self, asked: Asked) -> Reply:
        if asked.body != {"UserName": USER, "Password": PASSWORD}:
            return error(401, "Base.1.8.ResourceAtUriUnauthorized", "Invalid username or password.")
        self.logins += 1
        token = f"token{self.logins}"
        self.tokens.add(token)
        place = f"/redfish/v1/SessionService/Sessions/{self.logins}"
        return Reply(201, {"Id": str(self.logins)}, {"X-Auth-Token": token, "Location": place})

    def _allowed(self, asked: Asked) -> bool:
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return asked.headers.get("x-auth-token") in self.tokens or asked.headers.get("authorization") == basic

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                asked = await _request(reader)
                self.asked.append(asked)
                reply = self.answer(asked)
                if reply.hang:
                    await reader.read()
                if reply.drop or reply.hang:
                    break
                writer.write(_response(reply))
                await writer.drain()
        writer.close()


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    data = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, json.loads(data) if data else None)


def _response(reply: Reply) -> bytes:
    data = reply.raw if reply.raw is not None else b"" if reply.body is None else json.dumps(reply.body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(data)), **reply.headers}
    if reply.status in (204, 304):
        del headers["Content-Length"]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode("latin-1") + data


def _merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


@contextlib.asynccontextmanager
async def serving(stub: Stub, certificate: Certificate, address: str = "127.0.0.1") -> AsyncIterator[Stub]:
    server = await asyncio.start_server(stub.serve, address, stub.port, ssl=certificate.context())
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()
