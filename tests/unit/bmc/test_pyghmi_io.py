"""The pinned pyghmi and the sockets under it."""

from __future__ import annotations

import asyncio
import socket
from importlib import metadata

import pytest

from plasmatui.bmc import pyghmi_io
from plasmatui.bmc.pyghmi_io import SESSIONS_PER_SOCKET, Channels, UnsupportedPyghmiError, assert_pyghmi


class Sink:
    def __init__(self, error: Exception | None = None) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.error = error

    def packet_received(self, data: bytes, peer: pyghmi_io.Sockaddr) -> None:
        self.got.put_nowait(data)
        if self.error is not None:
            raise self.error


def test_the_installed_pyghmi_is_the_pinned_one() -> None:
    assert_pyghmi()


def test_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _name: "1.6.20")
    with pytest.raises(UnsupportedPyghmiError, match=r"1\.6\.20 is installed.*Install exactly pyghmi==1\.6\.19"):
        assert_pyghmi()


def test_a_missing_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pyghmi_io.pyghmi_session.Session, "_got_rakp4")
    with pytest.raises(UnsupportedPyghmiError, match=r"Session\._got_rakp4 is missing"):
        assert_pyghmi()


def test_a_changed_signature_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyghmi_io.pyghmi_session.Session, "_timedout", lambda self, more: None)
    with pytest.raises(UnsupportedPyghmiError, match=r"Session\._timedout takes \(self, more\) instead of \(self\)"):
        assert_pyghmi()


async def test_pyghmi_cannot_block_the_loop() -> None:
    pyghmi_io.channels()
    with pytest.raises(RuntimeError, match="block"):
        pyghmi_io.pyghmi_session._io_wait(1)


async def test_two_receivers_of_one_peer_never_share_a_socket() -> None:
    channels = Channels(asyncio.get_running_loop())
    one, two = Sink(), Sink()
    peer = ("127.94.1.1", 623)
    first, second = channels.join(one, socket.AF_INET, peer), channels.join(two, socket.AF_INET, peer)
    assert first is not second
    # The same port elsewhere, and another port here, fit beside them.
    assert channels.join(Sink(), socket.AF_INET, ("127.94.1.2", 623)) is first
    assert channels.join(Sink(), socket.AF_INET, ("127.94.1.1", 624)) is first


async def test_a_socket_takes_a_limited_number_and_goes_with_the_last() -> None:
    channels = Channels(asyncio.get_running_loop())
    sinks = [(Sink(), ("127.94.2.1", port)) for port in range(1, SESSIONS_PER_SOCKET + 2)]
    joined = [(channels.join(sink, socket.AF_INET, peer), sink, peer) for sink, peer in sinks]
    assert len(channels) == 2
    for channel, sink, peer in joined:
        channels.leave(channel, sink, peer)
        channels.leave(channel, sink, peer)
    assert len(channels) == 0


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_a_receiver_that_fails_harms_nobody(family: int, host: str) -> None:
    channels = Channels(asyncio.get_running_loop())
    with socket.socket(family, socket.SOCK_DGRAM) as bad, socket.socket(family, socket.SOCK_DGRAM) as good:
        sinks = []
        for peer, error in ((bad, ValueError("hostile")), (good, None)):
            peer.bind((host, 0))
            sink = Sink(error)
            channel = channels.join(sink, family, peer.getsockname())
            sinks.append((sink, channel, peer))
        for _, channel, peer in sinks:
            assert channel.send(b"where are you", peer.getsockname()) is None
        for sink, _, peer in (*sinks, *sinks):
            _, back = peer.recvfrom(100)
            peer.sendto(b"short", back)  # dropped: no IPMI packet is that short
            peer.sendto(b"x" * 32, back)
            assert await asyncio.wait_for(sink.got.get(), 2) == b"x" * 32
            for each, channel, other in sinks:
                if each is sink:
                    channel.send(b"again", other.getsockname())
        for sink, channel, peer in sinks:
            channels.leave(channel, sink, peer.getsockname())
