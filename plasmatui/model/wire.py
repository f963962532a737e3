"""The words on the engine's socket: frames of msgpack, a version handshake, requests, answers, pushes.

A frame is four bytes of length (big endian) and one msgpack value. The client speaks first (`Hello`), the engine
answers `Welcome` or `Goodbye`. After that the client sends `Request` and `Cancel`; the engine sends, for each request,
any number of `Item` and exactly one `Reply`, and between them the pushes `Changes`, `LogLines` and `ConsoleData`.
Requests stand in `requests.py`, answers and pushes in `answers.py`; all of them are names of this module.
"""

from __future__ import annotations

import msgspec

from plasmatui.model.answers import *
from plasmatui.model.checks import *
from plasmatui.model.node import Node
from plasmatui.model.past import *
from plasmatui.model.pxe import *
from plasmatui.model.requests import *
from plasmatui.model.words import Role

PROTOCOL = 20
"""Raised whenever a struct here changes in a way that an older side cannot read."""

MAX_FRAME = 16 * 1024 * 1024
"""Bytes. A longer frame ends the connection."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """`kind` is "tui" or "cli"; `user` and `terminal` are what others see ("anna", "pts/3"). `address`: where the SSH
    session comes from, "" for none."""

    protocol: int
    version: str
    kind: str
    user: str
    terminal: str
    read_only: bool = False
    address: str = ""


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """`client` is this connection's number. `notices`: warnings about the inventory and the engine, for people. `role`:
    what this client may do."""

    protocol: int
    version: str
    pid: int
    client: int
    inventory: str
    cluster: str
    environment: str
    read_only: bool
    nodes: tuple[Node, ...]
    notices: tuple[str, ...] = ()
    role: Role = Role.ADMIN


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """The engine ends the connection. `id`: "version", "peer", "role", "stopping", "too-slow", "protocol"."""

    id: str
    message: str


class Request(msgspec.Struct, frozen=True, tag="request"):
    id: int
    body: RequestBody


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop working on request `id`; its `Reply` still comes, with Problem "cancelled"."""

    id: int


ClientMessage = Request | Cancel


class Item(msgspec.Struct, frozen=True, tag="item"):
    id: int
    body: ItemBody


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    id: int
    body: ReplyBody | None = None
    problem: Problem | None = None


EngineMessage = Item | Reply | Changes | LogLines | ConsoleData | Goodbye

HelloAnswer = Welcome | Goodbye

_encoder = msgspec.msgpack.Encoder()


def encode(
    message: Hello | Welcome | Goodbye | Request | Cancel | Item | Reply | Changes | LogLines | ConsoleData,
) -> bytes:
    """The frame of `message`, its length in front."""
    buffer = bytearray(4)
    _encoder.encode_into(message, buffer, 4)
    buffer[:4] = (len(buffer) - 4).to_bytes(4, "big")
    return bytes(buffer)


HELLO = msgspec.msgpack.Decoder(Hello)
HELLO_ANSWER = msgspec.msgpack.Decoder(HelloAnswer)
CLIENT_MESSAGE = msgspec.msgpack.Decoder(ClientMessage)
ENGINE_MESSAGE = msgspec.msgpack.Decoder(EngineMessage)

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoders raise for bytes that are no message: text that is no UTF-8, and endless nesting, among them."""
