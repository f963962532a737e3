"""TFTP servers: Debian's default files, and systemd units where there are none.

tftpd-hpa answers from ports that it is told (`-R`); atftpd cannot be told (its manual page), so that a firewall needs
the kernel's TFTP helper for it.
"""

from __future__ import annotations

from plasmatui.pxe.quoting import BARE, SHELL, SYSTEMD, Quoted, fill, header
from plasmatui.pxe.site import TFTP_PORTS, Site

BLOCK_SIZE = 1468
"""Bytes of a block that fit an Ethernet frame: larger ones are fragments, which some firmware cannot join."""


def arguments(site: Site) -> tuple[str, ...]:
    """The arguments of the site's TFTP server, in the foreground's form apart from the flag for it."""
    if site.tftp == "atftpd":
        return ("--bind-address", str(site.server), "--maxthread", "256", "--verbose=5", site.tftp_root)
    ports = f"{TFTP_PORTS[0]}:{TFTP_PORTS[1]}"
    options = ("--secure", "--blocksize", str(BLOCK_SIZE), "--port-range", ports, "--verbose")
    return ("--address", f"{site.server}:69", *options, site.tftp_root)


def defaults(site: Site) -> str:
    """Debian's `/etc/default/tftpd-hpa` or `/etc/default/atftpd`.

    Raises:
        RefusedError: the TFTP root has a character that the file's readers would split or expand.
    """
    words = [SHELL.quote(word)[1:-1] for word in arguments(site)]
    text = header(SHELL, site.source, "pxe.tftp and pxe.server")
    if site.tftp == "atftpd":
        return f"{text}USE_INETD=false\nOPTIONS={SHELL.quote(' '.join(['--daemon', *words]))}\n"
    options = SHELL.quote(" ".join(words[2:-1]))
    # Debian's script does not wait until the server has its address; the firewall says who may ask.
    return (
        f"{text}TFTP_USERNAME='tftp'\nTFTP_DIRECTORY={SHELL.quote(site.tftp_root)}\n"
        f"TFTP_ADDRESS=':69'\nTFTP_OPTIONS={options}\n"
    )


def unit(site: Site) -> str:
    """A systemd unit for systems whose package brings none."""
    program = "/usr/sbin/atftpd --daemon --no-fork" if site.tftp == "atftpd" else "/usr/sbin/in.tftpd --foreground"
    words = " ".join(word if BARE.fullmatch(word) else SYSTEMD.quote(word) for word in arguments(site))
    return fill(
        SYSTEMD,
        "tftp.service.j2",
        header=header(SYSTEMD, site.source, "pxe.tftp and pxe.server"),
        command=Quoted(f"{program} {words}"),
    )
