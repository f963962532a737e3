"""Who is at the other end of a connection, and what may he do: Unix users and groups become roles.

The kernel says who a peer is (unix(7), SO_PEERCRED, SO_PEERGROUPS); names of users and groups are looked up in threads
of their own, since a directory service may hang.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from plasmatui.inventory.inventory import Access
from plasmatui.model.words import Role

LOOKUP_LIMIT = 5.0
"""Seconds that the databases of users and groups get."""

_UCRED = struct.Struct("3i")  # pid, uid, gid
_SO_PEERGROUPS = 59  # Linux 4.13; asm-generic/socket.h
_MOST_GROUPS = 4096


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a Unix socket, as the kernel knew it when it connected."""

    pid: int
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True)
class Standing:
    """What a peer is here. `user`: its name; "" when the client's own word is good enough."""

    user: str
    role: Role


class RefusedError(Exception):
    """A peer may not come in; the message says why and what to do."""


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end."""
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    except OSError:  # an older kernel, or more groups than anybody has: the database tells of them
        groups = b""
    return Peer(pid, uid, frozenset((gid, *(number for (number,) in struct.iter_unpack("=I", groups)))))


class Gatekeeper:
    """Says who may come in.

    Args:
        access: what the inventory says now; None: only the engine's own user and root.
    """

    def __init__(self, access: Callable[[], Access | None]) -> None:
        self._access = access
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="accounts")

    def close(self) -> None:
        """Look nobody up any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def admit(self, peer: Peer) -> Standing:
        """What `peer` may do. The engine's user and root may do everything: they could anyway.

        Raises:
            RefusedError: it may not come in.
        """
        if peer.uid in (0, os.getuid()):
            return Standing("", Role.ADMIN)
        access = self._access()
        if access is None:
            raise RefusedError(
                f"this engine belongs to user {os.getuid()}, not to user {peer.uid}; it is shared when its inventory "
                "has policy.access"
            )
        try:
            async with asyncio.timeout(LOOKUP_LIMIT):
                found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, peer, access)
        except TimeoutError:
            raise RefusedError(
                f"the databases of users and groups did not answer within {LOOKUP_LIMIT:g} s, so that it is not known "
                f"who user {peer.uid} is; try again"
            ) from None
        if found.role is None:
            raise RefusedError(
                f"{found.user} (user {peer.uid}) has no role here: policy.access of the inventory names neither the "
                "user nor a group of it; ask who runs the engine"
            )
        return Standing(found.user, found.role)


@dataclass(frozen=True)
class _Found:
    user: str
    role: Role | None


def _look_up(peer: Peer, access: Access) -> _Found:
    """In a thread: the peer's name and the greatest role that it has."""
    try:
        entry = pwd.getpwuid(peer.uid)
    except (KeyError, OSError):
        user, gids = str(peer.uid), peer.gids
    else:
        user, gids = entry.pw_name, peer.gids | {entry.pw_gid}
    for role in reversed(Role):
        for name in getattr(access, role):
            if name == user or (name.startswith("%") and _member(name[1:], user, gids)):
                return _Found(user, role)
    return _Found(user, None)


def _member(group: str, user: str, gids: frozenset[int]) -> bool:
    try:
        entry = grp.getgrnam(group)
    except (KeyError, OSError):
        return False
    return entry.gr_gid in gids or user in entry.gr_mem
