"""Boot configurations as the loaders read them: iPXE scripts, GRUB 2 menus, the Pixiecore API's JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from plasmatui.pxe.service.answers import Boot, Terms
from plasmatui.pxe.service.query import Query


def ipxe_script(boot: Boot) -> str:
    """An iPXE script. Each initrd has a line of its own: further words on one would be the image's arguments."""
    kernel = " ".join((f"kernel {boot.kernel}", *boot.args))
    return "\n".join(("#!ipxe", kernel, *(f"initrd {initrd}" for initrd in boot.initrd), "boot", ""))


def plain_script(boot: Boot | None, query: Query, terms: Terms) -> str | None:
    """The script of a machine that boots so and nothing else, or its disk."""
    if terms.installed:
        return local_boot(f"{query.mac} is installed since {terms.installed}: starting its disk")
    if boot is None:
        return None
    return ipxe_script(replace(boot, args=(*boot.args, *terms.arguments)))


def grub_menu(boot: Boot) -> str:
    """A GRUB 2 configuration with an entry for EFI and, to fall back on, one for BIOS; in matchbox's form."""
    arguments = "".join(f" {argument}" for argument in boot.args)
    initrds = "".join(f' "{initrd}"' for initrd in boot.initrd)
    lines = ["default=0", "fallback=1", "timeout=1"]
    for title, linux, initrd in (("EFI", "linuxefi", "initrdefi"), ("BIOS", "linux", "initrd")):
        lines += [
            f'menuentry "CoreOS ({title})" {{',
            'echo "Loading kernel"',
            f'{linux} "{boot.kernel}"{arguments}',
            'echo "Loading initrd"',
            f"{initrd} {initrds}",
            "}",
        ]
    return "\n".join((*lines, ""))


def pixiecore_json(boot: Boot) -> str:
    """An answer of the Pixiecore API."""
    answer = {"kernel": boot.kernel, "initrd": list(boot.initrd), "cmdline": boot.cmdline}
    if boot.message:
        answer["message"] = boot.message
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")) + "\n"


def local_boot(note: str) -> str:
    """A script that leaves the machine to its disk.

    `exit` gives control back to the firmware, which goes on with its next entry; a BIOS would often try the network
    again, so there the first disk is started at once.
    """
    return f"#!ipxe\necho {note}\niseq ${{platform}} pcbios && sanboot --no-describe --drive 0x80 ||\nexit 1\n"
