"""Limits that several kinds of operations share, in seconds."""

from __future__ import annotations

ASK_LIMIT = 30.0
"""One answer of a BMC, opening a session to it included."""
