"""Application commands of the BMC: identity, authentication, sessions, payloads (IPMI 2.0, sections 20, 22, 24)."""

from __future__ import annotations

import socket
import struct

from plasmatui.sim import rmcp
from plasmatui.sim.ipmi_server import Call, Command, CommandError
from plasmatui.sim.session import Privilege, Session
from plasmatui.sim.sol import PAYLOAD_SIZE

APP = 0x06
_SOL_INSTANCE = 1
_HOLDER_SESSION = 0x5A5A5A5A  # id of the client that the fault `sol-held` invents
_MANUFACTURER = 0x00B2E9  # a private enterprise number that no vendor of BMCs uses

ENCRYPTED, AUTHENTICATED = 0x80, 0x40


def _device_id(call: Call) -> bytes:
    """Device 0x20, firmware 2.10, IPMI 2.0; sensor, SDR, SEL, FRU and chassis device (section 20.1)."""
    return bytes([0x20, 0x81, 0x02, 0x10, 0x02, 0x8F]) + _MANUFACTURER.to_bytes(3, "little") + bytes([1, 0, 0, 0, 0, 0])


def _cold_reset(call: Call) -> bytes:
    return b""


def _self_test(call: Call) -> bytes:
    return b"\x55\x00"


def _guid(call: Call) -> bytes:
    return call.bmc.sessions.guid


def _authentication_capabilities(call: Call) -> bytes:
    """Only RMCP+ is offered (section 22.13)."""
    return bytes([1, 0x80, 0x04, 0x02, 0, 0, 0, 0])


def _cipher_suites(call: Call) -> bytes:
    """Suite records in pieces of 16 bytes (sections 22.15, 22.15.1)."""
    records = b"".join(
        bytes([0xC0, suite.number, suite.auth, 0x40 | suite.integrity, 0x80 | rmcp.CONFIDENTIALITY_AES])
        for suite in rmcp.SUITES
    )
    index = call.byte(2) & 0x3F
    return b"\x01" + records[index * 16 : index * 16 + 16]


def _session(call: Call) -> Session:
    if call.session is None:
        raise CommandError(0xD4)
    return call.session


def _set_privilege(call: Call) -> bytes:
    session, wanted = _session(call), call.byte(0) & 0x0F
    if wanted:
        if wanted not in (Privilege.USER, Privilege.OPERATOR, Privilege.ADMIN):
            raise CommandError(0x80)
        if wanted > session.limit:
            raise CommandError(0x81)
        session.privilege = Privilege(wanted)
    return bytes([session.privilege])


def _close_session(call: Call) -> bytes:
    """Close Session (section 22.19). The server drops the session after the answer when it is the asking one;
    another one takes administrator privilege."""
    if len(call.data) < 4:
        raise CommandError(0xC7)
    session, table = _session(call), call.bmc.sessions
    wanted = struct.unpack_from("<I", call.data)[0]
    if wanted in (0, session.id):
        return b""
    other = table.get(wanted)
    if other is None:
        raise CommandError(0x87)
    if session.privilege < Privilege.ADMIN:
        raise CommandError(0xD4)
    table.drop(other)
    return b""


def _session_info(call: Call) -> bytes:
    table = call.bmc.sessions
    index = call.byte(0)
    found = _session(call) if index == 0 else table.at(index) if index < 0xFE else None
    if index == 0xFF and len(call.data) >= 5:
        found = table.get(struct.unpack_from("<I", call.data, 1)[0])
    head = bytes([0 if found is None else 1, table.slots, len(table)])
    if found is None or found.user is None:
        return head
    address = socket.inet_aton(found.address[0]) if "." in found.address[0] else bytes(4)
    return (
        head
        + bytes([found.user.number, found.privilege, 0x11])
        + address
        + bytes(6)
        + struct.pack("<H", found.address[1])
    )


def _channel_info(call: Call) -> bytes:
    """Channel 1: LAN, IPMB-1.0 protocol, several sessions (section 22.24)."""
    return bytes([1, 4, 1, 0x80 | (len(call.bmc.sessions) & 0x3F), 0xF2, 0x1B, 0, 0, 0])


def _channel_access(call: Call) -> bytes:
    return bytes([0x02, Privilege.ADMIN])


def _users(call: Call) -> dict[int, tuple[bytes, Privilege]]:
    return {user.number: (name, user.limit) for name, user in call.bmc.sessions.users.items()}


def _user_access(call: Call) -> bytes:
    number = call.byte(1) & 0x3F
    users = _users(call)
    limit = users[number][1] if number in users else 0x0F
    enabled = 0x40 if number in users else 0x80
    return bytes([10, enabled | len(users), 0, (0x30 if number in users else 0) | limit])


def _user_name(call: Call) -> bytes:
    name = _users(call).get(call.byte(0) & 0x3F, (b"", Privilege.USER))[0]
    return name.ljust(16, b"\0")


def _is_sol(call: Call) -> None:
    """Raises CommandError 0x82 for another payload than SOL, 0xCC for another instance than the first."""
    if call.byte(0) & 0x3F != rmcp.PAYLOAD_SOL:
        raise CommandError(0x82)
    if call.byte(1) & 0x0F != _SOL_INSTANCE:
        raise CommandError(0xCC)


def _activate(call: Call) -> bytes:
    """Activate SOL (section 24.1): 0x80 when a client has it, 0x81 when it is disabled."""
    _is_sol(call)
    if "sol-disabled" in call.machine.faults:
        raise CommandError(0x81)
    if call.bmc.owner is not None or call.bmc.held:
        raise CommandError(0x80)
    if call.byte(2) & (ENCRYPTED | AUTHENTICATED) != ENCRYPTED | AUTHENTICATED:
        raise CommandError(0x84)
    call.bmc.activate(_session(call))
    return bytes(4) + struct.pack("<HHHH", PAYLOAD_SIZE, PAYLOAD_SIZE, call.bmc.port, 0xFFFF)


def _deactivate(call: Call) -> bytes:
    """Deactivate SOL, whoever has it (section 24.2); the other client is told."""
    _is_sol(call)
    bmc = call.bmc
    if bmc.owner is None and not bmc.held:
        raise CommandError(0x80)
    if bmc.sol is not None and bmc.owner is not call.session:
        bmc.sol.deactivated()
    bmc.deactivate()
    return b""


def _activation_status(call: Call) -> bytes:
    if call.byte(0) & 0x3F != rmcp.PAYLOAD_SOL:
        raise CommandError(0xCC)
    return bytes([1, 1 if call.bmc.owner is not None or call.bmc.held else 0, 0])


def _instance_info(call: Call) -> bytes:
    owner = call.bmc.owner
    number = owner.id if owner is not None else _HOLDER_SESSION if call.bmc.held else 0
    return struct.pack("<I", number) + bytes([1, 0, 0, 0, 0, 0, 0, 0])


def _payload_support(call: Call) -> bytes:
    """IPMI message and SOL; the session set-up payloads (section 24.8)."""
    return bytes([0x03, 0, 0x3F, 0, 0, 0, 0, 0])


def _payload_version(call: Call) -> bytes:
    if call.byte(1) & 0x3F not in (rmcp.PAYLOAD_IPMI, rmcp.PAYLOAD_SOL):
        raise CommandError(0x80)
    return b"\x10"


def _user_payload_access(call: Call) -> bytes:
    return bytes([0x02, 0, 0, 0])


COMMANDS = {
    (APP, 0x01): Command(_device_id),
    (APP, 0x02): Command(_cold_reset, Privilege.ADMIN),
    (APP, 0x04): Command(_self_test),
    (APP, 0x37): Command(_guid, None),
    (APP, 0x38): Command(_authentication_capabilities, None),
    (APP, 0x3B): Command(_set_privilege),
    (APP, 0x3C): Command(_close_session),
    (APP, 0x3D): Command(_session_info),
    (APP, 0x41): Command(_channel_access),
    (APP, 0x42): Command(_channel_info),
    (APP, 0x44): Command(_user_access, Privilege.OPERATOR),
    (APP, 0x46): Command(_user_name, Privilege.OPERATOR),
    (APP, 0x48): Command(_activate),
    (APP, 0x49): Command(_deactivate),
    (APP, 0x4A): Command(_activation_status),
    (APP, 0x4B): Command(_instance_info),
    (APP, 0x4D): Command(_user_payload_access),
    (APP, 0x4E): Command(_payload_support),
    (APP, 0x4F): Command(_payload_version),
    (APP, 0x54): Command(_cipher_suites, None),
}
