"""The provisioning host of a simulated rack: the flake, the nodes' secrets, the SSH key, and stand-ins of its tools."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plasmatui.sim import boottext, siteconfig, toyflake
from plasmatui.sim.faults import FLAWED, NodeFaults
from plasmatui.sim.filetree import FileTree
from plasmatui.sim.host import HOST_KEY
from plasmatui.sim.hostkeys import make_key, public_key
from plasmatui.sim.identity import Identity
from plasmatui.sim.inventory_file import write_private
from plasmatui.sim.system import SECRETS
from plasmatui.sim.tls import Authority
from plasmatui.sim.tools import site

AUTHORITY = "_ca"
"""Below the secrets: the CA with its key, as `plasmatui certs issue` keeps them."""

AT_ONCE = 32
"""Nodes whose secrets are written before the rack serves; those of the rest follow while it does."""

Files = Mapping[str, tuple[bytes, int]]


@dataclass(frozen=True)
class Member:
    """A node that may be installed: who it is, its profile, and its cluster configuration."""

    identity: Identity
    profile: str
    config: dict[str, object]


class ProvisioningHost:
    """See the module. What was here from a rack before goes on to be valid, but for certificates.

    Attributes:
        ssh_key: the private key that every node lets in at first; public_key: its public half, as a line.
    """

    def __init__(self, directory: Path, authority: Authority) -> None:
        self._directory = directory
        self._authority = authority
        self._spoilt: dict[str, tuple[bool, bool, str]] = {}
        self._writer: asyncio.Task[None] | None = None
        self.ssh_key = directory / "ssh" / "id_ed25519"
        self.ssh_key.parent.mkdir(mode=0o700, exist_ok=True)
        if not self.ssh_key.exists():
            write_private(self.ssh_key, make_key().decode())
        self.public_key = public_key(self.ssh_key.read_bytes(), "provisioning@sim")
        self.ssh_key.with_suffix(".pub").write_text(self.public_key + "\n")

    @property
    def flake(self) -> Path:
        return self._directory / "flake"

    @property
    def authorized_keys(self) -> Path:
        """The keys that images and configurations let in, to be edited as a flake is."""
        return self.flake / "authorized_keys"

    @property
    def configured_keys(self) -> str:
        """What stands there now."""
        return self.authorized_keys.read_text() if self.authorized_keys.exists() else ""

    @property
    def tools(self) -> Path:
        """Where the stand-ins are."""
        return self._directory / "bin"

    @property
    def secrets(self) -> Path:
        """A directory for each node."""
        return self._directory / "secrets"

    @property
    def known_hosts(self) -> Path:
        """The host keys of the machines that run from the start."""
        return self._directory / "ssh" / "known_hosts"

    def start(self, members: list[Member], speed: float, running: int, port: int) -> None:
        """Write everything; the secrets of large racks are completed in the background.

        Args:
            running: how many of the members run from the start. port: of all SSH servers.
        """
        site.create(self._directory, speed)
        lines = [
            f"[{member.identity.production}]:{port} {public_key(_host_key(member.identity), member.identity.name)}\n"
            for member in members[:running]
        ]
        self.known_hosts.write_text("".join(lines))
        nodes = {
            member.identity.name: toyflake.NodeConfiguration(
                member.profile, list(boottext.services(member.profile)), {"main": member.identity.disk}
            )
            for member in members
        }
        toyflake.create(self.flake, nodes)
        lines = self.configured_keys.splitlines()
        if self.public_key not in lines:
            self.authorized_keys.write_text("\n".join([*lines, self.public_key, ""]))
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        authority = self.secrets / AUTHORITY
        authority.mkdir(mode=0o700, exist_ok=True)
        write_private(authority / "ca-key.pem", self._authority.ca_key.decode())
        write_private(authority / "ca-cert.pem", self._authority.ca_path.read_text())
        for member in members[:AT_ONCE]:
            self._write(member)
        if len(members) > AT_ONCE:
            self._writer = asyncio.create_task(self._write_rest(members[AT_ONCE:]), name="sim-secrets")

    async def stop(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    def faults_changed(self, name: str, faults: NodeFaults) -> None:
        """Let the flake be what a node's faults make of it."""
        missing, broken = "install-flake-missing" in faults, "build-fails" in faults
        flaw = next((fault.removeprefix(FLAWED) for fault in faults.names() if fault.startswith(FLAWED)), "")
        if (missing, broken, flaw) != self._spoilt.get(name, (False, False, "")):
            self._spoilt[name] = (missing, broken, flaw)
            toyflake.apply_faults(self.flake, name, missing=missing, broken=broken, flaw=flaw)

    def files(self, member: Member) -> Files:
        """A node's secrets: contents and modes by name."""
        name = member.identity.name
        host = f"{name}.{siteconfig.DOMAIN}"
        certificate = self._authority.node_certificate(str(member.identity.production), host)
        return {
            "cluster-config.json": (siteconfig.config_file(member.config), 0o600),
            "ca-cert.pem": (self._authority.ca_path.read_bytes(), 0o644),
            f"{name}-cert.pem": (certificate, 0o644),
            f"{name}-key.pem": (self._authority.server_key, 0o600),
            "ssh_host_ed25519_key": (_host_key(member.identity), 0o600),
        }

    def furnish(self, member: Member, files: FileTree) -> None:
        """What an installation brings, for a node that was installed before the rack was switched on."""
        for name, (data, mode) in self.files(member).items():
            files.put(f"{SECRETS}/{name}", data, mode)
        key = files.read(f"{SECRETS}/ssh_host_ed25519_key")
        files.put(HOST_KEY, key, 0o600)
        files.put(f"{HOST_KEY}.pub", f"{public_key(key, f'root@{member.identity.name}')}\n".encode())

    def _write(self, member: Member) -> None:
        directory = self.secrets / member.identity.name
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(mode=0o700)
        for name, (data, mode) in self.files(member).items():
            write_private(directory / name, data.decode())
            (directory / name).chmod(mode)

    async def _write_rest(self, members: list[Member]) -> None:
        for member in members:
            self._write(member)
            await asyncio.sleep(0.002)  # the BMCs come first


def _host_key(identity: Identity) -> bytes:
    """The SSH host key that a machine's secrets bring."""
    return make_key(f"{identity.seed}/{identity.name}/host-key")
