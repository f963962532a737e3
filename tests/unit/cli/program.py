"""The program as a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import plasmatui

ROOT = Path(plasmatui.__file__).parent.parent


def command(*arguments: str) -> list[str]:
    """`plasmatui arguments...` with this Python."""
    return [sys.executable, "-m", "plasmatui", *arguments]


def environment(**extra: str) -> dict[str, str]:
    """Ours, and these sources importable from any directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **extra}
