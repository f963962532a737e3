"""Sensor records, FRU, event log and boot flags, read by small decoders written from the specifications."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.model.bmc import Device
from plasmatui.sim import sdr
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.fru import Fru
from plasmatui.sim.sel import LAST, Event, Sel

texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


@given(st.binary(min_size=5, max_size=5))
def test_boot_flags_keep_every_bit(data: bytes) -> None:
    assert BootFlags.decode(data).encode() == data


@given(st.sampled_from([Device.PXE, Device.DISK, Device.BIOS]), st.booleans(), st.booleans())
def test_boot_flags_say_the_device(device: Device, persistent: bool, efi: bool) -> None:
    data = BootFlags.of(device, persistent=persistent, efi=efi).encode()
    assert data[0] == 0x80 | persistent << 6 | efi << 5
    assert data[1] >> 2 == {Device.PXE: 1, Device.DISK: 2, Device.BIOS: 6}[device]
    assert BootFlags.decode(data).device is device


def test_one_shot_flags_are_consumed_and_persistent_ones_stay() -> None:
    once = BootFlags.of(Device.PXE, efi=True)
    assert once.consumed().device is Device.NONE
    always = BootFlags.of(Device.PXE, persistent=True)
    assert always.consumed() == always


def test_boot_flags_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError):
        BootFlags.decode(b"\x80\x04")


@given(
    st.builds(
        Event,
        time=st.integers(0, 2**32 - 1),
        sensor_type=st.integers(0, 255),
        sensor=st.integers(0, 255),
        event_type=st.integers(0, 127),
        data=st.binary(min_size=3, max_size=3),
        deasserted=st.booleans(),
        generator=st.integers(0, 65535),
    ),
    st.integers(1, 0xFFFE),
)
def test_events_read_back(event: Event, number: int) -> None:
    record = event.encode(number)
    assert len(record) == 16
    assert struct.unpack_from("<H", record)[0] == number
    assert Event.decode(record) == event


def test_event_log_walks_deletes_and_clears() -> None:
    sel = Sel(lambda: 1_700_000_000.0)
    for kind in (1, 2, 3):
        sel.log(kind, kind, b"\x01\xff\xff")
    numbers, following = [], 0
    while following != LAST:
        found = sel.get(following)
        assert found is not None
        following = found[0]
        numbers.append(struct.unpack_from("<H", found[1])[0])
    assert numbers == [1, 2, 3]
    assert sel.get(LAST) == (LAST, sel.records()[-1][1])
    assert sel.delete(2) == 2
    assert sel.get(1) is not None
    assert sel.get(1)[0] == 3  # type: ignore[index]
    assert sel.get(2) is None
    sel.clear()
    assert len(sel) == 0
    assert sel.get(0) is None
    assert sel.erased == 1_700_000_000


def test_event_log_is_full_at_its_capacity() -> None:
    sel = Sel(lambda: 0.0, capacity=2)
    for _ in range(3):
        sel.log(1, 1, b"\0\0\0")
    assert len(sel) == 2
    assert sel.full
    assert sel.free == 0


def test_event_log_clock_can_be_set() -> None:
    now = [100.0]
    sel = Sel(lambda: now[0])
    sel.time = 5000
    now[0] = 160.0
    assert sel.time == 5060
    sel.log(1, 1, b"\0\0\0")
    assert Event.decode(sel.records()[0][1]).time == 5060


def _fru_fields(area: bytes, start: int) -> list[str]:
    fields, position = [], start
    while area[position] != 0xC1:
        length = area[position] & 0x3F
        assert area[position] >> 6 == 3
        fields.append(area[position + 1 : position + 1 + length].decode("latin-1"))
        position += 1 + length
    return fields


@given(st.builds(Fru, *[texts] * 6, st.integers(0, 2**24 - 1), *[texts] * 6))
def test_fru_reads_back(fru: Fru) -> None:
    data = fru.encode()
    assert data[0] == 1
    assert sum(data[:8]) % 256 == 0
    areas = [data[offset * 8 : offset * 8 + data[offset * 8 + 1] * 8] for offset in data[2:5]]
    for area in areas:
        assert sum(area) % 256 == 0
    assert sum(map(len, areas)) + 8 == len(data)
    chassis, board, product = areas
    assert [text.rstrip() for text in _fru_fields(chassis, 3)] == [
        fru.chassis_part.rstrip(),
        fru.chassis_serial.rstrip(),
    ]
    assert struct.unpack("<I", board[3:6] + b"\0")[0] == fru.board_minutes
    assert _fru_fields(board, 6)[1].rstrip() == fru.board_name.rstrip()
    assert _fru_fields(product, 3)[4].rstrip() == fru.serial.rstrip()


def _decode_full(record: bytes) -> tuple[str, int, float]:
    """Name, number and units per raw count of a type 01h record."""
    assert record[3] == 0x01
    assert record[4] == len(record) - 5
    multiplier = record[24] | (record[25] & 0xC0) << 2
    exponent = record[29] >> 4
    exponent = exponent - 16 if exponent > 7 else exponent
    return record[48:].decode(), record[7], multiplier * 10.0**exponent


def test_sensor_records_chain_and_describe_their_sensors() -> None:
    names, following = {}, 0
    while following != 0xFFFF:
        found = sdr.REPOSITORY.get(following)
        assert found is not None
        following, record = found
        if record[3] == 0x01:
            name, number, unit = _decode_full(record)
            sensor = sdr.REPOSITORY.sensors[number]
            assert name == sensor.name
            assert unit == pytest.approx(sensor.factor * 10.0**sensor.exponent)
            names[number] = name
        elif record[3] == 0x02:
            names[record[7]] = record[32:].decode()
    assert names == {number: sensor.name for number, sensor in sdr.REPOSITORY.sensors.items()}
    assert sdr.REPOSITORY.get(999) is None


@given(st.sampled_from([s for s in sdr.SENSORS if not s.discrete]), st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 7))
def test_healthy_sensors_stay_between_their_thresholds(
    sensor: sdr.Sensor, load: float, seconds: float, phase: float
) -> None:
    value = sensor.reading(True, load, seconds, phase)
    assert value is not None
    raw = sensor.raw(value)
    assert sensor.value(raw) == pytest.approx(value, abs=0.51 * sensor.factor * 10.0**sensor.exponent)
    assert sensor.state(raw) == 0


def test_readings_move_and_follow_the_power() -> None:
    cpu, fan, inlet = (sdr.REPOSITORY.sensors[number] for number in (1, 10, 3))
    assert len({cpu.reading(True, 0.2, seconds, 0.0) for seconds in range(10)}) == 10
    assert cpu.reading(False, 0.0, 0.0, 0.0) is None
    assert fan.reading(False, 0.0, 0.0, 0.0) == 0
    assert inlet.reading(False, 0.0, 0.0, 0.0) == 22


def test_crossed_thresholds_are_told() -> None:
    cpu = sdr.REPOSITORY.sensors[1]
    assert cpu.state(cpu.raw(91)) == 0x08
    assert cpu.state(cpu.raw(96)) == 0x18
    assert cpu.state(0) == 0x02
