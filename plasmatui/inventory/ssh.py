"""The part of an inventory that says how nodes are reached by SSH: `ssh`, and a node's own `ssh`."""

from __future__ import annotations

from plasmatui.inventory import fields, values
from plasmatui.inventory.fields import Section, text
from plasmatui.inventory.inventory import Ssh, SshEntry

SSH_KEYS = ("user", "key", "port", "jump", "sudo", "host_keys", "known_hosts")
NODE_SSH_KEYS = ("address", "port")
HOST_KEYS = ("strict", "accept-new")


def read_ssh(section: Section) -> Ssh:
    """What holds for all nodes."""
    default = Ssh()
    return Ssh(
        user=section.get("user", fields.as_text(values.label), default.user),
        key=section.get("key", text, default.key),
        port=section.get("port", fields.integer(1, 65535), default.port),
        jump=section.get("jump", fields.as_text(values.ssh_host), default.jump),
        sudo=section.get("sudo", fields.boolean, default.sudo),
        host_keys=section.get("host_keys", fields.one_of(HOST_KEYS), default.host_keys),
        known_hosts=section.get("known_hosts", text, default.known_hosts),
    )


def read_entry(section: Section, addresses: list[str]) -> list[SshEntry]:
    """What a node's own `ssh` says, for each of its addresses ("" where none is given)."""
    port = section.get("port", fields.integer(1, 65535), None)
    return [SshEntry(address, port) for address in addresses]
