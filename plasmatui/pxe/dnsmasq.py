"""dnsmasq: as the DHCP server of the provisioning network, or as proxyDHCP beside another one.

In the full form files are named by `dhcp-boot`, in the proxy by `pxe-service`; both together would switch on PXE menus.
Of several `dhcp-boot` lines that match dnsmasq takes one by position, so tags exclude each other. Values are written as
`(key, value)`, which the NixOS module uses as well. Understood by dnsmasq 2.76 and later.
"""

from __future__ import annotations

import re

from plasmatui.pxe import arch
from plasmatui.pxe.arch import BIOS
from plasmatui.pxe.quoting import BARE, DNSMASQ, RefusedError, header
from plasmatui.pxe.site import TFTP_PORTS, Loader, Site, Subnet

HOSTS = "/etc/dnsmasq-pxe.hosts"
"""Not in /etc/dnsmasq.d, all files of which are read as configuration. Read again at SIGHUP."""

Lines = list[tuple[str, str]]
"""Keys and values; the value is empty for a switch."""


def dnsmasq(site: Site) -> str:
    """The main file of the DHCP server."""
    return _text(site, full(site), "pxe, networks.provisioning and nodes")


def dnsmasq_proxy(site: Site) -> str:
    """The main file of the proxy."""
    return _text(site, proxy(site), "pxe and networks.provisioning")


def hosts(site: Site) -> str:
    """The file of reservations, `dhcp-hostsfile`."""
    lines = [
        ",".join((*machine.macs, str(machine.address), _host(machine.name)))
        for subnet in site.subnets
        for machine in subnet.reserved
    ]
    return header(DNSMASQ, site.source, "nodes") + "".join(f"{line}\n" for line in lines)


def misread(name: str) -> bool:
    """Whether dnsmasq would take a host's name for a lease time or a keyword (dnsmasq(8), `--dhcp-host`)."""
    return name in ("ignore", "infinite") or re.fullmatch(r"[0-9]+[smhdwSMHDW]?", name) is not None


def _host(name: str) -> str:
    if misread(name) or not BARE.fullmatch(name) or re.search(r"[:=/]", name):
        raise RefusedError(name, DNSMASQ.name, "it would not be taken for a host's name")
    return name


def full(site: Site) -> Lines:
    """Configuration as the network's DHCP server."""
    lines: Lines = [
        *_common(site),
        ("dhcp-authoritative", ""),
        # Firmware, iPXE and the system name themselves differently; one machine is one MAC address, and one lease.
        ("dhcp-ignore-clid", ""),
        ("dhcp-hostsfile", HOSTS),
        *[line for subnet in site.subnets for line in _subnet(site, subnet)],
        *_ipxe_tags(),
        ("dhcp-vendorclass", f"set:http,{arch.HTTP_CLIENT}"),
        ("dhcp-vendorclass", f"set:pxe,{arch.PXE_CLIENT}"),
        ("dhcp-match", "set:arch,93"),
    ]
    if site.domain:
        lines.append(("domain", _value(site.domain)))
    for loader in site.loaders:
        lines += _loader(site, loader)
    lines.append(("dhcp-boot", _value("tag:ipxe", site.script_url, "", str(site.server))))
    lines.append(("dhcp-option", f"tag:ipxe,encap:{arch.ENCAPSULATED},{arch.NO_PXEDHCP},1b"))
    return lines + _tftp(site)


def proxy(site: Site) -> Lines:
    """Configuration beside another DHCP server: says only what to boot, gives no address. UEFI HTTP boot is not
    served: its clients expect the URL in the answer that has the address."""
    lines = _common(site)
    network = site.subnets[0].network
    lines.append(("dhcp-range", f"{network.network_address},proxy,{network.netmask}"))
    lines += _ipxe_tags()
    server = str(site.server)
    for loader in site.loaders:
        for code in loader.architecture.pxe:
            title = loader.architecture.title
            lines.append(("pxe-service", _value("tag:!ipxe", str(code), f"iPXE for {title}", loader.file, server)))
            lines.append(("pxe-service", _value("tag:ipxe", str(code), "boot script", site.script_url, server)))
    return lines + _tftp(site)


def tftp_only(site: Site) -> Lines:
    """Configuration as TFTP server beside another DHCP server on the same host."""
    return [("port", "0"), ("interface", _value(site.interface)), ("bind-dynamic", ""), *_tftp(site)]


def dnsmasq_tftp(site: Site) -> str:
    """The main file of the TFTP server."""
    return _text(site, tftp_only(site), "pxe.tftp")


def _common(site: Site) -> Lines:
    """No DNS; only the interface's address, so that others may listen elsewhere."""
    return [("port", "0"), ("interface", _value(site.interface)), ("bind-dynamic", ""), ("log-dhcp", "")]


def _ipxe_tags() -> Lines:
    return [
        ("dhcp-userclass", f"set:ipxe,{arch.IPXE_CLASS}"),
        ("dhcp-match", f"set:ipxe,{arch.ENCAPSULATED}"),
    ]


def _subnet(site: Site, subnet: Subnet) -> Lines:
    tag, mask, lease = f"net{subnet.number}", subnet.network.netmask, site.lease.default
    span = f"{subnet.network.network_address},static" if subnet.pool is None else f"{subnet.pool[0]},{subnet.pool[1]}"
    lines: Lines = [("dhcp-range", f"set:{tag},{span},{mask},{lease}")]
    # An empty value keeps dnsmasq from naming itself as router or name server.
    gateway = "" if subnet.gateway is None else f",{subnet.gateway}"
    lines.append(("dhcp-option", f"tag:{tag},option:router{gateway}"))
    dns = "".join(f",{address}" for address in subnet.dns)
    lines.append(("dhcp-option", f"tag:{tag},option:dns-server{dns}"))
    return lines


def _loader(site: Site, loader: Loader) -> Lines:
    """Tags for option 93 compare its first two bytes: it may be a list, of which any would match as a number."""
    name, server = loader.architecture.name, str(site.server)
    lines: Lines = []
    for code in loader.architecture.pxe:
        lines.append(("dhcp-match", f"set:{name},93,{code >> 8:02x}:{code & 0xFF:02x}"))
    lines.append(("dhcp-boot", _value(f"tag:{name}", "tag:!http", "tag:!ipxe", loader.file, "", server)))
    if loader.architecture == BIOS:  # ROMs older than RFC 4578 do not tell their architecture
        lines.append(("dhcp-boot", _value("tag:pxe", "tag:!arch", "tag:!http", "tag:!ipxe", loader.file, "", server)))
    for code in loader.architecture.http:
        lines.append(("dhcp-match", f"set:{name}-http,93,{code >> 8:02x}:{code & 0xFF:02x}"))
    if loader.architecture.http:
        tags = (f"tag:{name}-http", "tag:http", "tag:!ipxe")
        lines.append(("dhcp-boot", _value(*tags, site.loader_url(loader), "", server)))
        lines.append(("dhcp-option-force", _value(*tags, "60", arch.HTTP_CLIENT)))
    return lines


def _tftp(site: Site) -> Lines:
    if site.tftp != "dnsmasq":
        return []
    return [
        ("enable-tftp", ""),
        ("tftp-root", _value(site.tftp_root)),
        ("tftp-port-range", f"{TFTP_PORTS[0]},{TFTP_PORTS[1]}"),
    ]


def _value(*parts: str) -> str:
    """Parts with commas between; a part in which a comma or blank would be misread is quoted."""
    return ",".join(part if not part or BARE.fullmatch(part) or _tag(part) else DNSMASQ.quote(part) for part in parts)


def _tag(part: str) -> bool:
    return part.startswith("tag:!") and BARE.fullmatch(part[5:]) is not None


def _text(site: Site, lines: Lines, edit: str) -> str:
    body = "".join(f"{key}={value}\n" if value else f"{key}\n" for key, value in lines)
    return header(DNSMASQ, site.source, edit) + body
