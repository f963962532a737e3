"""Whether a host key may be trusted, and what a person reads when it may not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import asyncssh

from plasmatui.inventory.catalogue import DEFAULT_SSH_PORT
from plasmatui.remote.failures import ConnectError, Why
from plasmatui.remote.hostkeys import Fingerprint
from plasmatui.remote.target import Role, Target
from plasmatui.remote.trust import AcceptNew, Pinned, Strict, Trust

_PLAIN: Final = (
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "ssh-rsa"),
    ("rsa-sha2-256", "ssh-rsa"),
)
"""Signature algorithms with the type of key that they belong to (RFC 8709, 5656, 8332), best first."""

_ALLOW: Final = "`ssh: {host_keys: accept-new}` in the inventory must allow to do without"
_NOTHING_ELSE: Final = ((),) * 6


def is_about_host_key(error: Exception) -> bool:
    """Whether a connection failed because of the server's host key."""
    return isinstance(error, asyncssh.HostKeyNotVerifiable) or (
        isinstance(error, asyncssh.KeyExchangeFailed) and "host key" in str(error)
    )


def algorithms(known: Collection[str]) -> list[str]:
    """Signature algorithms to ask for: those of these types of keys first, then all others, since a server that has no
    key of a type that we ask for hangs up without a word, where it has another key than the known one."""
    return [name for name, _ in sorted(_PLAIN, key=lambda pair: pair[1] not in known)]


class Judge(asyncssh.SSHClient):
    """Judges the host key of one connection.

    Attributes:
        known: for asyncssh's `known_hosts`: trusted keys, then authorities, revoked keys and certificates.
        algorithms: signature algorithms to ask for; empty for those that asyncssh would ask for.
    """

    def __init__(
        self, target: Target, trust: Trust, keys: Sequence[asyncssh.SSHKey], others: Sequence[Any] = _NOTHING_ELSE
    ) -> None:
        self.known = (keys, *others)
        self.algorithms: list[str] = []
        self._target = target
        self._trust = trust
        self._offered: asyncssh.SSHKey | None = None
        if not others[0]:  # no certificate can be trusted
            pinned = {pin.algorithm for pin in trust.fingerprints} if isinstance(trust, Pinned) else set()
            self.algorithms = algorithms(pinned | {key.get_algorithm() for key in keys})

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called by asyncssh for a key that is not among the known ones."""
        self._offered = key
        if isinstance(self._trust, Pinned):
            return key.get_fingerprint() in {pin.sha256 for pin in self._trust.fingerprints}
        return isinstance(self._trust, AcceptNew) and not self.known[0]

    def refusal(self, error: Exception) -> ConnectError:
        """Why the key is not trusted, and how to find out whether it is right."""
        where = f"ssh to {self._target}: its host key {_shown(self._offered)}"
        if "revoked" in str(error):
            message = f"{where}is revoked in known_hosts; give the machine another"
            return ConnectError("ssh-refused", message, Why.UNKNOWN_KEY, lasting=True)
        if isinstance(self._trust, Strict) and not any(self.known[:2]):
            return ConnectError(
                "ssh-refused", f"{where}is not known; {self._make_known()}", Why.UNKNOWN_KEY, lasting=True
            )
        return ConnectError("ssh-hostkey-changed", f"{where}{self._changed()}", Why.HOST_KEY, lasting=True)

    def _changed(self) -> str:
        another = "another system answers at its address, or somebody is in between; look at its console"
        if isinstance(self._trust, Pinned):
            return f"is none of those that its console showed in this boot: {another}"
        if isinstance(self._trust, AcceptNew):
            return f"is not the one that it had before in this boot: it was booted again, {another}"
        if self._target.role is Role.INSTALLER:
            return (
                "is not the one that is known: an installer has a new one at every boot; it must print the fingerprint "
                f"on the serial console, or {_ALLOW}"
            )
        return (
            "is not the one that is known: it was installed anew, or somebody is in between. Compare the "
            f"fingerprint on its console, then: ssh-keygen -R '{self._target.place}'"
        )

    def _make_known(self) -> str:
        target = self._target
        if target.role is Role.INSTALLER:
            return f"its image must print the fingerprint on the serial console, or {_ALLOW}"
        port = "" if target.port == DEFAULT_SSH_PORT else f"-p {target.port} "
        return f"compare its fingerprint with the console once, with: ssh {port}{target.user}@{target.address}"


def _shown(key: asyncssh.SSHKey | None) -> str:
    if key is None:
        return ""
    try:
        return f"{Fingerprint(key.get_fingerprint(), key.get_algorithm())} "
    except ValueError:
        return ""
