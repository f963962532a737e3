"""Names in sensor data records: type/length byte and text (IPMI 2.0, section 43.15)."""

from __future__ import annotations

from typing import Final

_UNICODE, _BCD_PLUS, _PACKED = 0, 1, 2
_PLUS: Final = str.maketrans("ABCDEF", " -.:,_")


def name(kind: int, data: bytes | bytearray) -> str:
    """The text of a name; `kind` is its type/length byte. What is no text of its encoding shows as U+FFFD.

    In place of pyghmi's `SDREntry.tlv_decode`, which never ends on 6-bit ASCII and gives up a whole repository for one
    name that is no UTF-8.
    """
    encoding = kind >> 6
    if encoding == _BCD_PLUS:
        return data.hex().upper().translate(_PLUS)
    if encoding == _PACKED:
        bits = int.from_bytes(data, "little")
        return "".join(chr(0x20 + (bits >> place & 0x3F)) for place in range(0, 8 * len(data) - 5, 6))
    return data.decode("utf-8", "replace")
