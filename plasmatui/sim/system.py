"""A NixOS system on a simulated machine's disk: generations, boot entries, files, and what runs of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plasmatui.sim.builds import Toplevel, store_hash, store_path
from plasmatui.sim.filetree import FileTree
from plasmatui.sim.nodejournal import Journal
from plasmatui.sim.steps import KERNEL, RELEASE
from plasmatui.sim.units import Units, UnitState

SECRETS = "/etc/nixos/secrets"
CLUSTER_CONFIG = f"{SECRETS}/cluster-config.json"
RELOADING = ("fiberlb",)
"""Services that take a new certificate without a restart."""

JOIN_UNITS = ("chainfire-cluster-join.service", "flaredb-cluster-join.service")
BASE_UNITS = (
    ("systemd-journald.service", "Journal Service"),
    ("systemd-udevd.service", "Rule-based Manager for Device Events and Files"),
    ("systemd-networkd.service", "Network Configuration"),
    ("systemd-timesyncd.service", "Network Time Synchronization"),
    ("systemd-logind.service", "User Login Management"),
    ("dbus.service", "D-Bus System Message Bus"),
    ("nscd.service", "Name Service Cache Daemon (nsncd)"),
    ("sshd.service", "SSH Daemon"),
)
_DAY = 86400.0
_KERNELS = ("6.12.31", "6.12.36", KERNEL)
_HEX = str.maketrans("ghijklmnpqrsvwxyz", "0123456789abcdef0")


@dataclass(frozen=True)
class Generation:
    """A generation of the system profile; `date` in Unix seconds."""

    number: int
    date: float
    build: Toplevel


def past_builds(node: str, services: tuple[str, ...]) -> list[Toplevel]:
    """What was built for a machine that was installed before the rack was switched on, oldest first."""
    versions = ("25.05.20250601.4792576", "25.05.20250701.7c43f08", RELEASE)
    return [make_toplevel(node, version, kernel, services) for version, kernel in zip(versions, _KERNELS, strict=True)]


def make_toplevel(node: str, version: str, kernel: str, services: tuple[str, ...], flaw: str = "") -> Toplevel:
    """The build of a configuration; its path and revision follow from what is in it."""
    revision = store_hash("revision", version, kernel).translate(_HEX)[:12]
    path = store_path(f"nixos-system-{node}-{version}", kernel, *services, *((flaw,) if flaw else ()))
    return Toplevel(path, node, version, kernel, revision, services, flaw)


class InstalledSystem:
    """A system on a disk. `boot` and `halt` begin and end a run of it; units belong to the run, the rest stays.

    Args:
        seed: fills the file tree when it is first looked at.

    Attributes:
        generations: by number. profile: the number that `/nix/var/nix/profiles/system` points to.
        default: generation that the boot loader starts; oneshot: the one that it starts once.
        entries: generations that have a boot entry.
        booted, current: what was booted, what is active now; None before the first boot.
        host_key: OpenSSH private key, made at the first boot unless the installation brought one.
        boots: how often it was started; 1 is the first boot.
        store: builds in its Nix store, by path.
        units: of this run; of the last one when it does not run.
        on_look: called before somebody looks at the files: what runs may have something to write.
    """

    def __init__(
        self, build: Toplevel, wall: Callable[[], float], seed: Callable[[FileTree], None] | None = None
    ) -> None:
        self._wall = wall
        self._seed = seed
        self._files: FileTree | None = None
        self.generations = {1: Generation(1, wall(), build)}
        self.profile = self.default = 1
        self.oneshot: int | None = None
        self.entries = {1}
        self.booted: Toplevel | None = None
        self.current: Toplevel | None = None
        self.boots = 0
        self.store: dict[str, Toplevel] = {build.path: build}
        self.journal = Journal(wall)
        self.units = Units(self.journal, wall)
        self.on_look: Callable[[], None] = lambda: None

    @classmethod
    def with_history(
        cls, builds: list[Toplevel], wall: Callable[[], float], seed: Callable[[FileTree], None] | None
    ) -> InstalledSystem:
        """A system that was updated before: oldest build first, a month between two."""
        system = cls(builds[0], wall, seed)
        begin = wall() - 30 * _DAY * len(builds)
        for number, build in enumerate(builds, 1):
            system.generations[number] = Generation(number, begin + 30 * _DAY * number, build)
            system.store[build.path] = build
        system.profile = system.default = len(builds)
        system.entries = set(system.generations)
        system.boots = len(builds)
        return system

    # Files

    @property
    def files(self) -> FileTree:
        """Its own files; those of the Nix store are not among them."""
        if self._files is None:
            self._files = tree = FileTree(self._wall)
            for directory in ("/etc/nixos", "/etc/ssh", "/root", "/tmp", "/var/lib", "/var/log", "/boot", "/run"):  # noqa: S108
                tree.mkdir(directory, parents=True)
            if self._seed is not None:
                self._seed(tree)
        return self._files

    @property
    def cluster_config(self) -> dict[str, object] | None:
        """`cluster-config.json`; None without one, or when it cannot be read as a JSON object."""
        file = self.files.find(CLUSTER_CONFIG)
        if file is None:
            return None
        try:
            value = json.loads(file.data)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    @property
    def secrets(self) -> Mapping[str, tuple[bytes, int]]:
        """Contents and permission bits of the files below `/etc/nixos/secrets`, by path below it."""
        if self.files.find(SECRETS) is None:
            return {}
        found = {}
        for path, file in self.files.walk(SECRETS):
            if not file.is_directory and not file.is_link:
                found[path.removeprefix(f"{SECRETS}/")] = (file.data, file.mode & 0o7777)
        return found

    # Generations

    def set_profile(self, build: Toplevel) -> int:
        """Make a build the profile's newest generation; one that is the newest already is used again."""
        self.store[build.path] = build
        newest = max(self.generations)
        if self.generations[newest].build.path == build.path:
            self.profile = newest
        else:
            self.profile = newest + 1
            self.generations[self.profile] = Generation(self.profile, self._wall(), build)
        return self.profile

    def set_boot_default(self, path: str) -> bool:
        """Write boot entries for all generations and make the one of `path` the default; False: none has that path."""
        self.entries = set(self.generations)
        found = [number for number, generation in self.generations.items() if generation.build.path == path]
        if not found:
            return False
        self.default = self.profile if self.profile in found else max(found)
        return True

    # Runs

    @property
    def bootable(self) -> set[int]:
        """Generations that have an entry and were not deleted."""
        return self.entries & set(self.generations)

    @property
    def chosen(self) -> int:
        """The generation that the boot loader starts next."""
        for number in (self.oneshot, self.default):
            if number is not None and number in self.bootable:
                return number
        return self.profile

    def next_boot(self) -> int:
        """The generation that the boot loader starts now; a one-shot choice is used up."""
        number = self.chosen
        self.oneshot = None
        return number

    def boot(self, generation: int, boot_id: str) -> None:
        """Begin a run: a fresh set of units, all inactive."""
        self.boots += 1
        self.booted = self.current = self.generations[generation].build
        self.journal.boot_id = boot_id
        self.units = Units(self.journal, self._wall)
        for name, description in BASE_UNITS:
            self.units.define(name, description)
        for service in self.booted.services:
            self.units.define(service).reloads = service in RELOADING
            self.spoil(service, self.booted)
        if self.cluster_config is not None:
            for name in JOIN_UNITS:
                self.units.define(name, f"{name.removesuffix('.service')} service", oneshot=True)

    def spoil(self, name: str, build: Toplevel) -> None:
        """Let a service of a flawed build never come up: one of an unhealthy build, all where there is no network."""
        first = build.services[:1] == (name.removesuffix(".service"),)
        self.units[name].stuck = build.flaw == "unreachable" or (build.flaw == "unhealthy" and first)

    def start_units(self) -> None:
        """Start what is enabled and not active yet."""
        for unit in self.units.all():
            if unit.enabled and unit.state is UnitState.INACTIVE:
                self.units.start(unit.name)
