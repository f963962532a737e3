"""Hardware addresses as clients and files write them."""

from __future__ import annotations

import re
from typing import Final

_HEX: Final = r"[0-9a-fA-F]"
_PAIRS: Final = re.compile(rf"{_HEX}{{2}}(?:([:-]){_HEX}{{2}})(?:\1{_HEX}{{2}})*")
_QUADS: Final = re.compile(rf"{_HEX}{{4}}(?:\.{_HEX}{{4}})+")
_DIGITS: Final = frozenset({12, 16, 40})
"""Hex digits of an Ethernet address, an EUI-64, and an InfiniBand address."""


def parse_mac(text: str) -> str | None:
    """An address in lower case with colons; None when it is none.

    Takes what Go's `net.ParseMAC` takes, as bootcfg and matchbox do: pairs with colons or with hyphens, groups of four
    with dots, of 6, 8 or 20 bytes. Bare digits are none.
    """
    if len(text) > 60 or not (_PAIRS.fullmatch(text) or _QUADS.fullmatch(text)):
        return None
    digits = re.sub(r"[:.-]", "", text).lower()
    return ":".join(re.findall("..", digits)) if len(digits) in _DIGITS else None
