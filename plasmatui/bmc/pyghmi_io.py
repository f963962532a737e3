"""Our own asyncio I/O under pyghmi's protocol objects.

pyghmi keeps RAKP, framing, cryptography and the decoding of SDR, SEL and FRU. Its I/O thread, its wake-up datagrams,
nested waits, keepalive, name look-ups and session pool are replaced, because they stall, block and die under load.
That reaches into private parts, so the version is pinned and every part that is used is asserted by `assert_pyghmi`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import socket
import time
import weakref
from importlib import metadata
from typing import Any, NoReturn, Protocol

from pyghmi.ipmi import command as pyghmi_command
from pyghmi.ipmi import sdr as pyghmi_sdr
from pyghmi.ipmi.private import session as pyghmi_session

from plasmatui.bmc import sdrnames

log = logging.getLogger(__name__)

PYGHMI_VERSION = "1.6.19"
SESSIONS_PER_SOCKET = 64
PACKETS_PER_WAKEUP = 64
"""Packets read in one turn of the loop, so that a flood on one socket cannot starve the rest."""

_LARGEST_PACKET = 4096
_SMALLEST_PACKET = 16
_RECEIVE_BUFFER = 4 * 1024 * 1024

Sockaddr = tuple[Any, ...]

_SESSION_METHODS: dict[str, tuple[str, ...]] = {
    "__init__": ("self", "bmc", "userid", "password", "port", "kg", "onlogon", "privlevel", "keepalive"),
    "_assignsocket": ("server", "forbiddensockets"),
    "_initsession": ("self",),
    "login": ("self",),
    "onlogon": ("self", "parameter"),
    "logout": ("self", "sessionok"),
    "_mark_broken": ("self", "error"),
    "_timedout": ("self",),
    "_xmit_packet": ("self", "retry", "delay_xmit", "timeout"),
    "_req_priv_level": ("self",),
    "_get_channel_auth_cap": ("self",),
    "_get_session_challenge": ("self",),
    "_open_rmcpplus_request": ("self",),
    "_got_rmcp_response": ("self", "data"),
    "_got_rakp2": ("self", "data"),
    "_got_rakp4": ("self", "data"),
    "_handle_ipmi_packet": ("self", "data", "sockaddr", "qent"),
    "_send_ipmi_net_payload": (
        *("self", "netfn", "command", "data", "code", "bridge_request", "retry", "delay_xmit", "timeout", "rslun"),
    ),
    "send_payload": ("self", "payload", "payload_type", "retry", "delay_xmit", "needskeepalive", "timeout"),
}
_MODULE_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "_io_wait": ("timeout", "myaddr", "evq"),
    "_poller": ("timeout",),
    "_io_sendto": ("mysocket", "packet", "sockaddr"),
    "_monotonic_time": (),
    "get_ipmi_error": ("response", "suffix"),
}
_RECORD_METHODS: dict[str, tuple[str, ...]] = {"tlv_decode": ("self", "tlv", "data")}
_COMMAND_METHODS: dict[str, tuple[str, ...]] = {
    "get_sensor_data": ("self",),
    "get_inventory": ("self",),
    "init_sdr": ("self",),
    "oem_init": ("self",),
}


class UnsupportedPyghmiError(RuntimeError):
    """The installed pyghmi is not the one that this program was written for."""


class Receiver(Protocol):
    """What gets the packets of one BMC."""

    def packet_received(self, data: bytes, peer: Sockaddr) -> None: ...


def assert_pyghmi() -> None:
    """Assert that pyghmi is the pinned version and has every private part that we replace or call.

    Raises:
        UnsupportedPyghmiError: names the version found, and each missing or changed part.
    """
    version = metadata.version("pyghmi")
    problems = [f"version {version} is installed"] if version != PYGHMI_VERSION else []
    problems += _differences("session", pyghmi_session, _MODULE_FUNCTIONS)
    problems += _differences("Session", getattr(pyghmi_session, "Session", None), _SESSION_METHODS)
    problems += _differences("SDREntry", getattr(pyghmi_sdr, "SDREntry", None), _RECORD_METHODS)
    if not isinstance(getattr(pyghmi_sdr, "shared_sdrs", None), dict):
        problems.append("sdr.shared_sdrs is missing")
    problems += _differences("Command", getattr(pyghmi_command, "Command", None), _COMMAND_METHODS)
    if problems:
        raise UnsupportedPyghmiError(
            f"plasmatui drives the internals of pyghmi {PYGHMI_VERSION}, but {'; '.join(problems)}. "
            f"Install exactly pyghmi=={PYGHMI_VERSION}."
        )


def _differences(owner: str, where: object, wanted: dict[str, tuple[str, ...]]) -> list[str]:
    found = []
    for name, parameters in wanted.items():
        function = getattr(where, name, None)
        if function is None:
            found.append(f"{owner}.{name} is missing")
        elif function in (_no_waiting, time.monotonic, _name):
            continue  # already replaced by `_install`
        elif (has := tuple(inspect.signature(function).parameters)) != parameters:
            found.append(f"{owner}.{name} takes ({', '.join(has)}) instead of ({', '.join(parameters)})")
    return found


def _no_waiting(*_args: object, **_named: object) -> NoReturn:
    raise RuntimeError("pyghmi tried to block the event loop")


def _name(_entry: object, tlv: int, data: bytearray) -> str:
    return sdrnames.name(tlv, data)


class _Forgetful(dict[object, object]):
    """In place of the sensor descriptions that pyghmi keeps for every BMC that says the same of its product and
    firmware: one BMC must not describe another's sensors, nor fill the memory with products that it invents."""

    def __setitem__(self, key: object, value: object) -> None:
        """Keep nothing."""


def _install() -> None:
    """Assert, then switch off pyghmi's own I/O in this process. Repeating it changes nothing."""
    if pyghmi_session._io_wait is _no_waiting:
        return
    assert_pyghmi()
    pyghmi_session._io_wait = _no_waiting
    pyghmi_session._poller = _no_waiting
    pyghmi_session._io_sendto = _no_waiting
    pyghmi_session._monotonic_time = time.monotonic  # the original counts in steps of 10 ms
    pyghmi_sdr.shared_sdrs = _Forgetful()
    pyghmi_sdr.SDREntry.tlv_decode = _name


class Channel:
    """One UDP socket, shared by up to `SESSIONS_PER_SOCKET` receivers with different peers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, family: int) -> None:
        self.family = family
        self.receivers: dict[Sockaddr, Receiver] = {}
        self._loop = loop
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.bind(("", 0))
        self.port = int(self._socket.getsockname()[1])
        loop.add_reader(self._socket.fileno(), self._readable)

    def takes(self, peer: Sockaddr) -> bool:
        return peer not in self.receivers and len(self.receivers) < SESSIONS_PER_SOCKET

    def send(self, packet: bytes, peer: Sockaddr) -> OSError | None:
        """Send; an error is returned, not raised: retransmission covers a full buffer, and a route may come back."""
        try:
            self._socket.sendto(packet, peer)
        except OSError as error:
            return error
        return None

    def _readable(self) -> None:
        for _ in range(PACKETS_PER_WAKEUP):
            try:
                data, peer = self._socket.recvfrom(_LARGEST_PACKET)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier packet; the packets behind it still come
            receiver = self.receivers.get(peer)
            if receiver is None or len(data) < _SMALLEST_PACKET:
                continue
            try:
                receiver.packet_received(data, peer)
            # What a BMC (or anybody who forges its address) sends can make pyghmi's parsers raise anything.
            # Such a packet is dropped; it must harm neither its own session nor any other.
            except Exception:
                log.debug("packet from %s dropped", peer[0], exc_info=True)

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()


class Channels:
    """The sockets of one event loop. A socket is closed when its last receiver leaves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        _install()
        self._loop = loop
        self._channels: list[Channel] = []

    def join(self, receiver: Receiver, family: int, peer: Sockaddr) -> Channel:
        """A socket on which nobody else talks with `peer`, so that two sessions with one BMC never mix."""
        channel = next((c for c in self._channels if c.family == family and c.takes(peer)), None)
        if channel is None:
            channel = Channel(self._loop, family)
            self._channels.append(channel)
        channel.receivers[peer] = receiver
        return channel

    def leave(self, channel: Channel, receiver: Receiver, peer: Sockaddr) -> None:
        if channel.receivers.get(peer) is not receiver:
            return
        del channel.receivers[peer]
        if not channel.receivers:
            self._channels.remove(channel)
            channel.close()

    def __len__(self) -> int:
        return len(self._channels)


_of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Channels] = weakref.WeakKeyDictionary()


def channels() -> Channels:
    """The sockets of the running loop.

    Raises:
        UnsupportedPyghmiError: see `assert_pyghmi`.
    """
    loop = asyncio.get_running_loop()
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = Channels(loop)
    return found
