"""ISC dhcpd 4.4, whose maintenance ended in 2022."""

from __future__ import annotations

from plasmatui.pxe import arch
from plasmatui.pxe.quoting import DHCPD, SHELL, Quoted, fill, header
from plasmatui.pxe.site import Site


def dhcpd(site: Site) -> str:
    """`dhcpd.conf`."""
    edit = "pxe, networks.provisioning and nodes"
    return fill(DHCPD, "dhcpd.conf.j2", header=header(DHCPD, site.source, edit), site=site, arch=arch, code=_code)


def defaults(site: Site) -> str:
    """Debian's `/etc/default/isc-dhcp-server`, without which its unit listens nowhere."""
    interface = SHELL.quote(site.interface)
    return f"{header(SHELL, site.source, 'pxe.interface')}INTERFACESv4={interface}\nINTERFACESv6=''\n"


def _code(code: int) -> Quoted:
    """A test of the first two bytes of option 93, which may be a list."""
    return Quoted(f"substring(option architecture-type, 0, 2) = {code >> 8:02x}:{code & 0xFF:02x}")
