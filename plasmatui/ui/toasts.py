"""How many toasts are shown at once: as many as leave the rest of the screen in sight."""

from __future__ import annotations

from textual.notifications import Notification, Notifications

LINES = 10
"""Lines of the terminal for each toast."""

_RANK = {"information": 0, "warning": 1, "error": 2}


def too_many(shown: Notifications, height: int) -> list[Notification]:
    """Those that make room for one more: the least important first, of these the oldest."""
    known = sorted(shown, key=lambda each: (_RANK[each.severity], each.raised_at))
    return known[: max(0, len(known) + 1 - max(1, height // LINES))]
