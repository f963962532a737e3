"""FRU information storage (IPMI Platform Management FRU Information Storage Definition v1.0, rev. 1.3)."""

from __future__ import annotations

from dataclasses import dataclass

from plasmatui.sim.rmcp import checksum

ENGLISH = 25
CHASSIS_RACK_MOUNT = 0x17


@dataclass(frozen=True, slots=True)
class Fru:
    """What a machine's FRU device says. Times are minutes since 1996-01-01."""

    chassis_part: str
    chassis_serial: str
    board_maker: str
    board_name: str
    board_serial: str
    board_part: str
    board_minutes: int
    maker: str
    product: str
    part: str
    version: str
    serial: str
    asset: str

    def encode(self) -> bytes:
        """The device's bytes: common header, chassis, board and product area (sections 8, 10, 11, 12)."""
        chassis = _area(bytes([CHASSIS_RACK_MOUNT]), (self.chassis_part, self.chassis_serial))
        board = _area(
            bytes([ENGLISH]) + self.board_minutes.to_bytes(3, "little"),
            (self.board_maker, self.board_name, self.board_serial, self.board_part, ""),
        )
        product = _area(
            bytes([ENGLISH]),
            (self.maker, self.product, self.part, self.version, self.serial, self.asset, ""),
        )
        offsets = [1]
        for area in (chassis, board):
            offsets.append(offsets[-1] + len(area) // 8)
        header = bytes([1, 0, *offsets, 0, 0])
        return header + bytes([checksum(header)]) + chassis + board + product


def text_field(text: str) -> bytes:
    """A type/length byte and 8-bit text (section 13); 63 characters at most. Length 1 would mean "no more fields"."""
    raw = text.encode("latin-1", "replace")[:63]
    if len(raw) == 1:
        raw += b" "
    return bytes([0xC0 | len(raw)]) + raw


def _area(head: bytes, fields: tuple[str, ...]) -> bytes:
    body = bytearray(b"\x01\x00" + head)
    for field in fields:
        body += text_field(field)
    body.append(0xC1)
    body += bytes(-(len(body) + 1) % 8)
    body[1] = (len(body) + 1) // 8
    body.append(checksum(bytes(body)))
    return bytes(body)
