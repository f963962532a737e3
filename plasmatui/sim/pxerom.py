"""The firmware's network boot: DHCP and TFTP, on the console and in the servers' logs.

Texts: EDK II (`NetworkPkg/UefiPxeBcDxe`, `MdeModulePkg` BDS) and Intel Boot Agent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plasmatui.sim.boot import Boot
from plasmatui.sim.identity import BOOT_SERVER, GATEWAY
from plasmatui.sim.steps import Scene, Step, line

_RETRIES = (0.1, 4.0, 8.0, 16.0)  # RFC 2131 section 4.1
_LAST_WAIT = 32.0
_STRANGE_SERVER = "192.168.1.1"
_STRANGE_ADDRESS = "192.168.1.137"


@dataclass(frozen=True)
class _Lease:
    """What DHCP gave."""

    address: str
    mask: str
    server: str
    filename: str


def network_boot(facts: Boot) -> Scene[bool]:
    """From DHCP to the loader's start; False when the firmware gives up."""
    return (yield from (_uefi(facts) if facts.identity.uefi else _bios(facts)))


def nothing_boots(facts: Boot) -> Iterator[Step]:
    """The end of the boot order."""
    if facts.identity.uefi:
        yield line(1.0, "BdsDxe: No bootable option or device was found.")
        yield line(0.1, "BdsDxe: Press any key to enter the Boot Manager Menu.")
    else:
        yield line(1.0, "\r\nReboot and Select proper Boot device")
        yield line(0.1, "or Insert Boot Media in selected Boot device and press a key")


def _asks_in_vain(facts: Boot) -> Scene[None]:
    """Discovers without an offer. The servers see them or do not, and say why."""
    dhcp, query = facts.services.dhcp, facts.loader_query()
    for wait in _RETRIES:
        if "unknown-mac" in facts.faults:
            yield Step(wait, b"", facts.happens(dhcp.unknown, query))
        elif "pool-exhausted" in facts.faults:
            yield Step(wait, b"", facts.happens(dhcp.exhausted, query))
        else:
            yield Step(wait)
    yield Step(_LAST_WAIT)


def _dhcp(facts: Boot) -> Scene[_Lease | str]:
    """What DHCP gives, or the error: "silence" or "no-file"."""
    dhcp, query = facts.services.dhcp, facts.loader_query()
    if any(fault in facts.faults for fault in ("no-dhcp-answer", "unknown-mac", "pool-exhausted")):
        yield from _asks_in_vain(facts)
        return "silence"
    if "no-boot-filename" in facts.faults:
        for wait in _RETRIES[:3]:  # firmware that wants a file name does not take such an offer
            yield Step(wait, b"", facts.happens(dhcp.offered, query))
        yield Step(4.0)
        return "no-file"
    yield Step(0.1, b"", facts.happens(dhcp.offered, query))
    if "rogue-dhcp" in facts.faults:  # another server was faster
        taken = _Lease(_STRANGE_ADDRESS, "255.255.255.0", _STRANGE_SERVER, "pxelinux.0")
        strange = query.__class__(query.mac, taken.address, query.vendor, "", "", query.xid, identified=False)
        yield Step(facts.around(2.2), b"", facts.happens(dhcp.overheard, strange, taken.server))
        return taken
    yield Step(facts.around(2.2), b"", facts.happens(dhcp.acknowledged, query))
    return _Lease(query.address, "255.255.0.0", str(BOOT_SERVER), query.filename)


def _tftp(facts: Boot, lease: _Lease) -> Scene[str]:
    """The transfer of the loader after its size is known: "ok"."""
    tftp, (name, size) = facts.services.tftp, facts.loader
    yield Step(0.1, b"", facts.happens(tftp.begun, lease.address, name, size))
    if "tftp-slow" in facts.faults:
        yield Step(facts.faults.number("tftp-slow"))
    yield Step(facts.around(0.7), b"", facts.happens(tftp.ended, lease.address, name))
    return "ok"


def _unreachable(facts: Boot, lease: _Lease) -> bool:
    """Whether nothing answers TFTP where DHCP says."""
    return "tftp-unreachable" in facts.faults or lease.server != str(BOOT_SERVER)


# UEFI


def _boot_option(facts: Boot, version: int = 4) -> str:
    mac = facts.mac.replace(":", "").upper()
    if version == 4:
        tail = "IPv4(0.0.0.0,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)"
        name = "Boot0001"
    else:
        zero = ":".join(["0000"] * 8)
        tail = f"IPv6({zero},0x0,Static,{zero},0x40,{zero})"
        name = "Boot0002"
    return f'{name} "UEFI PXEv{version} (MAC:{mac})" from PciRoot(0x0)/Pci(0x1,0x0)/MAC({mac},0x1)/{tail}'


def _uefi_gives_up(facts: Boot, why: str = "Not Found") -> Iterator[Step]:
    yield line(0.1, f"BdsDxe: failed to load {_boot_option(facts)}: {why}")
    yield Step(0.3, b"\r\n>>Start PXE over IPv6.")
    yield line(facts.around(16.0), "\r\n  PXE-E16: No valid offer received.")
    yield line(0.1, f"BdsDxe: failed to load {_boot_option(facts, 6)}: Not Found")


def _uefi(facts: Boot) -> Scene[bool]:
    yield Step(0.3, b"\r\n>>Start PXE over IPv4.")
    lease = yield from _dhcp(facts)
    if isinstance(lease, str):
        silent = lease == "silence"
        text = "PXE-E18: Server response timeout." if silent else "PXE-E16: No valid offer received."
        yield line(0.1, f"\r\n  {text}")
        yield from _uefi_gives_up(facts)
        return False
    yield Step(facts.around(0.4), f"\r\n  Station IP address is {lease.address}\r\n\r\n".encode())
    if not (yield from _uefi_tftp(facts, lease)):
        yield from _uefi_gives_up(facts)
        return False
    if "wrong-arch-loader" in facts.faults:
        yield from _uefi_gives_up(facts, "Unsupported")
        return False
    if "secure-boot-refused" in facts.faults:
        yield from _uefi_gives_up(facts, "Access Denied")
        return False
    yield line(0.1, f"BdsDxe: loading {_boot_option(facts)}")
    yield line(0.05, f"BdsDxe: starting {_boot_option(facts)}")
    return True


def _uefi_tftp(facts: Boot, lease: _Lease) -> Scene[bool]:
    tftp, (_, size) = facts.services.tftp, facts.loader
    head = f"  Server IP address is {lease.server}\r\n  NBP filename is {lease.filename}\r\n  NBP filesize is "
    if _unreachable(facts, lease):
        yield line(6.0, f"{head}0 Bytes")
        yield line(0.1, "  PXE-E99: Unexpected network error.")
        return False
    if "tftp-file-missing" in facts.faults:
        yield Step(0.1, b"", facts.happens(tftp.missing, lease.address, lease.filename))
        yield line(0.1, f"{head}0 Bytes")
        yield line(0.1, "  PXE-E23: Client received TFTP error from server.")
        return False
    yield Step(0.1, b"", facts.happens(tftp.probed, lease.address, lease.filename, size))
    yield line(0.1, f"{head}{size} Bytes")
    yield Step(0.05, b" Downloading NBP file...\r\n")
    yield from _tftp(facts, lease)
    yield line(0.1, "\r\n  NBP file downloaded successfully.")
    return True


# BIOS


def _bios(facts: Boot) -> Scene[bool]:
    mac = facts.mac.replace(":", " ").upper()
    yield Step(0.3, b"\r\nIntel(R) Boot Agent GE v1.5.88\r\nCopyright (C) 1997-2022, Intel Corporation\r\n\r\n")
    yield line(0.2, f"CLIENT MAC ADDR: {mac}  GUID: {str(facts.identity.guid).upper()}")
    yield Step(0.1, b"DHCP.")
    for spinner in b"/-\\|" * 2:
        yield Step(facts.around(0.1), b"\x08" + bytes([spinner]))
    lease = yield from _dhcp(facts)
    error = ""
    if isinstance(lease, str):
        silent = lease == "silence"
        yield Step(0.1, b"\r\n")
        error = (
            "PXE-E51: No DHCP or proxyDHCP offers were received." if silent else "PXE-E53: No boot filename received"
        )
    else:
        yield line(0.1, f"\rCLIENT IP: {lease.address}  MASK: {lease.mask}  DHCP IP: {lease.server}")
        yield line(0.05, f"GATEWAY IP: {GATEWAY if lease.server == str(BOOT_SERVER) else lease.server}")
        yield Step(0.2, b"TFTP.")
        error = yield from _bios_tftp(facts, lease)
    if error:
        yield line(0.1, f"{error}\r\n")
        yield line(1.5, "PXE-M0F: Exiting Intel Boot Agent.")
        return False
    yield line(0.1, "\r\nPXE->EB: !PXE at 9CE2:0070, entry point at 9CE2:0106")
    return True


def _bios_tftp(facts: Boot, lease: _Lease) -> Scene[str]:
    """The error, "" without one."""
    tftp, (name, size) = facts.services.tftp, facts.loader
    if _unreachable(facts, lease):
        for _ in range(4):
            yield Step(facts.around(4.0), b".")
        return "\r\nPXE-E32: TFTP open timeout"
    if "tftp-file-missing" in facts.faults:
        yield Step(0.2, b"", facts.happens(tftp.missing, lease.address, name))
        return "\r\nPXE-T01: File not found\r\nPXE-E3B: TFTP Error - File Not found"
    yield Step(0.1, b"", facts.happens(tftp.probed, lease.address, name, size))
    yield from _tftp(facts, lease)
    return "\r\nPXE-E79: NBP is too big to fit in free base memory" if "wrong-arch-loader" in facts.faults else ""
