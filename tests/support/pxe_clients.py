"""The machines that a PXE server meets, as DHCP clients: what they say, and what they must be given.

Texts of option 60 and 77 as seen from OVMF, SeaBIOS and iPXE 1.21; codes of option 93 from IANA's registry.
"""

from __future__ import annotations

from dataclasses import dataclass

SCRIPT = "http://10.0.100.10:8080/boot/ipxe/boot.ipxe"
HTTP = "http://10.0.100.10:8080/boot/ipxe"
SERVER = "10.0.100.10"
KNOWN, UNKNOWN = "52:54:00:12:34:56", "52:54:00:99:99:99"
IPXE_FEATURES = bytes.fromhex("b105 01 8086 100e eb03 01 1501 1301 01 2401 01".replace(" ", ""))
"""Contents of option 175: bus id, version 1.21.1, HTTP, EFI."""


@dataclass(frozen=True)
class Client:
    """A DHCP client: MAC, options, and the relay's address. `file` None: no boot file must be named."""

    name: str
    options: dict[int, bytes]
    file: str | None
    vendor: str = ""  # option 60 of the answer
    mac: str = KNOWN
    relay: str = ""
    no_proxy_wait: bool = False  # 175.176 = 1 in the answer


def _pxe(arch: str, *, vendor: str = "PXEClient", undi: str = "003000") -> dict[int, bytes]:
    code = bytes.fromhex(arch)
    text = f"{vendor}:Arch:{int.from_bytes(code[:2], 'big'):05d}:UNDI:{undi}"
    return {60: text.encode(), 93: code, 94: b"\x01\x03\x10"}


def _ipxe(arch: str, user_class: bytes = b"iPXE", encap: bool = True) -> dict[int, bytes]:
    options = {**_pxe(arch, undi="003010"), 77: user_class}
    return {**options, 175: IPXE_FEATURES} if encap else options


GOLDEN = (
    Client("BIOS ROM", _pxe("0000", undi="002001"), "undionly.kpxe"),
    Client("UEFI x86-64, 7", _pxe("0007"), "ipxe.efi"),
    Client("UEFI x86-64, 9", _pxe("0009"), "ipxe.efi"),
    Client("UEFI IA32", _pxe("0006"), "ipxe-i386.efi"),
    Client("UEFI ARM64", _pxe("000b"), "ipxe-arm64.efi"),
    Client("UEFI ARM32, which has no file", _pxe("000a"), None),
    Client("RISC-V, which is not known", _pxe("001b"), None),
    Client("HTTP boot x86-64", _pxe("0010", vendor="HTTPClient"), f"{HTTP}/ipxe.efi", "HTTPClient"),
    Client("HTTP boot ARM64", _pxe("0013", vendor="HTTPClient"), f"{HTTP}/ipxe-arm64.efi", "HTTPClient"),
    Client("HTTP boot IA32", _pxe("000f", vendor="HTTPClient"), f"{HTTP}/ipxe-i386.efi", "HTTPClient"),
    Client(
        "HTTP boot that does not ask for option 60",
        {**_pxe("0010", vendor="HTTPClient"), 55: b"\x01\x03\x06"},
        f"{HTTP}/ipxe.efi",
        "HTTPClient",
    ),
    Client("HTTP boot ARM32, which has no file", _pxe("0012", vendor="HTTPClient"), None),
    Client("iPXE on BIOS", _ipxe("0000"), SCRIPT, no_proxy_wait=True),
    Client("iPXE on UEFI", _ipxe("0007"), SCRIPT, no_proxy_wait=True),
    Client("iPXE with a length before its class", _ipxe("0007", b"\x04iPXE", encap=False), SCRIPT, no_proxy_wait=True),
    Client("iPXE told by its class alone", _ipxe("0007", encap=False), SCRIPT, no_proxy_wait=True),
    Client("iPXE with another class", _ipxe("0007", b"pixiecore"), SCRIPT, no_proxy_wait=True),
    Client("Linux", {60: b"dhcpcd-9.4.1:Linux", 55: b"\x01\x03\x06"}, None),
    Client("Linux without a vendor class", {}, None),
    Client("old ROM that names no architecture", {60: b"PXEClient"}, "undionly.kpxe"),
    Client("list of architectures, x86-64 first", _pxe("00070006"), "ipxe.efi"),
    Client("list of architectures, IA32 first", _pxe("00060000"), "ipxe-i386.efi"),
    Client("unknown MAC", _pxe("0007"), "ipxe.efi", mac=UNKNOWN),
    Client("behind a relay", _pxe("0007"), "ipxe.efi", mac=UNKNOWN, relay="10.0.101.1"),
    Client("iPXE behind a relay", _ipxe("0000"), SCRIPT, mac=UNKNOWN, relay="10.0.101.1", no_proxy_wait=True),
)

INVENTORY = """\
version: 1
cluster: {name: prod-cluster, domain: example.com}
networks:
  management: {cidr: 10.0.10.0/24}
  provisioning:
    {cidr: 10.0.100.0/24, gateway: 10.0.100.1, dns: [10.0.100.1, 8.8.8.8], pool: 10.0.100.100-10.0.100.200}
  row2: {cidr: 10.0.101.0/24, gateway: 10.0.101.1, dns: [10.0.100.1], pool: 10.0.101.100-10.0.101.200}
  production: {cidr: 10.0.200.0/24, gateway: 10.0.200.1}
pxe:
  server: 10.0.100.10
  interface: eth0
  relayed: [row2]
  loaders: {efi-arm64: ipxe-arm64.efi}
nodes:
  node01: {profile: control-plane, mac: ["52:54:00:12:34:56", "52:54:00:AB:34:56"], provisioning_ip: 10.0.100.50,
           production_ip: 10.0.200.10, disks: [/dev/disk/by-id/nvme-A, /dev/disk/by-id/nvme-B]}
  node02: {profile: control-plane, mac: "52-54-00-12-34-57", provisioning_ip: 10.0.100.51, production_ip: 10.0.200.11,
           disks: [/dev/disk/by-id/nvme-C]}
  node03: {profile: control-plane, mac: "52:54:00:12:34:58", provisioning_ip: 10.0.100.52, production_ip: 10.0.200.12,
           disks: [/dev/disk/by-id/nvme-D]}
  worker01: {profile: worker, mac: "52:54:00:12:34:60", provisioning_ip: 10.0.101.60, production_ip: 10.0.200.20,
             disks: [/dev/disk/by-id/nvme-E]}
  worker02: {profile: worker, mac: "52:54:00:12:34:61", production_ip: 10.0.200.21}
  spare: {bmc: {address: 10.0.10.70, password: {env: PW}}}
"""
