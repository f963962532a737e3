"""BMCs over IPMI: logons that are damaged, packets that are forged, consoles that lie, records that are nonsense."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Final

from plasmatui.bmc import helpers as helper_module
from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.helpers import Helpers
from plasmatui.bmc.pyghmi_io import Sockaddr, channels
from plasmatui.bmc.rmcp import LogonError, Reply, SessionLostError
from plasmatui.bmc.session import LoopSession
from plasmatui.bmc.sol import SolLink, Timer
from plasmatui.sim import rmcp
from plasmatui.sim.session import Session, SessionTable, User
from plasmatui.text import is_clean
from tests.fuzz.target import Target
from tests.fuzz.targets import hostile

PEER: Final = ("127.0.0.1", 9)
USER, PASSWORD = b"admin", b"secret"
STEPS: Final = 200
"""Packets of one conversation, at most: what goes on for ever is a find."""
ANSWER: Final = b"\x20\x01\x02\x03"


class _Peer:
    """An honest BMC, without a network: gives the packets that it answers with."""

    def __init__(self) -> None:
        self.table = SessionTable(bytes(16), {USER: User(PASSWORD)}, 8, time.monotonic, lambda _: None)
        self.session: Session | None = None

    def answer(self, data: bytes) -> bytes | None:
        packet = rmcp.parse(data)
        if isinstance(packet, rmcp.Packet15):
            request = rmcp.parse_request(packet.message)
            return rmcp.frame15(request.response(0, b"\x01\x80\x14\x02\0\0\0\0"))
        if not isinstance(packet, rmcp.Packet20):
            return None
        opening: dict[int, Callable[[], tuple[int, bytes] | None]] = {
            rmcp.PAYLOAD_OPEN_REQUEST: lambda: self.table.open(packet.payload, PEER),
            rmcp.PAYLOAD_RAKP1: lambda: self.table.rakp1(packet.payload),
            rmcp.PAYLOAD_RAKP3: lambda: self.table.rakp3(packet.payload),
        }
        if packet.payload_type in opening:
            said = opening[packet.payload_type]()
            return None if said is None else rmcp.frame20(*said)
        self.session = self.table.get(packet.session)
        payload = None if self.session is None else self.table.receive(self.session, packet, PEER)
        if payload is None or packet.payload_type != rmcp.PAYLOAD_IPMI:
            return None
        request = rmcp.parse_request(payload)
        return self.seal(rmcp.PAYLOAD_IPMI, request.response(0, b"\x04" if request.command == 0x3B else ANSWER))

    def seal(self, kind: int, payload: bytes, sequence: int | None = None) -> bytes:
        """A packet that is authentic, whatever its content."""
        assert self.session is not None
        assert self.session.keys is not None
        self.session.sent += 1
        number = self.session.sent if sequence is None else sequence
        return rmcp.seal(self.session.keys, kind, self.session.remote, number, payload)


class _Wire:
    """In place of a `Channel`: what is sent waits to be delivered."""

    port = 0

    def __init__(self) -> None:
        self.receivers: dict[object, object] = {}
        self.sent: deque[bytes] = deque()

    def send(self, packet: bytes, _: Sockaddr) -> None:
        self.sent.append(packet)


class _Conversation:
    """A session of ours and the honest peer, with somebody in between."""

    def __init__(self, random: Random, meddle: Callable[[bytes], list[bytes]]) -> None:
        self.random = random
        self.meddle = meddle
        self.wire = _Wire()
        self.peer = _Peer()
        join = channels().join
        try:
            channels().join = lambda *_: self.wire  # type: ignore[method-assign, assignment, return-value]
            self.session = LoopSession(socket.AF_INET, PEER, USER, PASSWORD, (17, 3))
        finally:
            channels().join = join  # type: ignore[method-assign]
        self.seen: list[bytes] = []

    def go(self) -> None:
        """Deliver until nothing is under way."""
        for _ in range(STEPS):
            if not self.wire.sent:
                return
            asked = self.wire.sent.popleft()
            answer = self.peer.answer(asked)
            self.seen += [each for each in (asked, answer) if each is not None]
            for packet in self.meddle(answer) if answer is not None else []:
                self.deliver(packet)
        raise AssertionError(f"more than {STEPS} packets for one logon")

    def deliver(self, packet: bytes) -> None:
        """As `Channel` does: what cannot be read is dropped."""
        if 16 <= len(packet) <= 4096:
            try:
                self.session.packet_received(packet, PEER)
            except Exception:
                logging.getLogger(__name__).debug("dropped", exc_info=True)

    def some(self) -> list[bytes]:
        """Packets of somebody who has no keys: damaged, repeated, reflected and invented ones."""
        random, made = self.random, []
        for _ in range(random.randint(1, 4)):
            data = (
                bytearray(random.choice(self.seen))
                if self.seen
                else bytearray(random.randbytes(random.randint(16, 90)))
            )
            for _ in range(random.choice((0, 1, 1, 3, 10))):
                place = random.choice((4, 5, random.randrange(min(24, len(data))), random.randrange(len(data))))
                data[place] = random.choice((0, 1, 6, 0x10, 0x11, 0x13, 0x15, 0xC0, 0xFF, random.randrange(256)))
            made.append(bytes(data[: random.choice((len(data), len(data), random.randint(0, len(data))))]))
            if random.random() < 0.2:
                made.append(rmcp.RMCP_IPMI + random.randbytes(random.randint(0, 80)))
        return made


def logon(data: bytes) -> None:
    """Whatever comes during a logon: it succeeds, or fails with a reason, and asks for no end of packets."""
    hostile.world().run(_logon(Random(data)))


async def _logon(random: Random) -> None:
    def meddle(answer: bytes) -> list[bytes]:
        others = talk.some() if random.random() < 0.5 else []
        mine = [] if random.random() < 0.1 else [answer]
        both = others + mine
        random.shuffle(both)
        return both

    talk = _Conversation(random, meddle)
    try:
        talk.go()
        if talk.session._logon.done():
            error = talk.session._logon.exception()
            if error is None:
                assert talk.session.up
                assert talk.session.privilege in (3, 4)
            else:
                assert isinstance(error, LogonError)
                assert is_clean(str(error)), error
    finally:
        talk.session.drop("end")
    assert not talk.session.up


def forged(data: bytes) -> None:
    """Packets of somebody without the keys do not end a session, answer a command, or write on its console."""
    hostile.world().run(_forged(Random(data)))


async def _forged(random: Random) -> None:
    talk = _Conversation(random, lambda answer: [answer])
    said: list[bytes] = []
    try:
        talk.go()
        assert talk.session.up, "an honest logon fails"
        talk.session.sol_handler = said.append
        for _ in range(6):
            task = asyncio.ensure_future(talk.session.exchange(6, 1, limit=5.0))
            await asyncio.sleep(0)
            for packet in talk.some():
                talk.deliver(packet)
            assert not task.done(), "a forged packet answered"
            talk.go()
            assert (await task).data == ANSWER
        assert not said, "a forged packet reached the console"
    except SessionLostError:
        raise AssertionError("a forged packet ended the session") from None
    finally:
        talk.session.drop("end")


def lies(data: bytes) -> None:
    """Authentic packets of a BMC that lies: its own session may suffer, with a reason; nothing else does."""
    hostile.world().run(_lies(Random(data)))


async def _lies(random: Random) -> None:
    talk = _Conversation(random, lambda answer: [answer])
    try:
        talk.go()
        talk.session.sol_handler = lambda _: None
        for _ in range(4):
            task = asyncio.ensure_future(talk.session.exchange(6, 1, limit=5.0))
            await asyncio.sleep(0)
            for _ in range(random.randint(1, 6)):
                kind = random.choice((0, 1, 2, 3, 0x10, 0x11, 0x13, 0x15, 0x3F))
                payload = random.randbytes(random.choice((0, 1, 4, 6, 7, 8, 30, 300)))
                if random.random() < 0.5:
                    payload = rmcp.Request(6, 1, b"", sequence=random.randrange(64)).response(
                        random.randrange(256), payload
                    )
                sequence = random.choice((None, None, 0, 1, 2**32 - 1, random.getrandbits(32)))
                talk.deliver(talk.peer.seal(kind, payload, sequence))
            talk.go()
            if not task.done():
                talk.session.interrupt()
            await asyncio.wait((task,))
            assert isinstance(task.exception(), SessionLostError | None), task.exception()
            if not talk.session.up:
                break
    finally:
        talk.session.drop("end")


class _Later:
    """Timers that fire when they are told to."""

    def __init__(self) -> None:
        self.calls: dict[int, Callable[[], None]] = {}
        self._number = 0

    def __call__(self, _: float, call: Callable[[], None]) -> Timer:
        self._number += 1
        number = self._number
        self.calls[number] = call
        later = self

        class Handle:
            def cancel(self) -> None:
                later.calls.pop(number, None)

        return Handle()

    def fire(self) -> None:
        for number, call in tuple(self.calls.items()):
            if self.calls.pop(number, None) is not None:
                call()


def console(data: bytes) -> None:
    """SOL packets as they come: no more characters than came, none counted below zero, one acknowledgement each."""
    random = Random(data)
    later = _Later()
    came, sent, got, ended = 0, 0, 0, 0

    def out(packet: bytes) -> None:
        nonlocal sent
        sent += 1
        assert len(packet) <= 4 + 240

    def on_data(part: bytes) -> None:
        nonlocal got
        got += len(part)

    def on_end(_: str) -> None:
        nonlocal ended
        ended += 1

    link = SolLink(out, on_data, on_end, later, random.choice((1, 8, 32, 240)))
    place, steps = 0, 0
    while place < len(data):
        steps += 1
        length = random.choice((0, 3, 4, 5, 20, 255))
        packet = data[place : place + length]
        place += max(1, length)
        came += max(0, len(packet) - 4)
        link.received(packet)
        if random.random() < 0.3:
            link.write(random.randbytes(random.choice((0, 1, 300))))
        if random.random() < 0.1:
            link.send_break()
        if random.random() < 0.4:
            later.fire()
        assert link.queued >= 0
        assert len(later.calls) <= 1
    assert got <= came
    assert ended <= 1
    assert sent <= 4 * steps + 4


class _Liar:
    """Answers commands with what it draws: nearly right records, and nonsense."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.asked = 0

    async def command(
        self, netfn: int, command: int, data: bytes = b"", *, limit: float = 0, lun: int = 0, bridge: Any = None
    ) -> Reply:
        self.asked += 1
        random = self._random
        if random.random() < 0.03:
            return Reply(random.choice((0xC0, 0xC1, 0xC3, 0xC5, 0xC8, 0xC9, 0xCA, 0xCB, 0xD4, 0xFF)), b"")
        said = self._say(netfn, command, data)
        if random.random() < 0.1:
            damaged = bytearray(said)
            for _ in range(random.randint(1, 4)):
                if damaged:
                    damaged[random.randrange(len(damaged))] = random.choice((0, 0xFF, 0x7F, random.randrange(256)))
            said = bytes(damaged[: random.choice((len(damaged), random.randint(0, len(damaged))))])
        return Reply(0, said)

    def _say(self, netfn: int, command: int, data: bytes) -> bytes:
        random = self._random
        match netfn, command:
            case 6, 1:
                return bytes([0x20, 1, 1, 0, 2, 0x9F, 0x91, 0x12, 0, 2, 0x0F])
            case 10, 0x20 | 0x40:
                return bytes([0x51]) + struct.pack("<HHII", 4, 99, 0, 0) + b"\x22"
            case 10, 0x22:
                return b"\x01\x00"
            case 10, 0x23:
                (number,) = struct.unpack_from("<H", data, 2)
                following = random.choice((number + 1, number + 1, number + 1, 0xFFFF, 0, random.randrange(65536)))
                kind = random.choice((1, 2, 3, 0x11, 0x12, 0xC0, random.randrange(256)))
                body = random.randbytes(random.choice((0, 10, 43, 48, 64, 250)))
                whole = struct.pack("<HBBB", number & 0xFFFF, 0x51, kind, len(body)) + body
                offset, size = data[4], data[5]
                return struct.pack("<H", following & 0xFFFF) + whole[offset : offset + size]
            case 10, 0x43:
                (number,) = struct.unpack_from("<H", data, 2)
                following = random.choice((number + 1, number + 1, 0xFFFF, 1))
                return struct.pack("<H", following & 0xFFFF) + random.randbytes(16)
            case 10, 0x10:
                return struct.pack("<HB", random.choice((0, 8, 64, 256, 65535)), 0)
            case 10, 0x11:
                body = random.choice((b"\x01\x00\x01\x01\x01\x00\x00\xfc", random.randbytes(8), b"\xff" * 8))
                count = random.choice((data[3], data[3], 0, 255))
                return bytes([count]) + (body * 32)[: data[3]]
            case 4, 0x2D:
                return random.randbytes(random.choice((0, 1, 3, 4)))
            case _:
                return random.randbytes(random.choice((0, 1, 4, 16)))

    def error(self, id: str, what: str) -> BmcError:  # noqa: A002 - as the controller's
        return BmcError(id, f"n1: BMC {what}")


def records(data: bytes) -> None:
    """SDR, SEL and FRU of a BMC that draws them by lot: what is clean, or one error; and an end."""
    hostile.world().run(_records(Random(data)))


async def _records(random: Random) -> None:
    channels()  # switches off what pyghmi shares between BMCs
    helper_module.COMMANDS = 400  # type: ignore[misc]
    liar = _Liar(random)
    helpers = Helpers(liar)
    read = random.choice((helpers.sensors, helpers.sel, helpers.inventory))
    try:
        for item in await read():
            texts = [
                value for value in (getattr(item, name) for name in item.__struct_fields__) if isinstance(value, str)
            ]
            assert all(is_clean(text) and len(text) <= 600 for text in texts), item
    except BmcError as error:
        if not is_clean(error.message) or error.id not in ("rejected", "timeout", "unsupported"):
            raise


def _seeds() -> list[bytes]:
    return [bytes((number,)) for number in range(20)]


def _seed(random: Random) -> bytes:
    return random.randbytes(8)


TARGETS: Final = (
    Target("ipmi-logon", _seeds, logon, _seed, quick=200),
    Target("ipmi-forged", _seeds, forged, _seed, quick=60),
    Target("ipmi-lies", _seeds, lies, _seed, quick=80),
    Target("ipmi-console", _seeds, console, lambda random: random.randbytes(random.choice((8, 100, 2000))), quick=300),
    Target("ipmi-records", _seeds, records, _seed, quick=40),
)
