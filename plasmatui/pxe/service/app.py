"""The boot service as an ASGI application: which request is answered by what."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from plasmatui.pxe.service.answers import BOOTSTRAP, JSON, Answer, Source, Terms
from plasmatui.pxe.service.butane import Butane, ButaneError
from plasmatui.pxe.service.complaints import Complaints
from plasmatui.pxe.service.files import FileResponse, Images, not_found
from plasmatui.pxe.service.macs import parse_mac
from plasmatui.pxe.service.meters import Meters
from plasmatui.pxe.service.neighbours import servers_here
from plasmatui.pxe.service.once import INSTALLED, BootStates, StateFileError
from plasmatui.pxe.service.query import Query, make_query, parse_query
from plasmatui.pxe.service.ranges import Version, plan
from plasmatui.pxe.service.scripts import grub_menu, pixiecore_json
from plasmatui.pxe.site import SCRIPT

_HOST: Final = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,255}")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")  # what is refused is refused below
_ROOTS: Final = ("images", "assets", "boot")

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass
class BootApp:
    """What the answers are made of.

    Args:
        images: None when no files are served.
        states: None when each machine boots from the network whenever it asks.
        complaints: what goes wrong with answers, for people.
    """

    source: Source
    images: Images | None
    states: BootStates | None
    complaints: Complaints = field(default_factory=lambda: Complaints(lambda _: None))
    meters: Meters = field(default_factory=Meters)
    butane: Butane = field(default_factory=Butane)
    began: float = field(default_factory=time.time)

    def make(self) -> Starlette:
        """The application."""
        meters, source = self.meters, self.source
        meters.watch("rules", "Rules that machines are matched with.", lambda: source.rules)
        meters.watch("problems", "Damaged files and other problems of the store.", lambda: len(source.problems))
        plain: dict[str, Endpoint] = {
            "/ipxe": self.ipxe,
            "/boot.ipxe": self.bootstrap,
            "/boot.ipxe.0": self.bootstrap,
            "/grub": self.grub,
            "/pixiecore/v1/boot/{mac:path}": self.pixiecore,
            "/cloud": self.configuration,
            "/ignition": self.configuration,
            "/generic": self.configuration,
            "/metadata": self.configuration,
            "/health": self.health,
            "/metrics": self.metrics,
            "/": self.home,
        }
        if source.kind == "inventory":
            plain[f"/boot/{SCRIPT}"] = self.bootstrap  # the name that DHCP servers rendered from the inventory give
        routes = [Route(path, self._guarded(endpoint), methods=_METHODS) for path, endpoint in plain.items()]
        routes += [Route(f"/{root}/{{path:path}}", self._guarded(self.file), methods=_METHODS) for root in _ROOTS]
        routes.append(Route("/installed", self.installed, methods=_METHODS))
        app = Starlette(routes=routes, exception_handlers={404: _missing, StateFileError: _no_states})
        app.router.redirect_slashes = False
        app.add_middleware(_OneSlash)
        return app

    def _guarded(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Refuse methods that change things. bootcfg and matchbox take any: iPXE's POST of settings works there."""

        async def answer(request: Request) -> Response:
            reads = request.method in ("GET", "HEAD")
            if not reads and not (request.method == "POST" and self.source.kind != "inventory"):
                return PlainTextResponse("Method Not Allowed\n", 405, {"allow": "GET, HEAD"})
            return await endpoint(request)

        return answer

    async def bootstrap(self, request: Request) -> Response:
        at_root = request.url.path.count("/") == 1
        return PlainTextResponse(BOOTSTRAP if at_root else BOOTSTRAP.replace("chain ipxe?", "chain /ipxe?"))

    async def home(self, request: Request) -> Response:
        return PlainTextResponse("matchbox\n") if self.source.kind == "matchbox" else not_found()

    async def ipxe(self, request: Request) -> Response:
        """The machine's script, or one that leaves it to its disk."""
        await self.source.refresh()
        query = _query(request)
        script = self.source.script(query, self._terms(query.mac, request))
        if script is None:
            who = " ".join(f"{name}={value}" for name, value in query.labels.items() if name in ("mac", "uuid"))
            choice = self.source.choice(query)
            why = choice.why or choice.steps[-1]
            self.complaints.tell(f"a machine gets no script ({who or 'it names neither mac nor uuid'}): {why}")
            return not_found()
        return PlainTextResponse(script)

    async def grub(self, request: Request) -> Response:
        await self.source.refresh()
        query = _query(request)
        if self.states is not None and query.mac is not None and self._installed_since(query.mac):
            return PlainTextResponse("exit\n")
        boot = self.source.boot(query) if self.source.kind != "bootcfg" else None
        return PlainTextResponse(grub_menu(boot)) if boot is not None else not_found()

    async def pixiecore(self, request: Request) -> Response:
        """The Pixiecore API; it knows a machine by its MAC alone."""
        mac = parse_mac(request.path_params["mac"])
        if mac is None:
            return PlainTextResponse("invalid MAC address\n", 400)
        await self.source.refresh()
        if self.states is not None and self._installed_since(mac):
            return not_found()  # pixiecore then leaves the machine alone
        boot = self.source.boot(make_query({"mac": mac}))
        return Response(pixiecore_json(boot), media_type=JSON) if boot is not None else not_found()

    async def configuration(self, request: Request) -> Response:
        """`/cloud`, `/ignition`, `/generic`, `/metadata`."""
        await self.source.refresh()
        answer = self.source.answer(request.url.path[1:], _query(request))
        if answer is not None and answer.butane:
            try:
                answer = await self.butane.convert(answer)
            except ButaneError as error:
                self.complaints.tell(f"{request.url.path}: {error}")
                answer = None
        return _answer(answer, request) if answer is not None else not_found()

    async def file(self, request: Request) -> Response:
        """A file below the images' directory."""
        if self.images is None:
            return not_found()
        parts = request.scope["raw_path"].split(b"/", 2)
        if len(parts) < 3:  # the slash behind the root is encoded
            return not_found()
        try:
            file = await asyncio.to_thread(self.images.open, os.fsdecode(unquote_to_bytes(parts[2])))
        except PermissionError:
            return PlainTextResponse("403 forbidden\n", 403)
        except OSError:
            return not_found()
        wire = request.scope.get("state", {}).get("wire")

        def broken() -> None:
            self.complaints.tell(
                f"{request.url.path} was changed while it was sent, transfers were broken off: "
                "publish images under a new name, and rename them"
            )

        return FileResponse(file, request.headers, wire.abort if wire is not None else None, broken)

    async def installed(self, request: Request) -> Response:
        """A machine says that it is installed, with the token of the script that it booted with."""
        query = _query(request)
        mac = query.mac
        if self.states is None:
            return not_found()
        if request.method != "POST":
            return PlainTextResponse("Method Not Allowed\n", 405, {"allow": "POST"})
        if mac is None:
            return PlainTextResponse("invalid MAC address\n", 400)
        if not self.states.redeem(mac, query.values.get("token", "")):
            return PlainTextResponse("this token is not one of the machine's present boot\n", 403)
        await asyncio.to_thread(self.states.set, self.source.macs(mac), INSTALLED, "the machine")
        self.meters.count_installed()
        return PlainTextResponse(f"{mac} is installed\n")

    async def health(self, request: Request) -> Response:
        """Whether the service is well, and what else of a network boot runs on this host."""
        await self.source.refresh()
        problems = [str(problem) for problem in self.source.problems if not problem.warning]
        answer = {
            "status": "degraded" if problems else "healthy",
            "services": {**await asyncio.to_thread(servers_here), "http": "running"},
            "source": self.source.kind,
            "rules": self.source.rules,
            "problems": problems[:100],
            "uptime_seconds": round(time.time() - self.began, 1),
        }
        return Response(json.dumps(answer) + "\n", media_type=JSON)

    async def metrics(self, request: Request) -> Response:
        return Response(self.meters.text(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    def _installed_since(self, mac: str) -> str:
        """When a machine was installed, for people; empty when it waits for an installation.

        Raises:
            StateFileError: the states cannot be read; the machine gets an error, and no installer.
        """
        assert self.states is not None
        machine = self.states.get(mac)
        if machine is None or machine.state != INSTALLED:
            return ""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(machine.since))

    def _terms(self, mac: str | None, request: Request) -> Terms:
        """Whether the machine is installed, else how it can say so."""
        host = request.headers.get("host", "")
        if not _HOST.fullmatch(host):
            host = ""
        if self.states is None or mac is None:
            return Terms(host)
        since = self._installed_since(mac)
        if since or not host:
            return Terms(host, since)
        url = f"http://{host}/installed?mac={mac}&token={self.states.token(mac)}"
        return Terms(host, "", (f"plasmatui.installed={url}",))


class _OneSlash:
    """Takes several slashes for one, as in `http://SERVER:8080//boot.ipxe`. Go's servers redirect, which not every
    loader follows."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and b"//" in scope["raw_path"]:
            path, raw = re.sub("/{2,}", "/", scope["path"]), re.sub(b"/{2,}", b"/", scope["raw_path"])
            scope = {**scope, "path": path, "raw_path": raw}
        await self._app(scope, receive, send)


def _query(request: Request) -> Query:
    return parse_query(request.scope["query_string"].decode("latin-1"))


def _answer(answer: Answer, request: Request) -> Response:
    """A configuration, or part of it where it is a file as it stands."""
    headers = {"content-type": answer.type}
    if answer.modified is None:
        return Response(answer.body, headers=headers)
    version = Version("", int(answer.modified))
    wanted: Mapping[str, str] = {name: request.headers[name] for name in request.headers}
    part = plan(wanted, version, len(answer.body))
    headers |= {"last-modified": formatdate(version.modified, usegmt=True), "accept-ranges": "bytes"}
    if part.status == 206:
        headers["content-range"] = f"bytes {part.begin}-{part.end - 1}/{len(answer.body)}"
    elif part.status == 416:
        headers["content-range"] = f"bytes */{len(answer.body)}"
    return Response(answer.body[part.begin : part.end], part.status, headers)


async def _missing(request: Request, error: Exception) -> Response:
    return not_found()


async def _no_states(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 503)
