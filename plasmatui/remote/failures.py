"""Why a connection was not made: each reason told apart, with what to do."""

from __future__ import annotations

import enum
import socket

import asyncssh

from plasmatui.model.command import CommandError
from plasmatui.text import clean_line


class Why(enum.StrEnum):
    """What kept a connection from being made."""

    REFUSED = "refused"  # the machine answers, sshd does not
    UNREACHABLE = "unreachable"  # no route, no answer to ARP
    SILENT = "silent"  # nothing came within the limit
    DROPPED = "dropped"  # sshd ended the connection before the login
    DENIED = "denied"  # the login was refused
    HOST_KEY = "host-key"  # another host key than the one that is trusted
    UNKNOWN_KEY = "unknown-key"  # no host key is trusted
    OWN_KEY = "own-key"  # our private key cannot be used
    NAME = "name"  # the name cannot be resolved
    JUMP = "jump"  # the host in between cannot be reached
    PROTOCOL = "protocol"  # what answers speaks no SSH that we understand


class ConnectError(CommandError):
    """No connection. `why` says what kind of reason it is, for callers that wait for it to pass."""

    def __init__(self, id: str, message: str, why: Why, *, lasting: bool = False) -> None:  # noqa: A002
        super().__init__(id, message, lasting=lasting)
        self.why = why


def explained(error: Exception, where: str, login: str, limit: float) -> ConnectError:
    """What an exception of connecting means; host keys are judged elsewhere.

    Args:
        where: the host, for people. login: user and key that were offered, for people. limit: seconds.
    """
    said = clean_line(str(error), 200)
    if isinstance(error, TimeoutError):
        return _refused(where, f"no answer within {limit:g} s", Why.SILENT)
    if isinstance(error, asyncssh.PermissionDenied):
        remedy = "add the public key to authorized_keys there"
        return _refused(where, f"{login} is not accepted; {remedy}", Why.DENIED, lasting=True)
    if isinstance(error, socket.gaierror):
        return _refused(where, f"its name cannot be resolved: {said}", Why.NAME)
    if isinstance(error, asyncssh.ChannelOpenError):
        why = Why.REFUSED if "refused" in said.lower() else Why.UNREACHABLE
        return _refused(where, f"{said}; see that sshd runs there and can be reached from the jump host", why)
    if isinstance(error, ConnectionRefusedError):
        return _refused(where, "connection refused; see that sshd runs there and can be reached", Why.REFUSED)
    if isinstance(error, ConnectionError | asyncssh.ConnectionLost):
        return _refused(
            where,
            f"sshd there ended the connection before the login ({said or 'connection lost'}); see that sshd runs there "
            "and what it logs: it turns hosts away for a minute after failed logins (PerSourcePenalties), and when too "
            "many log in at once (MaxStartups)",
            Why.DROPPED,
        )
    if isinstance(error, OSError):
        why = Why.SILENT if "timed out" in said else Why.UNREACHABLE
        return _refused(where, f"{error.strerror or said}; see that sshd runs there and can be reached", why)
    return _refused(where, f"{said}; see that sshd runs there and can be reached", Why.PROTOCOL)


def _refused(where: str, what: str, why: Why, *, lasting: bool = False) -> ConnectError:
    return ConnectError("ssh-refused", f"ssh to {where}: {what}", why, lasting=lasting)
