"""The columns of the Nodes grid: what a cell says, in which colour role, and how a column is ordered.

Cells hold clean text and the name of a role's theme variable; the theme decides what a role looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from plasmatui.model.health import node_word
from plasmatui.model.node import Node, NodeState
from plasmatui.model.operation import NodeRecord, OperationRecord
from plasmatui.model.words import BmcStatus, Health, Lifecycle, OperationState
from plasmatui.text import clean_line
from plasmatui.ui import glyphs
from plasmatui.ui.glyphs import Glyphs
from plasmatui.ui.spans import SLOW, ratio_of
from plasmatui.ui.widgets.gridlayout import Cell, Column
from plasmatui.ui.works import running_step

_CHANGING = frozenset(
    (Lifecycle.DEPLOYING, Lifecycle.JOINING, Lifecycle.DRAINING, Lifecycle.UPDATING, Lifecycle.ROLLING_BACK)
)

_USUAL = frozenset((Lifecycle.ACTIVE, Lifecycle.READY, Lifecycle.ENROLLED))


@dataclass(frozen=True)
class Field:
    """A column.

    Attributes:
        width: cells wide; 0 takes what is left.
        least: narrowest screen (in columns) that shows it without `w`.
        cell, order: what it shows, what it is ordered by.
    """

    id: str
    title: str
    width: int
    least: int
    cell: Callable[[Node, NodeState, Glyphs], Cell]
    order: Callable[[Node, NodeState], Any]


def role(name: str) -> str:
    """The style name of a colour role, "" for the plain one."""
    return f"role-{name}" if name else ""


def _cell(text: str, name: str = "") -> Cell:
    return Cell(text, role(name))


@lru_cache(maxsize=16384)
def natural(text: str) -> tuple[tuple[int, str], ...]:
    """For ordering as people do: node2 before node10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text))


def _node(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    worst = glyphs.worst(state)
    return _cell(clean_line(node.name, 64), glyphs.SEVERITY[worst][1] if worst else "")


def _power(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    name, role = glyphs.POWER[state.power.value]
    return _cell(f"{glyph[name]} {state.power.value}", role)


def _bmc(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    name, role = glyphs.BMC[state.bmc.status]
    word = clean_line(state.bmc.finding, 40) or str(state.bmc.status)
    if state.bmc.status is BmcStatus.UP and state.bmc.latency_ms:
        word += f" {state.bmc.latency_ms:.0f}ms"
    return _cell(f"{glyph[name]} {word}", role)


def _stage(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    return stage_cell(state, glyph, 0.0)


def _operation_text(state: NodeState, glyph: Glyphs) -> str:
    return f"{glyph['busy']} operation {state.operation}"


def stage_cell(state: NodeState, glyph: Glyphs, now: float) -> Cell:
    """The stage with percent, and how many times its usual length it has taken when that is long."""
    stage = state.stage
    if stage is None or (stage.outcome != "running" and state.operation):
        return _cell(_operation_text(state, glyph), "busy") if state.operation else _cell(glyph["none"], "muted")
    if stage.outcome == "stopped" or stage.state == "failed":
        return _cell(f"{glyph['error']} {stage.stage}", "error")
    if stage.outcome != "running":
        return _cell(f"{glyph['ok']} {stage.stage}", "ok")
    text = f"{glyph['busy']} {stage.stage}" + ("" if stage.percent is None else f" {stage.percent:.0f}%")
    ratio = ratio_of(stage, now)
    if ratio is None or ratio < SLOW:
        return _cell(text, "busy")
    text = f"{text} {ratio:.1f}x"
    return _cell(f"{text} usual" if len(text) + len(" usual") <= STAGE else text, "warning")


def work_cell(cell: Cell, state: NodeState, record: OperationRecord, node: NodeRecord, glyph: Glyphs) -> Cell:
    """The stage of a node that an operation works on: what waits for a person comes before everything else, and where
    no boot runs it is the operation's step."""
    if node.state is OperationState.HELD or (record.held and node.state is not OperationState.RUNNING):
        return _cell(f"{glyph['warning']} HELD op {record.number}", "warning")
    if node.state is OperationState.WAITING:
        return _cell(f"{glyph['wait']} waits, op {record.number}", "muted")
    step = running_step(node)
    if step is None or cell.text != _operation_text(state, glyph):
        return cell
    percent = "" if step.percent is None else f" {step.percent:.0f}%"
    return _cell(f"{glyph['busy']} {step.id}{percent}", "busy")


def boot_text(state: NodeState) -> str:
    """The boot override in words: "pxe once uefi", with "unverified" or "reverted" where reading it back says so."""
    boot = state.boot
    if boot is None:
        return ""
    words = [str(boot.device)]
    if boot.device != "none":
        words.append("always" if boot.persistent else "once")
        if boot.uefi is not None:
            words.append("uefi" if boot.uefi else "bios")
    if state.boot_verified is False:
        words.append("reverted")
    return " ".join(words)


def _boot(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    if state.boot_verified is False:
        return _cell(f"{glyph['error']} {boot_text(state)}", "error")
    text = boot_text(state)
    return _cell(text or glyph["none"], "" if text and text != "none" else "muted")


def _console(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    if state.console.pen is not None:
        return _cell(f"{glyph['write']} pen {clean_line(state.console.pen.user, 20)}", "write")
    name, role = glyphs.CONSOLE[state.console.status]
    return _cell(f"{glyph[name]} {state.console.status}", role)


LOCKED = "locked"
"""The flag of a node that somebody locked."""


def _lifecycle(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    flags = [clean_line(flag, 16) for flag in state.flags if flag != LOCKED]
    locked = [LOCKED] if LOCKED in state.flags else []  # first, since the column is narrow
    text = " ".join((*locked, str(state.lifecycle), *flags))
    usual = state.lifecycle in _USUAL and not state.flags
    busy = state.lifecycle in _CHANGING
    return _cell(text, "busy" if busy else "muted" if usual else "warning")


def _health(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    word = node_word(state.health, state.power.value)
    if word == "off":
        return _cell(glyph["none"], "muted")
    name, role = glyphs.HEALTH[state.health]
    return _cell(f"{glyph[name]} {word}", role)


def _standing(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    """The lifecycle; of a node that is where it should be, and whose services are not well, their health instead."""
    if state.health in (Health.FAILED, Health.DEGRADED) and state.lifecycle in _USUAL and not state.flags:
        return _health(node, state, glyph)
    return _lifecycle(node, state, glyph)


def _findings(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    worst = glyphs.worst(state)
    if worst is None:
        return _cell(glyph["none"], "muted")
    name, role = glyphs.SEVERITY[worst]
    return _cell(f"{glyph[name]} " + " ".join(clean_line(finding.id, 40) for finding in state.findings), role)


def _place(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    unit = "" if node.unit is None else f"/{node.unit}"
    return _cell(clean_line(node.rack, 16) + unit or glyph["none"], "" if node.rack else "muted")


def _event(node: Node, state: NodeState, glyph: Glyphs) -> Cell:
    text = clean_line(state.last_event, 240).replace(f"{node.name}: ", "", 1)  # its row has the name already
    return _cell(glyph.text(text) or glyph["none"], "muted")


def _plain(text: str, limit: int = 40) -> Cell:
    return _cell(clean_line(text, limit) or "-", "" if text else "muted")


STAGE = 22
"""Cells for the longest stage with its percentage, or with how it compares with the usual."""


def _tells(state: NodeState) -> bool:
    """Whether a boot says more of a node than how it stands otherwise."""
    return state.stage is not None and state.stage.outcome in ("running", "stopped")


_ODD = frozenset((role("warning"), role("error"), role("busy")))
"""Colour roles of a standing that a narrow screen, which has no column for it, shows in place of the last stage."""

HEALTH_LEAST = 152
"""Narrowest screen with a column for the health; below, an unwell node shows it in place of its lifecycle."""

HEALTH_RANK = {Health.OK: 0, Health.UNKNOWN: 1, Health.DEGRADED: 2, Health.FAILED: 3}

COLUMNS: tuple[Field, ...] = (
    Field("node", "NODE", 14, 0, _node, lambda node, state: natural(node.name)),
    Field("power", "POWER", 10, 0, _power, lambda node, state: str(state.power.value)),
    Field("bmc", "BMC", 19, 0, _bmc, lambda node, state: str(state.bmc.status)),
    Field("stage", "STAGE", STAGE, 0, _stage, lambda node, state: str(state.stage.stage) if state.stage else ""),
    Field("console", "CONSOLE", 14, 100, _console, lambda node, state: str(state.console.status)),
    Field("boot", "BOOT", 16, 130, _boot, lambda node, state: boot_text(state)),
    Field("lifecycle", "LIFECYCLE", 14, 116, _lifecycle, lambda node, state: str(state.lifecycle)),
    Field("health", "HEALTH", 10, HEALTH_LEAST, _health, lambda node, state: -HEALTH_RANK[state.health]),
    Field("profile", "PROFILE", 14, 226, lambda node, state, glyph: _plain(node.profile),
           lambda node, state: node.profile),
    Field("place", "RACK", 8, 140, _place, lambda node, state: (natural(node.rack), node.unit or 0)),
    Field("findings", "FINDINGS", 24, 182, _findings, lambda node, state: -glyphs.rank(glyphs.worst(state))),
    Field("address", "BMC ADDRESS", 18, 200, lambda node, state, glyph: _plain(node.bmc_address),
           lambda node, state: natural(node.bmc_address)),
    Field("event", "LAST EVENT", 0, 0, _event, lambda node, state: -state.last_event_at),
)  # fmt: skip

BY_ID = {field.id: field for field in COLUMNS}


def columns_for(width: int, wide: bool) -> tuple[Field, ...]:
    """The columns that a screen of this width shows; all of them when `wide`."""
    return tuple(field for field in COLUMNS if wide or field.least <= width)


NARROWEST_NAME, WIDEST_NAME = 8, 28
NARROW_STAGE = 18
"""Room for the longest stage with its percentage; how it compares with the usual shows on wider screens."""


def grid_columns(fields: tuple[Field, ...], order: str, reverse: bool, glyph: Glyphs, longest: int) -> list[Column]:
    """The grid's columns; the one that rows are ordered by carries an arrow. `longest` is the length of node names."""
    name = max(NARROWEST_NAME, min(longest, WIDEST_NAME))
    arrow = glyph["down" if reverse else "up"]
    narrow = all(field.id != "console" for field in fields)
    return [
        Column(
            field.id,
            f"{field.title}{arrow}" if field.id == order else field.title,
            name if field.id == "node" else NARROW_STAGE if narrow and field.id == "stage" else field.width or 12,
            flex=0 if field.width else 1,
        )
        for field in fields
    ]


def row_cells(
    fields: tuple[Field, ...],
    node: Node,
    state: NodeState,
    glyph: Glyphs,
    now: float = 0.0,
    work: tuple[OperationRecord, NodeRecord] | None = None,
) -> dict[str, Cell]:
    """The cells of one row, by column. `now`: Unix seconds, for what takes longer than usual. `work`: the operation
    that works on the node, with the node's part."""
    cells = {field.id: field.cell(node, state, glyph) for field in fields}
    if "lifecycle" in cells and "health" not in cells:
        cells["lifecycle"] = _standing(node, state, glyph)
    if "lifecycle" not in cells and state.lock is not None:
        cells["event"] = _cell(clean_line(f"{LOCKED} by {state.lock.by}: {state.lock.reason}", 240), "warning")
    if "stage" in cells and state.stage is not None:
        cells["stage"] = stage_cell(state, glyph, now)
    if "stage" in cells and "lifecycle" not in cells and not state.operation and not _tells(state):
        standing = _standing(node, state, glyph)
        cells["stage"] = standing if standing.style in _ODD else cells["stage"]
    if "stage" in cells and work is not None:
        cells["stage"] = work_cell(cells["stage"], state, *work, glyph)
    return cells
