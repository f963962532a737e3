"""Glyphs beside the words: width 1, no emoji, each with an ASCII form. A state is glyph + word + colour together."""

from __future__ import annotations

from plasmatui.model.checks import CheckState
from plasmatui.model.node import NodeState
from plasmatui.model.words import BmcStatus, ConsoleStatus, Health, OperationState, Power, Severity, StepResult

_UNICODE = {
    "on": "●",
    "off": "○",
    "unknown": "?",
    "ok": "✓",
    "busy": "~",
    "wait": "…",
    "warning": "▲",
    "error": "✗",
    "none": "-",
    "mark": "◆",
    "write": "✎",
    "rec": "●",
    "arrow": "→",
    "up": "▲",
    "down": "▼",
    "closed": "▸",
    "line": "─",
    "bar": "━",
    "rest": "─",
    "sep": "│",
    "tick": "◂",
    "thumb": "┃",
}

_ASCII = {
    "on": "*",
    "off": "o",
    "unknown": "?",
    "ok": "+",
    "busy": "~",
    "wait": ".",
    "warning": "!",
    "error": "x",
    "none": "-",
    "mark": "*",
    "write": "W",
    "rec": "*",
    "arrow": "->",
    "up": "^",
    "down": "v",
    "closed": ">",
    "line": "-",
    "bar": "#",
    "rest": "-",
    "sep": "|",
    "tick": "<",
    "thumb": "|",
}


class Glyphs:
    """The set in use; `glyphs["on"]`."""

    def __init__(self, ascii_only: bool = False) -> None:
        self.ascii = ascii_only
        self._set = _ASCII if ascii_only else _UNICODE

    def __getitem__(self, name: str) -> str:
        return self._set[name]

    def text(self, text: str) -> str:
        """A text for the screen: what is not ASCII becomes `?` in ASCII mode."""
        return text.encode("ascii", "replace").decode() if self.ascii and not text.isascii() else text


POWER = {Power.ON: ("on", "ok"), Power.OFF: ("off", "down"), Power.UNKNOWN: ("unknown", "unknown")}
"""Power -> glyph, colour role."""

BMC = {
    BmcStatus.NONE: ("none", "muted"),
    BmcStatus.UNKNOWN: ("unknown", "unknown"),
    BmcStatus.CONNECTING: ("busy", "busy"),
    BmcStatus.UP: ("ok", "ok"),
    BmcStatus.WAITING: ("wait", "warning"),
    BmcStatus.REFUSED: ("error", "error"),
}

CONSOLE = {
    ConsoleStatus.CLOSED: ("none", "muted"),
    ConsoleStatus.CONNECTING: ("busy", "busy"),
    ConsoleStatus.OPEN: ("ok", "ok"),
    ConsoleStatus.WAITING: ("wait", "warning"),
    ConsoleStatus.HELD: ("warning", "warning"),
    ConsoleStatus.UNAVAILABLE: ("error", "muted"),
}

HEALTH = {
    Health.UNKNOWN: ("unknown", "unknown"),
    Health.OK: ("ok", "ok"),
    Health.DEGRADED: ("warning", "warning"),
    Health.FAILED: ("error", "error"),
}

SEVERITY = {Severity.INFO: ("ok", "busy"), Severity.WARNING: ("warning", "warning"), Severity.ERROR: ("error", "error")}

OPERATION = {
    OperationState.PLANNED: ("wait", "muted"),
    OperationState.WAITING: ("wait", "warning"),
    OperationState.RUNNING: ("busy", "busy"),
    OperationState.HELD: ("warning", "warning"),
    OperationState.FAILED: ("error", "error"),
    OperationState.CANCELLED: ("none", "muted"),
    OperationState.DONE: ("ok", "ok"),
}

STEP = {
    StepResult.DONE: ("ok", "ok"),
    StepResult.SKIPPED: ("none", "muted"),
    StepResult.FAILED: ("error", "error"),
    StepResult.UNCERTAIN: ("warning", "warning"),
}

CHECK = {
    CheckState.OK: ("ok", "ok"),
    CheckState.WARNING: ("warning", "warning"),
    CheckState.FAILED: ("error", "error"),
    CheckState.UNKNOWN: ("unknown", "unknown"),
    CheckState.SKIPPED: ("none", "muted"),
}

_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.ERROR: 2}


def worst(state: NodeState) -> Severity | None:
    """The gravest finding of a node."""
    return max((finding.severity for finding in state.findings), key=_RANK.__getitem__, default=None)


def rank(severity: Severity | None) -> int:
    """For ordering: 0 nothing is wrong, 3 an error."""
    return 0 if severity is None else 1 + _RANK[severity]
