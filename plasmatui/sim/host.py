"""The operating system that runs on a simulated machine from boot to end: an installer, or an installed system."""

from __future__ import annotations

import asyncio
import posixpath
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from plasmatui.sim.builds import Build
from plasmatui.sim.clock import Clock
from plasmatui.sim.disk import Disk
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.filetree import FileTree
from plasmatui.sim.hostkeys import fingerprint_line, make_key, public_key
from plasmatui.sim.identity import Identity
from plasmatui.sim.nodejournal import Journal
from plasmatui.sim.steps import KERNEL, RELEASE
from plasmatui.sim.system import BASE_UNITS, InstalledSystem
from plasmatui.sim.units import Units

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def _nothing_open() -> None:
    pass


class Host:
    """See the module.

    Args:
        power: obeys "reboot", "poweroff", "kexec" and "power-lost"; what runs here ends with it.
        number: of the machine's boot; with the rack's seed it decides a key that is made now.

    Attributes:
        system: the installed system that was booted; None in the installer.
        boot_id: of this boot.
        disks: of the machine; visible_disks: those that the kernel found.
        store: builds in the Nix store of this host, by path; target: those below `/mnt`.
        keyed: users whose authorized_keys were written by the configuration.
        up: answers SSH. used: somebody ran a command over SSH. cut: breaks the SSH connections.
        network_changed: to be called when another system was activated.
        marked: running programs by a variable of their environment, `NAME=VALUE`.
        switching: an activation runs. broken: the system does not get through its boot.
    """

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        faults: NodeFaults,
        disks: list[Disk],
        system: InstalledSystem | None,
        power: Callable[[str], None],
        *,
        number: int = 0,
    ) -> None:
        self.identity = identity
        self.clock = clock
        self.faults = faults
        self.disks = disks
        self.system = system
        self.power = power
        self.number = number
        self.boot_id = str(uuid.uuid4())  # every boot has another, also of racks with the same seed
        self.began = clock.now()
        self.up = False
        self.used = False
        self.keyed: set[str] = set()
        self.switching = False
        self.broken = False
        self.cut: Callable[[], None] = _nothing_open
        self.network_changed: Callable[[], None] = _nothing_open
        self.target: dict[str, Build] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.marked: dict[str, asyncio.Task[Any]] = {}
        self._files = FileTree(clock.wall) if system is None else None
        self._journal = Journal(clock.wall)
        self._units = Units(self._journal, clock.wall)
        self.store: dict[str, Build] = {} if system is None else dict(system.store)
        if system is None:
            self._journal.boot_id = self.boot_id
            for directory in ("/etc/ssh", "/root/.ssh", "/tmp", "/mnt", "/run", "/var/log"):  # noqa: S108
                self.files.mkdir(directory, parents=True)
            for name, description in BASE_UNITS:
                self._units.define(name, description)

    @property
    def installer(self) -> bool:
        return self.system is None

    @property
    def visible_disks(self) -> list[Disk]:
        """What the kernel found."""
        missing = self.installer and "disko-device-missing" in self.faults
        return self.disks[1:] if missing else self.disks

    @property
    def isolated(self) -> bool:
        """The active system has no network."""
        current = self.system.current if self.system is not None else None
        return current is not None and current.flaw == "unreachable"

    @property
    def hostname(self) -> str:
        return self.identity.name if self.system is not None else "nixos"

    @property
    def kernel(self) -> str:
        booted = self.system.booted if self.system is not None else None
        return booted.kernel if booted is not None else KERNEL

    @property
    def version(self) -> str:
        """Of NixOS, as `nixos-version` prints it without the name."""
        current = self.system.current if self.system is not None else None
        return current.version if current is not None else RELEASE

    @property
    def files(self) -> FileTree:
        if self.system is not None:
            return self.system.files
        assert self._files is not None
        return self._files

    @property
    def journal(self) -> Journal:
        return self.system.journal if self.system is not None else self._journal

    @property
    def units(self) -> Units:
        return self.system.units if self.system is not None else self._units

    def uptime(self) -> float:
        """Seconds since the kernel's start."""
        return self.clock.now() - self.began

    def authorized_keys(self, user: str, configured: Callable[[], str]) -> list[str]:
        """The lines of a user's authorized_keys. The file is there from the start, with the keys that images and
        configurations name; what is written to it later holds."""
        home = "/root" if user == "root" else f"/home/{user}"
        path = f"{home}/.ssh/authorized_keys"
        if user not in self.keyed:
            self.keyed.add(user)
            if self.files.find(path) is None:
                self.files.put(path, configured().encode(), 0o600)
                self.files.chmod(posixpath.dirname(path), 0o700)
        file = self.files.find(path)
        return [] if file is None or file.mode & 0o022 else file.data.decode(errors="replace").splitlines()

    def host_key(self) -> bytes:
        """The OpenSSH private key that sshd shows; made when it is first needed, as at the first start of sshd."""
        found = self.files.find(HOST_KEY)
        if found is None:
            key = make_key(f"{self.identity.seed}/{self.identity.name}/host-key/{self.number}")
            self.files.put(HOST_KEY, key, 0o600)
            self.files.put(f"{HOST_KEY}.pub", public_key(key, f"root@{self.hostname}").encode() + b"\n")
            return key
        return found.data

    def shown_key(self) -> bytes:
        """The private key that sshd really uses: another one with the fault `ssh-hostkey-changed`."""
        if "ssh-hostkey-changed" in self.faults:
            return make_key(f"{self.identity.seed}/{self.identity.name}/strange-key")
        return self.host_key()

    def fingerprint(self) -> str:
        """The line of `ssh-keygen -lf` for its host key; "" when the key file holds none."""
        try:
            return fingerprint_line(self.host_key(), f"root@{self.hostname}")
        except ValueError:
            return ""

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Let something run here until it ends, or the system does."""
        task = asyncio.create_task(work, name=f"sim-{self.identity.name}-{name}")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def mark(self, variable: str, task: asyncio.Task[Any]) -> None:
        """Remember which running program has `NAME=VALUE` in its environment, until it ends."""
        self.marked[variable] = task
        task.add_done_callback(lambda _: self.marked.pop(variable, None))

    def down(self) -> None:
        """The system ends: what runs here dies."""
        self.up = False
        for task in tuple(self.tasks):
            task.cancel()
        self.units.stop_all()
