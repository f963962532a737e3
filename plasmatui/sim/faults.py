"""Faults that a simulated machine or its BMC can have, by name, with an optional number: `bmc-loss=0.03`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class FaultError(ValueError):
    """A fault that does not exist, a number that is none, or a node that is not there."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault of the catalogue. `default` is its number when none is given; None: it takes none."""

    name: str
    help: str
    default: float | None = None


CATALOGUE: dict[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind("bmc-dead", "the BMC does not answer"),
        FaultKind("bmc-auth", "the BMC's password is another one"),
        FaultKind("bmc-slots", "the BMC has no free session"),
        FaultKind("bmc-loss", "packets are lost, both ways; a share of 1", 0.03),
        FaultKind("bmc-latency", "every answer of the BMC is late; milliseconds", 20.0),
        FaultKind("bmc-resets", "the BMC forgets its sessions again and again; seconds between", 30.0),
        FaultKind("sol-held", "another client holds the serial console"),
        FaultKind("sol-disabled", "serial over LAN is switched off"),
        FaultKind("console-silent", "the machine says nothing on its serial console"),
        FaultKind("override-ignored", "a boot device is accepted and reads back as none"),
        FaultKind("power-stuck", "power orders are accepted and do nothing"),
        FaultKind("hostile-console", "the console sends what breaks terminals and markup"),
        FaultKind("certificate-expired", "the TLS certificates of the BMC (Redfish) and of the services have expired"),
        FaultKind("certificate-untrusted", "the services' TLS certificates are of another CA"),
        FaultKind("certificate-refused", "services do not start with a certificate that is new to them"),
        FaultKind("service-silent", "the services take connections and do not answer"),
        FaultKind("service-degraded", "the services say that they are degraded"),
        FaultKind("raft-lagging", "the node's raft replicas fall behind"),
        FaultKind("data-lost", "the data directories of the node's raft services are destroyed"),
        FaultKind("join-refused", "the cluster refuses the node's first boot"),
        FaultKind("migration-fails", "virtual machines cannot migrate from or to the node"),
        FaultKind("clock-skew", "the node's clock is ahead; seconds", 300.0),
        FaultKind("no-dhcp-answer", "DHCP requests of the machine never reach the server"),
        FaultKind("no-boot-filename", "DHCP offers an address and no boot file"),
        FaultKind("wrong-arch-loader", "DHCP names the loader of the other firmware type"),
        FaultKind("pool-exhausted", "the DHCP server has no free address"),
        FaultKind("unknown-mac", "the machine asks with a MAC that is not in the inventory"),
        FaultKind("rogue-dhcp", "another DHCP server answers first"),
        FaultKind("tftp-unreachable", "nothing answers TFTP"),
        FaultKind("tftp-file-missing", "the loader is not on the TFTP server"),
        FaultKind("tftp-slow", "the loader's transfer takes long; seconds", 90.0),
        FaultKind("http-unreachable", "nothing listens on the HTTP port"),
        FaultKind("boot-script-missing", "the iPXE script is not there: 404"),
        FaultKind("boot-script-error", "the iPXE script has a wrong command"),
        FaultKind("ipxe-loop", "iPXE is told to load iPXE, for ever"),
        FaultKind("ipxe-unsupported", "the script is on https, which this iPXE does not speak"),
        FaultKind("kernel-missing", "the kernel is not there: 404"),
        FaultKind("kernel-not-executable", "what is served as kernel is none"),
        FaultKind("initrd-missing", "the initrd is not there: 404"),
        FaultKind("initrd-truncated", "the initrd on the server is cut off"),
        FaultKind("kernel-panic", "init dies in the initial RAM disk"),
        FaultKind("kernel-panic-rootfs", "the script loads no initrd"),
        FaultKind("out-of-memory", "the machine has too little memory for its initrd"),
        FaultKind("emergency-shell", "a file system is missing: emergency mode"),
        FaultKind("secure-boot-refused", "Secure Boot refuses the loader (UEFI)"),
        FaultKind("installer-no-network", "the installer gets no address"),
        FaultKind("rebooted-to-network", "the installer reboots once, from the network again; seconds", 20.0),
        FaultKind("install-loop", "the installer reboots to the network for ever; seconds", 20.0),
        FaultKind("ssh-refused", "sshd does not listen"),
        FaultKind("ssh-denied", "sshd does not take the rack's key"),
        FaultKind("ssh-hostkey-changed", "sshd shows another host key than the one it should have"),
        FaultKind("sudo-refused", "sudo wants a password (users other than root)"),
        FaultKind("not-an-installer", "the installer does not say that it is one: no VARIANT_ID"),
        FaultKind("kexec-fails", "the running system cannot kexec into an installer"),
        FaultKind("disk-order-differs", "the installer's kernel numbers the disks in another order"),
        FaultKind("disko-device-missing", "the disk that the inventory names is not in the machine"),
        FaultKind("disko-device-busy", "a partition of that disk is mounted in the installer"),
        FaultKind("install-flake-missing", "the flake has no configuration for the node"),
        FaultKind("build-fails", "the node's system cannot be built"),
        FaultKind("install-no-space", "the new root is full in the middle of the copy"),
        FaultKind("install-copy-failed", "the connection breaks in the middle of the copy"),
        FaultKind("copy-slow", "copies to the node are slow; times slower", 10.0),
        FaultKind("power-lost", "the power fails while the system is copied; percent", 50.0),
        FaultKind("bootloader-failed", "the boot loader cannot be installed"),
        FaultKind("secrets-modes", "everybody may read the secrets that an installation brings"),
        FaultKind("reboot-hangs", "a reboot waits for a service for ever, and sshd goes on"),
        FaultKind("first-boot-timeout", "the services of a freshly installed node never come up"),
        FaultKind("boot-full", "there is no room for a boot entry, which an update says and does not fail for"),
        FaultKind("switch-fails", "an activation fails; its exit code: 1, 2, 4 or 100", 4.0),
        FaultKind("update-unhealthy", "a service of the system that the flake has for it now never comes up"),
        FaultKind("update-unreachable", "the system that the flake has for it now has no network"),
        FaultKind("update-panics", "the kernel of the system that the flake has for it now panics"),
        FaultKind("generation-unbootable", "a generation stops in emergency mode; its number, 0 the newest", 0.0),
        FaultKind("stalled", "the machine hangs in the middle of the initrd; percent", 50.0),
    )
}

FLAWED = "update-"
"""Begins the names of the faults that a newly built system has, and not the machine."""

UEFI_ONLY = frozenset({"secure-boot-refused"})

ALIASES = {"bmc-flaky": "bmc-loss", "bmc-slow": "bmc-latency"}


def parse_fault(text: str) -> tuple[str, float | None]:
    """The name and number of `name` or `name=number`.

    Raises:
        FaultError: no such fault, or a number that is missing, negative, or not wanted.
    """
    name, equals, number = text.strip().partition("=")
    name = ALIASES.get(name, name)
    kind = CATALOGUE.get(name)
    if kind is None:
        raise FaultError(f"no fault {name!r}; there are: {', '.join(CATALOGUE)}")
    if not equals:
        return name, kind.default
    if kind.default is None:
        raise FaultError(f"fault {name} takes no number")
    try:
        value = float(number)
    except ValueError:
        raise FaultError(f"fault {name}: {number!r} is no number") from None
    if not 0 <= value < 1e6 or (name == "bmc-loss" and value >= 1) or (name == "bmc-resets" and value <= 0):
        raise FaultError(f"fault {name}: {number} is out of range")
    return name, value


def parse_assignment(text: str) -> tuple[str, str]:
    """Node and fault of `NODE=FAULT` or `NODE=FAULT=NUMBER`.

    Raises:
        FaultError: a part is missing.
    """
    node, equals, fault = text.strip().partition("=")
    if not equals or not node or not fault:
        raise FaultError(f"{text!r} is not NODE=FAULT")
    parse_fault(fault)
    return node.strip(), fault.strip()


class NodeFaults:
    """The faults of one node now. Asked at the moment where they act, so that they may change at any time."""

    __slots__ = ("_active",)

    def __init__(self) -> None:
        self._active: dict[str, float | None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._active

    def number(self, name: str) -> float:
        """The number of a fault, 0 when it is not there."""
        return self._active.get(name) or 0.0

    def set(self, fault: str) -> str:
        """Add a fault, as `parse_fault` reads it; returns its name."""
        name, value = parse_fault(fault)
        self._active[name] = value
        return name

    def clear(self, name: str | None = None) -> None:
        """Remove one fault, or all of them."""
        if name is None:
            self._active.clear()
        else:
            self._active.pop(name, None)

    def names(self) -> tuple[str, ...]:
        return tuple(self._active)


def group(faults: Mapping[str, str | Iterable[str]] | Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Faults by node, from a mapping or from `NODE=FAULT` words.

    Raises:
        FaultError: as `parse_assignment` and `parse_fault`.
    """
    result: dict[str, tuple[str, ...]] = {}
    if isinstance(faults, Mapping):
        for node, value in faults.items():
            result[node] = (value,) if isinstance(value, str) else tuple(value)
            for fault in result[node]:
                parse_fault(fault)
        return result
    for text in faults:
        node, fault = parse_assignment(text)
        result[node] = (*result.get(node, ()), fault)
    return result
