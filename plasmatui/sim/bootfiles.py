"""What the simulated boot service has to serve: script, kernel and initrd, whole or broken as a node's faults say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.steps import HTTP, RELEASE

SCRIPT_PATH = "/boot/ipxe/boot.ipxe"
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


class BootFiles:
    """The files of a rack.

    Args:
        kernel_size, initrd_size: bytes.
        client: who has an address; None for an address that nobody has.
    """

    def __init__(self, kernel_size: int, initrd_size: int, client: Callable[[str], Client | None]) -> None:
        self._kernel = make_kernel(kernel_size)
        self._initrd = make_initrd(initrd_size)
        self._client = client

    def find(self, address: str, path: str) -> bytes | None:
        """The file at a path for a client's address; None when there is none."""
        client = self._client(address)
        if client is None:
            return None
        faults = client.faults
        if path == SCRIPT_PATH:
            return None if "boot-script-missing" in faults else script(client)
        if path == f"/boot/nixos/{client.profile}/bzImage":
            return self._kernel_for(faults)
        if path == f"/boot/nixos/{client.profile}/initrd":
            return self._initrd_for(faults)
        return None

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
