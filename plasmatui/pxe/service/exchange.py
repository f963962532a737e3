"""One request and its answer, as it is logged and measured."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Protocol

from starlette.types import Message, Scope

PROGRESS_FROM: Final = 1024 * 1024
"""Bytes from which on the progress of an answer is worth telling."""

_NEARLY: Final = 128 * 1024
_LONGEST_PAUSE: Final = 0.1


class ClientGoneError(Exception):
    """There is nobody any more to send to."""


class Wire(Protocol):
    """The connection below an exchange."""

    @property
    def lost(self) -> bool:
        """Whether it is gone."""

    def unsent(self) -> int:
        """Bytes that were handed over and that the client does not have yet, as far as that is known."""

    def abort(self) -> None:
        """Break it off at once."""


@dataclass(eq=False)
class Exchange:
    """A request and what became of it.

    Attributes:
        peer: the client's address.
        status: 0 while no answer was begun.
        total: Content-Length, None when there is none.
        handed: bytes of the body that were handed over.
        cut: it was broken off; `left` bytes of `handed` never arrived.
    """

    peer: str
    method: str
    target: str
    http: str
    agent: str
    wire: Wire | None
    began: float = field(default_factory=time.monotonic)
    status: int = 0
    total: int | None = None
    handed: int = 0
    ended: bool = False
    left: int = 0
    told: int = 0

    @property
    def duration(self) -> float:
        return time.monotonic() - self.began

    @property
    def large(self) -> bool:
        """Whether its progress is worth telling."""
        return self.method == "GET" and self.total is not None and self.total >= PROGRESS_FROM

    @property
    def taken(self) -> int:
        """Bytes that the client has, as far as that is known."""
        if self.ended or self.wire is None:
            return max(0, self.handed - self.left)
        return max(0, self.handed - self.wire.unsent())

    def see(self, message: Message) -> None:
        """Note what was sent.

        Raises:
            ClientGoneError: it was not.
        """
        if self.wire is not None and self.wire.lost:
            raise ClientGoneError
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message["headers"]:
                if name == b"content-length":
                    self.total = int(value)
        elif message["type"] == "http.response.body" and self.method != "HEAD":
            self.handed += len(message.get("body", b""))
            if message.get("more_body") and self.wire is not None:
                self.wire.unsent()  # noted there, for the case that the connection is lost with it

    async def settle(self) -> None:
        """Wait until the client has nearly all that was handed over.

        The kernel takes megabytes ahead; without this an answer would count as sent long before it is, and a client
        that leaves in the middle as one that had everything.
        """
        pause = 0.001
        while self.wire is not None and not self.wire.lost and self.wire.unsent() > _NEARLY:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def end(self) -> None:
        """The answer has ended, one way or the other."""
        whole = self.total is None or self.handed >= self.total
        self.left = 0 if whole or self.wire is None else self.wire.unsent()
        self.ended = True


def make_exchange(scope: Scope) -> Exchange:
    """The exchange of an ASGI scope.

    A proxy on the same host says in X-Real-IP for whom it asks; nobody else is believed.
    """
    headers = {name: value for name, value in scope["headers"] if name in (b"user-agent", b"x-real-ip")}
    peer = scope["client"][0] if scope.get("client") else "-"
    real = headers.get(b"x-real-ip", b"").decode("latin-1")
    if real and peer.startswith(("127.", "::1")):
        with contextlib.suppress(ValueError):
            peer = str(ip_address(real))
    query = scope["query_string"].decode("latin-1")
    target = scope.get("raw_path", b"/").decode("latin-1") + (f"?{query}" if query else "")
    return Exchange(
        peer.removeprefix("::ffff:"),
        scope["method"],
        target,
        scope.get("http_version", "1.1"),
        headers.get(b"user-agent", b"").decode("latin-1"),
        scope.get("state", {}).get("wire"),
    )
