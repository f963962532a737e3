"""Sensor and storage commands of the BMC: sensors, SDR, SEL, FRU (IPMI 2.0, sections 29, 31, 33, 34, 35)."""

from __future__ import annotations

import struct

from plasmatui.sim import sdr
from plasmatui.sim.ipmi_server import Call, Command, CommandError
from plasmatui.sim.sel import Event
from plasmatui.sim.session import Privilege

SENSOR, STORAGE = 0x04, 0x0A
_RESERVATION = 1
_MAX_READ = 0xE0  # longest piece of a FRU or SDR that fits a packet


def _sensor(call: Call) -> sdr.Sensor:
    sensor = sdr.REPOSITORY.sensors.get(call.byte(0))
    if sensor is None:
        raise CommandError(0xCB)
    return sensor


def _reading(call: Call) -> bytes:
    """Get Sensor Reading (section 35.14): bit 5 of the second byte says that there is no value."""
    sensor, machine = _sensor(call), call.machine
    if sensor.bits is not None:
        states = sensor.bits[0 if machine.powered else 1]
        return bytes([0, 0xC0]) + struct.pack("<H", states | 0x8000)
    value = machine.reading(sensor)
    if value is None:
        return bytes([0, 0xE0, 0xC0])
    raw = sensor.raw(value)
    state = sensor.state(raw) if machine.powered or sensor.kind == sdr.TEMPERATURE else 0
    return bytes([raw, 0xC0, 0xC0 | state])


def _thresholds(call: Call) -> bytes:
    sensor = _sensor(call)
    if sensor.discrete:
        raise CommandError(0xCD)
    return sensor.thresholds()


def _hysteresis(call: Call) -> bytes:
    _sensor(call)
    return b"\x01\x01"


def _event_enable(call: Call) -> bytes:
    _sensor(call)
    return bytes([0xC0, 0, 0, 0, 0])


def _sensor_type(call: Call) -> bytes:
    sensor = _sensor(call)
    return bytes([sensor.kind, sdr.SPECIFIC if sensor.discrete else sdr.THRESHOLD])


def _platform_event(call: Call) -> bytes:
    """Platform Event Message (section 29.3): a client's event goes into the log, as that of software."""
    call.byte(6)
    _, kind, number, event, *data = call.data[:7]
    generator = call.request.requester
    if not call.machine.sel.full:
        record = Event(0, kind, number, event & 0x7F, bytes(data), bool(event & 0x80), generator)
        call.machine.sel.add(record.encode(0))
    return b""


def _reserve(call: Call) -> bytes:
    return struct.pack("<H", _RESERVATION)


def _sdr_info(call: Call) -> bytes:
    return b"\x51" + struct.pack("<HHII", len(sdr.REPOSITORY.records), 0xFFFF, 0x6500_0000, 0) + b"\x22"


def _get_sdr(call: Call) -> bytes:
    call.byte(5)
    number, offset, length = struct.unpack_from("<HBB", call.data, 2)
    found = sdr.REPOSITORY.get(number)
    if found is None:
        raise CommandError(0xCB)
    following, record = found
    if offset > len(record):
        raise CommandError(0xC9)
    if length == 0xFF:
        length = len(record)
    return struct.pack("<H", following) + record[offset : offset + length]


def _sel_info(call: Call) -> bytes:
    """Version 1.5; reserve and delete are offered, overflow is told (section 31.2)."""
    sel = call.machine.sel
    flags = 0x0A | (0x80 if sel.full else 0)
    return b"\x51" + struct.pack("<HHII", len(sel), sel.free, sel.added, sel.erased) + bytes([flags])


def _get_sel(call: Call) -> bytes:
    call.byte(5)
    number, offset, length = struct.unpack_from("<HBB", call.data, 2)
    found = call.machine.sel.get(number)
    if found is None:
        raise CommandError(0xCB)
    following, record = found
    return struct.pack("<H", following) + (record if length == 0xFF else record[offset : offset + length])


def _add_sel(call: Call) -> bytes:
    call.byte(15)
    if call.machine.sel.full:
        raise CommandError(0xC4)
    return struct.pack("<H", call.machine.sel.add(call.data[:16]))


def _delete_sel(call: Call) -> bytes:
    call.byte(3)
    number = call.machine.sel.delete(struct.unpack_from("<H", call.data, 2)[0])
    if number is None:
        raise CommandError(0xCB)
    return struct.pack("<H", number)


def _clear_sel(call: Call) -> bytes:
    """Initiate erasure, or ask for its state; it is done at once (section 31.9)."""
    call.byte(5)
    if call.data[2:5] != b"CLR":
        raise CommandError(0xCC)
    if call.data[5] == 0xAA:
        call.machine.sel.clear()
    return b"\x01"


def _sel_time(call: Call) -> bytes:
    return struct.pack("<I", call.machine.sel.time)


def _set_sel_time(call: Call) -> bytes:
    call.byte(3)
    call.machine.sel.time = struct.unpack_from("<I", call.data)[0]
    return b""


def _utc_offset(call: Call) -> bytes:
    return struct.pack("<h", 0)


def _fru(call: Call) -> bytes:
    if call.byte(0) != 0:
        raise CommandError(0xCB)
    return call.machine.fru().encode()


def _fru_area(call: Call) -> bytes:
    return struct.pack("<HB", len(_fru(call)), 0)


def _read_fru(call: Call) -> bytes:
    data = _fru(call)
    call.byte(3)
    offset, length = struct.unpack_from("<HB", call.data, 1)
    if offset > len(data):
        raise CommandError(0xC9)
    piece = data[offset : offset + min(length, _MAX_READ)]
    return bytes([len(piece)]) + piece


COMMANDS = {
    (SENSOR, 0x02): Command(_platform_event, Privilege.OPERATOR),
    (SENSOR, 0x25): Command(_hysteresis),
    (SENSOR, 0x27): Command(_thresholds),
    (SENSOR, 0x29): Command(_event_enable),
    (SENSOR, 0x2D): Command(_reading),
    (SENSOR, 0x2F): Command(_sensor_type),
    (STORAGE, 0x10): Command(_fru_area),
    (STORAGE, 0x11): Command(_read_fru),
    (STORAGE, 0x20): Command(_sdr_info),
    (STORAGE, 0x22): Command(_reserve),
    (STORAGE, 0x23): Command(_get_sdr),
    (STORAGE, 0x40): Command(_sel_info),
    (STORAGE, 0x42): Command(_reserve),
    (STORAGE, 0x43): Command(_get_sel),
    (STORAGE, 0x44): Command(_add_sel, Privilege.OPERATOR),
    (STORAGE, 0x46): Command(_delete_sel, Privilege.OPERATOR),
    (STORAGE, 0x47): Command(_clear_sel, Privilege.OPERATOR),
    (STORAGE, 0x48): Command(_sel_time),
    (STORAGE, 0x49): Command(_set_sel_time, Privilege.OPERATOR),
    (STORAGE, 0x5C): Command(_utc_offset),
}
