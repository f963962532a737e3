"""What goes wrong with answers, told to people once: machines ask again and again, and images are fetched by many."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_KEPT: Final = 1000


class Complaints:
    """Tells each thing once, until a thousand others were told.

    Args:
        note: takes lines for people; they may hold what clients sent.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._told: OrderedDict[str, None] = OrderedDict()

    def tell(self, text: str) -> None:
        """Tell it, unless it was told."""
        if text in self._told:
            self._told.move_to_end(text)
            return
        self._told[text] = None
        if len(self._told) > _KEPT:
            self._told.popitem(last=False)
        self._note(text)
