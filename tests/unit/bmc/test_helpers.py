"""Sensors, event log and inventory of BMCs that answer badly."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import pytest

from plasmatui.bmc import helpers
from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.helpers import Helpers
from plasmatui.bmc.pyghmi_io import channels
from plasmatui.bmc.rmcp import Reply
from plasmatui.model.bmc import FruField

NAME = b"\x1b]0;evil\x07Fan [red]"


def sensor(number: int) -> bytes:
    """A full sensor record (IPMI 2.0, table 43-1): a temperature without thresholds."""
    body = bytes([0x20, 0, number, 7, 1, 0x7F, 0x68, 1, 1, *bytes(6), 0, 1, 0, 0, 1, *bytes(18)])
    body = body.ljust(42, b"\0") + bytes([0xC0 | len(NAME)]) + NAME
    return struct.pack("<HBBB", number, 0x51, 1, len(body)) + body


def part(number: int, name: bytes) -> bytes:
    """A FRU device locator record (table 43-8)."""
    body = bytes([0x20, number, 0x80, 0, 0, 0x10, 0, 0x0A, 0x60, 0, 0xC0 | len(name)]) + name
    return struct.pack("<HBBB", 10 + number, 0x51, 0x11, len(body)) + body


class BadBmc:
    """Answers from a table: (netfn, command) -> function of the data."""

    def __init__(self) -> None:
        self.records = [sensor(1), sensor(2), part(1, b"PSU 1"), part(2, b"PSU 2")]
        self.events: list[bytes] = []
        self.table: dict[tuple[int, int], Callable[[bytes], Reply]] = {
            (6, 0x01): lambda _: Reply(0, bytes([0x20, 1, 1, 0, 2, 0x9F, 0x91, 0x12, 0, 2, 0x0F])),
            (6, 0x37): lambda _: Reply(0xC1, b""),
            (10, 0x20): lambda _: Reply(0, bytes([0x51]) + struct.pack("<HHII", len(self.records), 99, 0, 0) + b"\x22"),
            (10, 0x22): lambda _: Reply(0, b"\x01\x00"),
            (10, 0x23): self._record,
            (4, 0x2D): lambda data: Reply(0xD5, b"") if data[0] == 1 else Reply(0, bytes([40, 0xC0, 0xC0])),
            (10, 0x10): lambda data: Reply(0xFF, b"") if data[0] == 1 else Reply(0, b"\x10\x00\x00"),
            (10, 0x11): lambda _: Reply(0, b"\x10" + b"\x01\x00\x01\x01\x01\x00\x00\xfc" + b"\xff" * 8),
            (10, 0x40): lambda _: Reply(0, b"\x51" + struct.pack("<HHII", len(self.events), 0, 0, 0) + b"\x02"),
            (10, 0x43): self._event,
            (10, 0x48): lambda _: Reply(0, struct.pack("<I", 1_700_000_000)),
        }

    def _record(self, data: bytes) -> Reply:
        number, offset, size = struct.unpack_from("<HBB", data, 2)
        known = [struct.unpack_from("<H", record)[0] for record in self.records]
        index = known.index(number) if number else 0
        following = known[index + 1] if index + 1 < len(known) else 0xFFFF
        size = 255 if size == 0xFF else size
        return Reply(0, struct.pack("<H", following) + self.records[index][offset : offset + size])

    def _event(self, data: bytes) -> Reply:
        index = max(struct.unpack_from("<H", data, 2)[0] - 1, 0)
        if index >= len(self.events):
            return Reply(0xCB, b"")
        following = index + 2 if index + 1 < len(self.events) else 0xFFFF
        return Reply(0, struct.pack("<H", following) + self.events[index])

    async def command(
        self,
        netfn: int,
        command: int,
        data: bytes = b"",
        *,
        limit: float = 0,
        lun: int = 0,
        bridge: dict[str, int] | None = None,
    ) -> Reply:
        answer = self.table.get((netfn, command))
        return Reply(0xC1, b"") if answer is None else answer(data)

    def error(self, id: str, what: str) -> BmcError:  # noqa: A002
        return BmcError(id, f"bad: {what}")


def event(number: int, stamp: int, sensor_type: int = 0x12, data: int = 0x41) -> bytes:
    return struct.pack("<HBIHBBBBBBB", number, 2, stamp, 0x20, 4, sensor_type, 1, 0x6F, data, 0xFF, 0xFF)


async def test_a_sensor_that_fails_does_not_hide_the_others_and_names_are_clean() -> None:
    readings = await Helpers(BadBmc()).sensors()
    assert len(readings) == 1
    assert readings[0].name == "Fan [red]"
    assert readings[0].value is not None


async def test_a_broken_part_does_not_hide_the_others() -> None:
    fields = await Helpers(BadBmc()).inventory()
    assert FruField("System", "unreadable", "Invalid/Unsupported chassis area") in fields
    assert "PSU 2" in {field.area for field in fields}
    assert all(field.value.isprintable() for field in fields)


async def test_time_stamps_before_the_clock_was_set_are_unknown() -> None:
    bmc = BadBmc()
    bmc.events = [event(1, 500), event(2, 1_700_000_000), event(3, 0xFFFFFFFF)]
    entries = await Helpers(bmc).sel()
    assert [entry.time for entry in entries] == [None, 1_700_000_000.0, None]
    assert [entry.record for entry in entries] == [1, 2, 3]


async def test_a_log_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers, "SEL_RECORDS", 20)
    bmc = BadBmc()
    bmc.table[10, 0x43] = lambda _data: Reply(0, struct.pack("<H", 1) + event(1, 1_700_000_000))
    assert len(await Helpers(bmc).sel()) == 20


async def test_a_repository_that_goes_in_a_circle_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    channels()
    monkeypatch.setattr(helpers, "COMMANDS", 100)
    bmc = BadBmc()
    asked = 0

    def circle(data: bytes) -> Reply:
        nonlocal asked
        asked += 1
        number = 1 + asked % 2
        return Reply(0, struct.pack("<H", 3 - number) + sensor(number)[data[4] :])

    bmc.table[10, 0x23] = circle
    with pytest.raises(BmcError, match="finds no end of its sensors"):
        await Helpers(bmc).sensors()
    assert asked < 100


@pytest.mark.parametrize(
    ("encoding", "name", "read"),
    [
        (0x80, bytes([0x29, 0xDC, 0xA6]), "IPMI"),  # IPMI 2.0, section 43.15: the example of 6-bit packed ASCII
        (0x80, bytes([0x29, 0xDC, 0xA6, 0x29]), "IPMII"),
        (0x40, b"\x12\xa3\xbd", "12 3-:"),
        (0xC0, b"Fan \xff1", "Fan \ufffd1"),
        (0x00, "Lüfter".encode(), "Lüfter"),
    ],
)
async def test_names_in_every_encoding_are_read_and_end(encoding: int, name: bytes, read: str) -> None:
    channels()
    bmc = BadBmc()
    body = bytes([0x20, 0, 2, 7, 1, 0x7F, 0x68, 1, 1, *bytes(6), 0, 1, 0, 0, 1, *bytes(18)]).ljust(42, b"\0")
    body += bytes([encoding | len(name)]) + name
    bmc.records = [struct.pack("<HBBB", 2, 0x51, 1, len(body)) + body]
    assert [reading.name for reading in await Helpers(bmc).sensors()] == [read]


async def test_a_bmc_does_not_describe_the_sensors_of_another() -> None:
    channels()
    bad, good = BadBmc(), BadBmc()  # the same product and firmware
    good.records = [record.replace(NAME, b"CPU".ljust(len(NAME))) for record in good.records]
    assert [reading.name for reading in await Helpers(bad).sensors()] == ["Fan [red]"]
    assert [reading.name for reading in await Helpers(good).sensors()] == ["CPU"]


async def test_nonsense_is_an_error_with_a_reason() -> None:
    bmc = BadBmc()
    bmc.table[6, 0x01] = lambda _data: Reply(0, b"\x01")
    with pytest.raises(BmcError) as caught:
        await Helpers(bmc).sensors()
    assert caught.value.id == "rejected"
    assert "cannot be read" in caught.value.message


async def test_a_bmc_without_the_command_says_so() -> None:
    """pyghmi's own BMC has neither sensors nor a log."""
    bmc = BadBmc()
    bmc.table[6, 0x01] = lambda _data: Reply(0xC1, b"")
    with pytest.raises(BmcError, match="has no sensors") as caught:
        await Helpers(bmc).sensors()
    assert caught.value.id == "unsupported"


async def test_a_bmc_that_goes_away_is_named_as_such() -> None:
    bmc = BadBmc()

    def gone(_data: bytes) -> Reply:
        raise BmcError("bmc-unreachable", "bad: gone")

    bmc.table[4, 0x2D] = gone
    with pytest.raises(BmcError, match="bad: gone"):
        await Helpers(bmc).sensors()


async def test_a_reading_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers, "HELPER_LIMIT", 0.2)
    monkeypatch.setattr(helpers, "COMMANDS", 10**9)
    bmc = BadBmc()
    bmc.table[10, 0x43] = lambda _data: Reply(0, struct.pack("<H", 1) + event(1, 1_700_000_000))
    monkeypatch.setattr(helpers, "SEL_RECORDS", 10**9)
    began = time.monotonic()
    with pytest.raises(BmcError, match="did not finish its event log") as caught:
        await Helpers(bmc).sel()
    assert caught.value.id == "timeout"
    assert time.monotonic() - began < 2
