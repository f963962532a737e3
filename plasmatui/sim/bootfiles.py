"""What the simulated boot service has to serve: script, kernel and initrd, whole or broken as a node's faults say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from plasmatui.sim.builds import store_path
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.identity import PROVISIONING
from plasmatui.sim.steps import HTTP, RELEASE

SCRIPT_PATH = "/boot/ipxe/boot.ipxe"
UEFI_LOADER = ("ipxe.efi", 1_060_864)
BIOS_LOADER = ("undionly.kpxe", 74_213)
"""iPXE's builds, with their sizes in bytes."""

LOADERS = ("ipxe-i386.efi", UEFI_LOADER[0], BIOS_LOADER[0])
KERNEL_MAGIC = b"HdrS"
KERNEL_MAGIC_AT = 0x202  # Documentation/arch/x86/boot.rst
INITRD_HEAD = b"\x28\xb5\x2f\xfdplasmatui-sim-initrd"  # Zstandard's magic number
INITRD_TAIL = b"TRAILER!!!\0\0\0\0"

_BLOCK = bytes((index * 151 + (index >> 8) * 89) & 0xFF for index in range(4096))


@dataclass(frozen=True)
class Client:
    """A machine as the boot service knows it."""

    name: str
    profile: str
    macs: tuple[str, ...]
    faults: NodeFaults


def _fill(size: int) -> bytes:
    return (_BLOCK * (size // len(_BLOCK) + 1))[: max(0, size)]


def make_kernel(size: int) -> bytes:
    """Something that a boot loader takes for a bzImage."""
    data = bytearray(_fill(max(size, 1024)))
    data[:2] = b"MZ"
    data[0x3C:0x40] = bytes(4)  # no EFI stub
    data[0x1F1] = 1  # sectors of set-up code beside the first
    data[0x1F4:0x1F8] = ((len(data) - 1024) // 16).to_bytes(4, "little")
    data[0x1FE:0x200] = b"\x55\xaa"
    data[KERNEL_MAGIC_AT : KERNEL_MAGIC_AT + len(KERNEL_MAGIC)] = KERNEL_MAGIC
    return bytes(data)


def make_initrd(size: int) -> bytes:
    """Something that begins and ends like an archive."""
    return INITRD_HEAD + _fill(size - len(INITRD_HEAD) - len(INITRD_TAIL)) + INITRD_TAIL


def script(client: Client) -> bytes:
    """The iPXE script of a machine."""
    name, profile = client.name, client.profile
    console = "console=tty0 console=ttyS0,115200n8"
    init = f"init=/nix/store/8f2x-nixos-system-installer-{RELEASE}/init"
    # what a hand-edited script looks like when a word is wrong: iPXE has no such command
    first = "hostname" if "boot-script-error" in client.faults else "echo Hostname"
    initrd = f"initrd --name initrd ${{base}}/nixos/{profile}/initrd || goto failed\n"
    if "kernel-panic-rootfs" in client.faults:  # somebody took the line out
        initrd = ""
    return f"""#!ipxe
# {profile}: network boot of the installer. Rendered from the inventory.
set base {HTTP}
{first} {name}
echo Booting profile {profile} for {name}
kernel ${{base}}/nixos/{profile}/bzImage initrd=initrd {init} {console} loglevel=7 \
plasma.profile={profile} plasma.hostname={name} || goto failed
{initrd}boot || goto failed

:failed
echo Boot failed
shell
""".encode()


def whole_script(clients: Iterable[Client]) -> bytes:
    """The iPXE script as it lies on the server: every machine by its cards."""
    lines = ["#!ipxe", "# Rendered from the inventory."]
    for client in clients:
        lines += [f"iseq ${{net0/mac}} {mac} && set profile {client.profile} ||" for mac in client.macs]
    lines.append(f"chain {HTTP}/nixos/${{profile}}/netboot.ipxe")
    return ("\n".join(lines) + "\n").encode()


def netboot_script() -> bytes:
    """What a netboot build says of itself (nixpkgs, nixos/modules/installer/netboot/netboot.nix)."""
    init = f"init={store_path('nixos-system-installer', RELEASE)}/init"
    return f"#!ipxe\nkernel bzImage {init} initrd=initrd loglevel=7\ninitrd initrd\nboot\n".encode()


class BootFiles:
    """The files of a rack.

    Args:
        kernel_size, initrd_size: bytes.
        clients: the machines by provisioning address.
    """

    def __init__(self, kernel_size: int, initrd_size: int, clients: Mapping[str, Client]) -> None:
        self._kernel = make_kernel(kernel_size)
        self._initrd = make_initrd(initrd_size)
        self._clients = clients

    def find(self, address: str, path: str) -> bytes | None:
        """The file at a path for a client's address; None when there is none.

        Faults are those of a machine. Who asks and is none, as a checklist does, is given what the worst off gets.
        """
        if IPv4Address(address) in PROVISIONING:
            client = self._clients.get(address)
            return None if client is None else self._for_machine(client, path)
        found = list(self._for_others(path))
        return None if None in found else min(filter(None, found), key=len, default=None)

    def _for_machine(self, client: Client, path: str) -> bytes | None:
        if path == SCRIPT_PATH:
            return None if "boot-script-missing" in client.faults else script(client)
        if path == f"/boot/nixos/{client.profile}/bzImage":
            return self._kernel_for(client.faults)
        if path == f"/boot/nixos/{client.profile}/initrd":
            return self._initrd_for(client.faults)
        return None

    def _for_others(self, path: str) -> Iterator[bytes | None]:
        """The file as each machine that it is for would get it."""
        if path in (f"/boot/ipxe/{name}" for name in LOADERS):
            yield _fill(UEFI_LOADER[1])
        for client in self._clients.values():
            if path == f"/boot/nixos/{client.profile}/netboot.ipxe":
                yield netboot_script()
            elif path == SCRIPT_PATH:
                missing = "boot-script-missing" in client.faults
                yield None if missing else whole_script(self._clients.values())
            elif path.startswith(f"/boot/nixos/{client.profile}/"):
                yield self._for_machine(client, path)

    def _kernel_for(self, faults: NodeFaults) -> bytes | None:
        if "kernel-missing" in faults:
            return None
        if "kernel-not-executable" in faults:  # a page of a proxy, or half an upload: no kernel
            return _BLOCK
        return self._kernel

    def _initrd_for(self, faults: NodeFaults) -> bytes | None:
        if "initrd-missing" in faults:
            return None
        if "initrd-truncated" in faults:
            return self._initrd[: len(self._initrd) * 2 // 5]
        return self._initrd
