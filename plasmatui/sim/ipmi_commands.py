"""All commands of the BMC; those about its LAN and serial port stand here (IPMI 2.0, sections 23 and 26)."""

from __future__ import annotations

import socket
import struct

from plasmatui.sim import ipmi_app, ipmi_chassis, ipmi_storage
from plasmatui.sim.ipmi_server import Call, Command, CommandError
from plasmatui.sim.session import Privilege

TRANSPORT = 0x0C
_REVISION = b"\x11"
_BAUD_115200 = 0x0A


def _lan_parameter(call: Call) -> bytes:
    """Address, its source, MAC, netmask, gateway and suites: what `lan print` shows."""
    parameter = call.byte(1)
    mac = bytes.fromhex(call.machine.identity.macs[0].replace(":", ""))
    values = {
        0: b"\0",
        3: socket.inet_aton(call.bmc.address or "127.0.0.1"),
        4: b"\x01",
        5: mac[:5] + bytes([mac[5] ^ 0x80]),
        6: socket.inet_aton("255.0.0.0"),
        12: bytes(4),
        22: b"\x02",
        23: bytes([0, 3, 17]).ljust(17, b"\0"),
    }
    if parameter not in values:
        raise CommandError(0x80)
    return _REVISION + values[parameter]


def _get_sol(call: Call) -> bytes:
    """SOL configuration (section 26.5): enabled, privilege, accumulate interval, retries, baud rate, channel, port."""
    parameter = call.byte(1)
    values = {
        0: b"\0",
        1: bytes(["sol-disabled" not in call.machine.faults]),
        2: bytes([0xC0 | Privilege.USER]),
        3: bytes([2, PAYLOAD_CHARACTERS]),
        4: bytes([7, 50]),
        5: bytes([_BAUD_115200]),
        6: bytes([_BAUD_115200]),
        7: b"\x01",
        8: struct.pack("<H", call.bmc.port),
    }
    if parameter not in values:
        raise CommandError(0x80)
    return _REVISION + values[parameter]


def _set_sol(call: Call) -> bytes:
    """Accepted without effect, as far as the parameters exist; 0x82 for those that are read-only."""
    parameter = call.byte(1)
    if parameter in (7, 8):
        raise CommandError(0x82)
    if parameter > 6:
        raise CommandError(0x80)
    if parameter == 1 and call.byte(2) & 1:
        call.machine.faults.clear("sol-disabled")
    return b""


PAYLOAD_CHARACTERS = 220

COMMANDS: dict[tuple[int, int], Command] = {
    **ipmi_app.COMMANDS,
    **ipmi_chassis.COMMANDS,
    **ipmi_storage.COMMANDS,
    (TRANSPORT, 0x02): Command(_lan_parameter, Privilege.OPERATOR),
    (TRANSPORT, 0x21): Command(_set_sol, Privilege.ADMIN),
    (TRANSPORT, 0x22): Command(_get_sol),
}
