"""The whole PXE server as a NixOS module. NixOS has no ISC dhcpd any more (removed in 23.11); Kea takes its place."""

from __future__ import annotations

from collections import defaultdict

from plasmatui.pxe import dnsmasq, firewall, kea, tftp
from plasmatui.pxe.nix import Value, to_nix
from plasmatui.pxe.quoting import NIX, Quoted, fill, header, nix_string, word_of
from plasmatui.pxe.site import HTTP_PREFIX, Site

_WORD = word_of("a command of a NixOS unit")


def module(site: Site) -> str:
    """`pxe-server.nix`."""
    return fill(
        NIX,
        "pxe-server.nix.j2",
        header=header(NIX, site.source, "pxe, networks and nodes"),
        site=site,
        prefix=HTTP_PREFIX,
        dhcp=_dhcp(site),
        tftp=_tftp(site),
        firewall=_firewall(site),
    )


def _dhcp(site: Site) -> Quoted:
    if site.dhcp == "dnsmasq":
        return _dnsmasq(site, dnsmasq.full(site))
    if site.dhcp == "dnsmasq-proxy":
        return _dnsmasq(site, dnsmasq.proxy(site))
    return _kea(site)


def _kea(site: Site) -> Quoted:
    return Quoted(f"services.kea.dhcp4 = {to_nix({'enable': True, 'settings': kea.settings(site)}, 2)};")


def _dnsmasq(site: Site, lines: dnsmasq.Lines) -> Quoted:
    """Keys that stand several times are lists, switches are `true`; reservations lie in /etc like elsewhere."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for key, value in lines:
        grouped[key].append(value)
    settings: dict[str, Value] = {
        key: True if values == [""] else values[0] if len(values) == 1 else values for key, values in grouped.items()
    }
    # Without this the module makes dnsmasq the machine's own resolver.
    service: dict[str, Value] = {"enable": True, "resolveLocalQueries": False, "settings": settings}
    text = f"services.dnsmasq = {to_nix(service, 2)};"
    if site.dhcp == "dnsmasq":
        name = nix_string(dnsmasq.HOSTS.removeprefix("/etc/"))
        text += f"\n  environment.etc.{name}.text = {nix_string(dnsmasq.hosts(site))};"
    return Quoted(text)


def _tftp(site: Site) -> Quoted:
    if site.tftp == "dnsmasq":
        above = Quoted("# TFTP is dnsmasq's, see above.")
        return above if site.dhcp.startswith("dnsmasq") else _dnsmasq(site, dnsmasq.tftp_only(site))
    if site.tftp == "atftpd":
        options: dict[str, Value] = {
            "enable": True,
            "root": site.tftp_root,
            "extraOptions": list(tftp.arguments(site)[:-1]),
        }
        return Quoted(f"services.atftpd = {to_nix(options, 2)};")
    words = " ".join(_WORD(word) for word in tftp.arguments(site))
    return Quoted(
        "systemd.services.tftpd = {\n"
        '    description = "TFTP server for network boots";\n'
        '    wantedBy = [ "multi-user.target" ];\n'
        '    after = [ "network-online.target" ];\n'
        '    wants = [ "network-online.target" ];\n'
        f'    serviceConfig.ExecStart = "${{pkgs.tftp-hpa}}/bin/in.tftpd --foreground {words}";\n'
        '    serviceConfig.Restart = "on-failure";\n'
        "  };"
    )


def _firewall(site: Site) -> Quoted:
    """By source address where there is one, by interface for machines that have none yet."""
    found = firewall.openings(site)
    machines = ", ".join(str(network) for network in found.machines)
    nodes = ", ".join(str(network) for network in found.nodes)
    lines = [
        f'iifname "{_WORD(site.interface)}" udp dport {{ {_ports(found.broadcast)} }} accept',
        f"ip saddr {{ {machines} }} udp dport {{ {_ports(found.udp)} }} accept",
        f"ip saddr {{ {nodes} }} tcp dport {{ {_ports(found.tcp)} }} accept",
    ]
    if found.tftp_range is not None:
        first, last = found.tftp_range
        lines.insert(2, f"ip saddr {{ {machines} }} udp dport {first}-{last} accept")
    body = "".join(f"      {line}\n" for line in lines)
    return Quoted(f"networking.nftables.enable = true;\n  networking.firewall.extraInputRules = ''\n{body}    '';")


def _ports(ports: tuple[int, ...]) -> str:
    return ", ".join(str(port) for port in ports)
