"""Kea's DHCPv4 server, in a form that Kea 2.2 to 3.0 understand alike.

Left out, because it was renamed in between: `client-class` of pools and subnets, `only-if-required`, `control-socket`.
Classes exclude each other, since versions differ in which of several matching classes wins (Kea issue 1672).
"""

from __future__ import annotations

import json
from typing import Any

from plasmatui.pxe.arch import ENCAPSULATED, HTTP_CLIENT, IPXE_CLASS, NO_PXEDHCP, PXE_CLIENT
from plasmatui.pxe.quoting import JSON, header
from plasmatui.pxe.site import Lease, Loader, Site, Subnet

SOCKETS = {"service-sockets-max-retries": 1_000_000, "service-sockets-retry-wait-time": 5000}
"""For 58 days, every 5000 ms. By itself Kea looks once, and serves nobody for ever when the interface has no carrier
then (Kea ARM, "Interface Configuration"; Kea 2.2 knows it)."""

LEASES = "/var/lib/kea/kea-leases4.csv"
_HEX_CLASS = "0x" + (bytes([len(IPXE_CLASS)]) + IPXE_CLASS.encode()).hex().upper()


def kea(site: Site) -> str:
    """`kea-dhcp4.conf`."""
    edit = "pxe, networks.provisioning and nodes"
    return header(JSON, site.source, edit) + json.dumps({"Dhcp4": settings(site)}, indent=2) + "\n"


def settings(site: Site) -> dict[str, Any]:
    """What stands under `Dhcp4`."""
    found: dict[str, Any] = {
        "interfaces-config": {"interfaces": [site.interface], **SOCKETS},
        "lease-database": {"type": "memfile", "persist": True, "name": LEASES, "lfc-interval": 3600},
        **_lifetimes(site.lease),
        "authoritative": True,
        # Firmware, iPXE and the system name themselves differently; one machine is one MAC address, and one lease.
        "match-client-id": False,
        "host-reservation-identifiers": ["hw-address"],
        "reservations-global": False,
        "reservations-in-subnet": True,
        "reservations-out-of-pool": True,
        # A machine with several network cards has one address, whichever of them it boots from.
        "ip-reservations-unique": all(len(machine.macs) < 2 for machine in site.machines),
        "option-def": [
            {"name": "ipxe", "code": ENCAPSULATED, "space": "dhcp4", "type": "empty", "encapsulate": "ipxe"},
            {"name": "no-pxedhcp", "code": NO_PXEDHCP, "space": "ipxe", "type": "uint8"},
        ],
        "client-classes": _classes(site),
        "subnet4": [_subnet(site, subnet) for subnet in site.subnets],
    }
    if site.kea_log:
        output = [{"output": site.kea_log}]
        found["loggers"] = [{"name": "kea-dhcp4", "severity": "INFO", "output_options": output}]
    return found


def _lifetimes(lease: Lease) -> dict[str, int]:
    return {
        "valid-lifetime": lease.default,
        "min-valid-lifetime": lease.default,
        "max-valid-lifetime": lease.longest,
        "renew-timer": lease.renew,
        "rebind-timer": lease.rebind,
    }


def _classes(site: Site) -> list[dict[str, Any]]:
    """iPXE first, then UEFI HTTP boot, then PXE by architecture. A class names only classes before it."""
    is_ipxe = f"option[{ENCAPSULATED}].exists or option[77].hex == '{IPXE_CLASS}' or option[77].hex == {_HEX_CLASS}"
    classes: list[dict[str, Any]] = [
        {
            "name": "ipxe",
            "test": is_ipxe,
            "next-server": str(site.server),
            "boot-file-name": site.script_url,
            "option-data": [
                {"name": "ipxe"},
                {"name": "no-pxedhcp", "space": "ipxe", "data": "1"},
            ],
        },
        {"name": "http", "test": f"not member('ipxe') and {_vendor(HTTP_CLIENT)}"},
    ]
    return classes + [each for loader in site.loaders for each in _loader_classes(site, loader)]


def _loader_classes(site: Site, loader: Loader) -> list[dict[str, Any]]:
    name, arch = loader.architecture.name, loader.architecture
    test = " or ".join(_code(code) for code in arch.pxe)
    if arch.name == "bios":  # ROMs older than RFC 4578 do not tell their architecture
        test += f" or (not option[93].exists and {_vendor(PXE_CLIENT)})"
    classes: list[dict[str, Any]] = [
        {
            "name": f"pxe-{name}",
            "test": f"not member('ipxe') and not member('http') and ({test})",
            "next-server": str(site.server),
            "boot-file-name": loader.file,
        }
    ]
    if arch.http:
        classes.append(
            {
                "name": f"http-{name}",
                "test": f"member('http') and ({' or '.join(_code(code) for code in arch.http)})",
                "next-server": str(site.server),
                "boot-file-name": site.loader_url(loader),
                "option-data": [{"name": "vendor-class-identifier", "data": HTTP_CLIENT, "always-send": True}],
            }
        )
    return classes


def _code(code: int) -> str:
    """The first two bytes: option 93 may be a list."""
    return f"substring(option[93].hex,0,2) == 0x{code:04X}"


def _vendor(prefix: str) -> str:
    return f"substring(option[60].hex,0,{len(prefix)}) == '{prefix}'"


def _subnet(site: Site, subnet: Subnet) -> dict[str, Any]:
    options: list[dict[str, str]] = []
    if subnet.gateway is not None:
        options.append({"name": "routers", "data": str(subnet.gateway)})
    if subnet.dns:
        options.append({"name": "domain-name-servers", "data": ", ".join(str(address) for address in subnet.dns)})
    if site.domain:
        options.append({"name": "domain-name", "data": site.domain})
    found: dict[str, Any] = {"id": subnet.number, "subnet": str(subnet.network), "option-data": options}
    if subnet.pool is not None:
        found["pools"] = [{"pool": f"{subnet.pool[0]} - {subnet.pool[1]}"}]
    found["reservations"] = [
        {"hw-address": mac, "ip-address": str(machine.address), "hostname": machine.name}
        for machine in subnet.reserved
        for mac in machine.macs
    ]
    return found
