"""A Redfish BMC on an HTTPS port: authentication, sessions and orders (DSP0266). Resources stand in `redfish_tree`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import math
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from plasmatui.model.words import PowerAction
from plasmatui.sim import webserver
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.machine import Machine
from plasmatui.sim.redfish_shapes import CHASSIS, ENTRIES, PAGE, ROOT, SESSIONS, SYSTEM, collection, resource
from plasmatui.sim.redfish_tree import RESET_TYPES, TARGETS, Tree
from plasmatui.sim.session import User
from plasmatui.sim.tls import Authority
from plasmatui.sim.webserver import Json, Request, Response

STOP_LIMIT = 1.0
"""Seconds that conversations get to end when the BMC is switched off."""
SESSION_LIMIT = 8
SESSION_TIMEOUT = 300.0

_ORDERS = {
    "On": PowerAction.ON,
    "ForceOff": PowerAction.OFF,
    "GracefulShutdown": PowerAction.SOFT,
    "ForceRestart": PowerAction.RESET,
    "PowerCycle": PowerAction.CYCLE,
}


@dataclass
class _Session:
    id: str
    user: str
    last: float


def problem(status: int, message_id: str, message: str, **headers: str) -> Response:
    """An error as Redfish words it (DSP0266, section 8.6)."""
    info = {"MessageId": f"Base.1.16.{message_id}", "Message": message, "Severity": "Critical"}
    body = {"error": {"code": f"Base.1.16.{message_id}", "message": message, "@Message.ExtendedInfo": [info]}}
    return Response(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class RedfishBmc:
    """The web server of one BMC.

    Args:
        ipmi_port: told as the port of the serial console.
        touched: called when somebody authenticates.
    """

    def __init__(
        self,
        machine: Machine,
        users: dict[bytes, User],
        authority: Authority,
        address: str,
        ipmi_port: int,
        touched: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._users = users
        self._authority = authority
        self._address = address
        self._touched = touched
        self._tree = Tree(machine, ipmi_port)
        self._sessions: dict[str, _Session] = {}
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._expired = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[object]] = set()
        self._alive = asyncio.Event()
        self._alive.set()

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    async def start(self, listener: socket.socket) -> None:
        """Serve on a bound socket, which is ours from now on."""
        self._socket = listener
        self._expired = "certificate-expired" in self._machine.faults
        context = self._authority.context(self._address, self._machine.name, expired=self._expired)
        self._server = await asyncio.start_server(
            self._connected, sock=listener.dup(), ssl=context, limit=webserver.MAX_HEAD
        )

    async def stop(self) -> None:
        self._alive.set()
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()
        if self._serving:
            # They end by themselves; cancelled with the loop, asyncio would write a traceback for each.
            await asyncio.wait(tuple(self._serving), timeout=STOP_LIMIT)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def faults_changed(self) -> None:
        """Take note of faults that act on connections: a dead BMC, another certificate."""
        if "bmc-dead" in self._machine.faults:
            self._alive.clear()
        else:
            self._alive.set()
        if ("certificate-expired" in self._machine.faults) is not self._expired and self._socket is not None:
            listener = self._socket.dup()
            await self.stop()
            await self.start(listener)

    def forget_sessions(self) -> None:
        self._sessions.clear()

    def expire(self) -> None:
        """End sessions without a request for too long."""
        now = time.monotonic()
        for token in [token for token, session in self._sessions.items() if now - session.last > SESSION_TIMEOUT]:
            del self._sessions[token]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._writers.add(writer)
        self._serving.add(task)
        try:
            await webserver.converse(reader, writer, self._answer, lambda: {"OData-Version": "4.0"})
        finally:
            self._writers.discard(writer)
            self._serving.discard(task)

    async def _answer(self, request: Request) -> Response:
        await self._alive.wait()
        latency = self._machine.faults.number("bmc-latency")
        if latency:
            await asyncio.sleep(latency / 1000)
        return self.respond(request)

    def respond(self, request: Request) -> Response:
        """The answer to a request."""
        path = request.path.rstrip("/") or "/"
        if path == "/redfish":
            return Response(200, {"v1": f"{ROOT}/"})
        if path == ROOT and request.method == "GET":
            return Response(200, self._tree.get(ROOT))
        if path == SESSIONS and request.method == "POST":
            return self._log_in(request)
        refused = self._authenticate(request)
        if refused is not None:
            return refused
        self._touched()
        if request.method == "GET":
            return self._get(path, request)
        if request.method == "DELETE":
            return self._log_out(path)
        if request.method == "PATCH" and path in (SYSTEM, CHASSIS):
            return self._patch(request.body or {}, boot=path == SYSTEM)
        if request.method == "POST" and path == f"{SYSTEM}/Actions/ComputerSystem.Reset":
            return self._reset(request.body or {})
        if request.method == "POST" and path == f"{SYSTEM}/LogServices/SEL/Actions/LogService.ClearLog":
            self._machine.sel.clear()
            return Response(204)
        known = self._tree.get(path) is not None
        return problem(405 if known else 404, "OperationNotAllowed" if known else "ResourceMissingAtURI", path)

    # Authentication

    def _check(self, name: str, password: str) -> bool:
        user = self._users.get(name.encode())
        if user is None or "bmc-auth" in self._machine.faults:
            return False
        return hmac.compare_digest(user.password, password.encode())

    def _authenticate(self, request: Request) -> Response | None:
        """None when the request may go on."""
        token = request.headers.get("x-auth-token")
        if token is not None:
            session = self._sessions.get(token)
            if session is not None:
                session.last = time.monotonic()
                return None
        elif self._basic(request.headers.get("authorization", "")) is not None:
            return self._no_room() if "bmc-slots" in self._machine.faults else None
        return problem(401, "NoValidSession", "There is no valid session.", WWW_Authenticate='Basic realm="BMC"')

    def _basic(self, header: str) -> str | None:
        """The user of a Basic header whose password is right."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return name if self._check(name, password) else None

    def _no_room(self) -> Response:
        return problem(
            503,
            "SessionLimitExceeded",
            "The session could not be made: the limit of sessions is reached.",
            Retry_After="60",
        )

    def _log_in(self, request: Request) -> Response:
        self.expire()
        body = request.body or {}
        name, password = str(body.get("UserName", "")), str(body.get("Password", ""))
        if not self._check(name, password):
            return problem(401, "ResourceAtUriUnauthorized", "The user name or the password is wrong.")
        if len(self._sessions) >= SESSION_LIMIT or "bmc-slots" in self._machine.faults:
            return self._no_room()
        token = secrets.token_hex(16)
        session = _Session(secrets.token_hex(4), name, time.monotonic())
        self._sessions[token] = session
        self._touched()
        location = f"{SESSIONS}/{session.id}"
        return Response(201, self._session_resource(session), {"X-Auth-Token": token, "Location": location})

    def _session_resource(self, session: _Session) -> Json:
        path = f"{SESSIONS}/{session.id}"
        return resource(path, "Session.v1_5_0.Session", f"Session {session.id}", UserName=session.user)

    def _log_out(self, path: str) -> Response:
        for token, session in self._sessions.items():
            if path == f"{SESSIONS}/{session.id}":
                del self._sessions[token]
                self._touched()
                return Response(204)
        return problem(404, "ResourceMissingAtURI", path)

    # Reading

    def _get(self, path: str, request: Request) -> Response:
        if path == ENTRIES:
            return self._page(request)
        if path == SESSIONS:
            members = [f"{SESSIONS}/{session.id}" for session in self._sessions.values()]
            return Response(200, collection(path, "Session", members))
        body = self._tree.get(path)
        for session in self._sessions.values():
            if path == f"{SESSIONS}/{session.id}":
                body = self._session_resource(session)
        if body is None:
            return problem(404, "ResourceMissingAtURI", f"The resource at {path} was not found.")
        tag = f'"{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(304, None, {"ETag": tag})
        return Response(200, body, {"ETag": tag})

    def _page(self, request: Request) -> Response:
        skip, top = request.query.get("$skip", "0"), request.query.get("$top", str(PAGE))
        if not skip.isdecimal() or not top.isdecimal() or not int(top):
            return problem(400, "QueryParameterValueTypeError", "$skip and $top are numbers.")
        return Response(200, self._tree.entries(int(skip), min(int(top), PAGE)))

    # Orders

    def _reset(self, body: Json) -> Response:
        wanted = body.get("ResetType")
        if wanted not in RESET_TYPES:
            return problem(400, "ActionParameterNotSupported", f"ResetType is one of {', '.join(RESET_TYPES)}.")
        machine = self._machine
        if wanted in ("GracefulShutdown", "ForceRestart", "Nmi") and not machine.powered:
            return problem(409, "ResourceInStandby", "The system is off.")
        if wanted == "Nmi":
            machine.sel.log(0x13, 0, b"\x00\xff\xff")
        else:
            machine.order(_ORDERS[wanted])
        return Response(204)

    def _patch(self, body: Json, *, boot: bool) -> Response:
        """Boot override and identify light. All is checked before anything is changed."""
        allowed = {"IndicatorLED", "LocationIndicatorActive"} | ({"Boot"} if boot else set())
        for name in body:
            if name not in allowed:
                return problem(400, "PropertyUnknown", f"The property {name} cannot be set.")
        flags = None
        if "Boot" in body:
            flags = self._boot_flags(body["Boot"])
            if flags is None:
                return problem(400, "PropertyValueNotInList", "A value of Boot is not in the list of allowed ones.")
        led, active = body.get("IndicatorLED"), body.get("LocationIndicatorActive")
        if led not in (None, "Lit", "Blinking", "Off") or not isinstance(active, bool | None):
            return problem(400, "PropertyValueNotInList", "IndicatorLED is Lit, Blinking or Off.")
        if flags is not None:
            self._machine.set_flags(flags)
        if led is not None or active is not None:
            self._machine.set_identify(math.inf if active or (active is None and led != "Off") else 0.0)
        return Response(204)

    def _boot_flags(self, boot: object) -> BootFlags | None:
        """The flags that a Boot object asks for; what it does not name stays. None: a value is not allowed."""
        if not isinstance(boot, dict):
            return None
        now = self._machine.flags
        names = {number: name for name, number in TARGETS.items()}
        target = boot.get("BootSourceOverrideTarget", names.get(now.selector, "None"))
        enabled = boot.get("BootSourceOverrideEnabled", "Continuous" if now.persistent else "Once")
        mode = boot.get("BootSourceOverrideMode", "UEFI" if now.efi else "Legacy")
        if target not in TARGETS or enabled not in ("Once", "Continuous", "Disabled") or mode not in ("UEFI", "Legacy"):
            return None
        efi = mode == "UEFI"
        if enabled == "Disabled" or target == "None":
            return replace(BootFlags(), efi=efi)
        return BootFlags(valid=True, persistent=enabled == "Continuous", efi=efi, selector=TARGETS[target])
