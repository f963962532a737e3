"""Chassis commands of the BMC: status, power, identify, boot options (IPMI 2.0, section 28)."""

from __future__ import annotations

import math

from plasmatui.model.words import PowerAction
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.ipmi_server import Call, Command, CommandError
from plasmatui.sim.session import Privilege

CHASSIS = 0x00
BOOT_FLAGS = 5

_ACTIONS = {
    0: PowerAction.OFF,
    1: PowerAction.ON,
    2: PowerAction.CYCLE,
    3: PowerAction.RESET,
    5: PowerAction.SOFT,
}
_DIAGNOSTIC_INTERRUPT = 4
_NEEDS_POWER = (PowerAction.CYCLE, PowerAction.RESET, PowerAction.SOFT)


def _capabilities(call: Call) -> bytes:
    return bytes([0, 0x20, 0x20, 0x20, 0x20, 0x20])


def _status(call: Call) -> bytes:
    """Power, last power event, and the identify light: temporary 01, indefinite 10 in bits 5:4 (section 28.2)."""
    machine = call.machine
    light = machine.identify
    state = 2 if math.isinf(light) else 1 if light else 0
    return bytes([0x40 | machine.powered, 0x10 if machine.powered else 0, 0x40 | state << 4, 0])


def _control(call: Call) -> bytes:
    """Power orders (section 28.3). Those that need a running machine are refused with 0xD5 when it is off."""
    number = call.byte(0) & 0x0F
    machine = call.machine
    if number == _DIAGNOSTIC_INTERRUPT:
        if not machine.powered:
            raise CommandError(0xD5)
        machine.sel.log(0x13, 0, b"\x00\xff\xff")
        return b""
    action = _ACTIONS.get(number)
    if action is None:
        raise CommandError(0xCC)
    if action in _NEEDS_POWER and not machine.powered:
        raise CommandError(0xD5)
    machine.order(action)
    return b""


def _identify(call: Call) -> bytes:
    """15 s by default, 0 off, force bit until switched off (section 28.5)."""
    interval = call.data[0] if call.data else 15
    forced = len(call.data) > 1 and call.data[1] & 1
    call.machine.set_identify(math.inf if forced else float(interval))
    return b""


def _restart_cause(call: Call) -> bytes:
    return bytes([0x01, 0x01])


def _power_on_hours(call: Call) -> bytes:
    hours = int(call.machine.clock.now() / 3600) + 4000 + 13 * call.machine.identity.index
    return bytes([60]) + hours.to_bytes(4, "little")


def _set_boot_option(call: Call) -> bytes:
    """Boot flags act; other parameters are kept and read back (section 28.12)."""
    parameter = call.byte(0) & 0x7F
    data = call.data[1:]
    if parameter > 7:
        raise CommandError(0x80)
    if parameter != BOOT_FLAGS:
        call.bmc.parameters[CHASSIS, parameter] = data
    elif data:
        try:
            call.machine.set_flags(BootFlags.decode(data))
        except ValueError:
            raise CommandError(0xC7) from None
    return b""


_BOOT_OPTION_LENGTH = {0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 6: 9, 7: 17}


def _get_boot_option(call: Call) -> bytes:
    parameter = call.byte(0) & 0x7F
    if parameter == BOOT_FLAGS:
        data = call.machine.flags.encode()
    elif parameter in _BOOT_OPTION_LENGTH:
        length = _BOOT_OPTION_LENGTH[parameter]
        data = call.bmc.parameters.get((CHASSIS, parameter), b"")[:length].ljust(length, b"\0")
    else:
        raise CommandError(0x80)
    return bytes([1, parameter]) + data


def _power_policy(call: Call) -> bytes:
    return b"\x07"


COMMANDS = {
    (CHASSIS, 0x00): Command(_capabilities),
    (CHASSIS, 0x01): Command(_status),
    (CHASSIS, 0x02): Command(_control, Privilege.OPERATOR),
    (CHASSIS, 0x04): Command(_identify, Privilege.OPERATOR),
    (CHASSIS, 0x06): Command(_power_policy, Privilege.OPERATOR),
    (CHASSIS, 0x07): Command(_restart_cause),
    (CHASSIS, 0x08): Command(_set_boot_option, Privilege.OPERATOR),
    (CHASSIS, 0x09): Command(_get_boot_option, Privilege.OPERATOR),
    (CHASSIS, 0x0F): Command(_power_on_hours),
}
