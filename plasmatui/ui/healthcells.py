"""The matrix of the Health view: its columns, and what stands in the cells of a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plasmatui.model.health import NodeServices, NodeSystem, ServiceState, node_word, service_word
from plasmatui.model.node import NodeState
from plasmatui.model.words import Health, Power
from plasmatui.text import clean_line
from plasmatui.ui import glyphs
from plasmatui.ui.bars import age
from plasmatui.ui.columns import NARROWEST_NAME, WIDEST_NAME, natural, role
from plasmatui.ui.context import Context
from plasmatui.ui.glyphs import Glyphs
from plasmatui.ui.widgets.gridlayout import GAP, GUTTER, Cell, Column

WORD = 12
"""Cells that the longest word takes with its glyph and the brackets of the cursor."""

GLYPH = 3
"""Cells of a glyph with the brackets of the cursor."""

HEALTH = 12

ROOMY = 100
"""Columns of the screen from which on the slowest answer and the certificates have columns."""

WIDE = 140
"""The same for clock, system and last change."""

SOON = 30 * 86400.0
"""Seconds before its end from which on a certificate is shown as a warning."""

SKEW = 5.0
"""Seconds that a clock may be off."""

SIGNS = {"ok": "ok", "warning": "warning", "error": "error", "unknown": "unknown", "muted": "none"}

NODE_FINDINGS = {"certificate-ends-soon": "cert", "clock-skew": "clock", "generation-drift": "drift"}
"""What is not well of a node although its services are, with a word for it."""


_WRONG = frozenset(("service-silent", "certificate-expired", "certificate-untrusted"))
"""What says that a node of which nothing is known should tell."""


def services_of(nodes: Iterable[NodeServices]) -> tuple[str, ...]:
    """All services that some node runs, in the order of the profiles: that of the longest one, then what others add."""
    longest = sorted(nodes, key=lambda node: (-len(node.services), natural(node.node)))
    return tuple(dict.fromkeys(each.service for node in longest for each in node.services))


def urgency(state: NodeState) -> int:
    """For ordering: what fails first, then what should answer and does not, degraded, what is not known, what has
    another problem, what is well, what is off."""
    found = {finding.id for finding in state.findings}
    if state.health is Health.FAILED:
        return 0
    if state.health is Health.DEGRADED:
        return 2
    if state.health is Health.OK:
        return 4 if found & NODE_FINDINGS.keys() else 5
    if found & _WRONG:
        return 1
    return 6 if node_word(state.health, state.power.value) == "off" else 3


PROBLEM = 4
"""The last urgency that is a problem."""


def columns(services: Sequence[str], width: int, longest: int, chosen: str) -> list[Column]:
    """The grid's columns on a screen of this width; the service under the cursor has its title in brackets."""
    name = max(NARROWEST_NAME, min(longest, WIDEST_NAME))
    beside = [Column("slowest", "SLOWEST", 7), Column("certificate", "CERT", 7)] if width >= ROOMY else []
    if width >= WIDE:
        beside += [Column("clock", "CLOCK", 7), Column("system", "SYSTEM", 10), Column("changed", "CHANGED", 8)]
    used = GUTTER + name + HEALTH + 2 * GAP + sum(column.width + GAP for column in beside)
    each = (width - used) // max(1, len(services)) - GAP
    found = [Column("node", "NODE", name), Column("health", "HEALTH", HEALTH)]
    for service in services:
        title = f"[{service}]" if service == chosen else service
        most = max(WORD, len(service) + 2)
        found.append(Column(f"service {service}", title.upper(), max(GLYPH, min(each, most))))
    return [*found, *beside]


def worded(layout: Sequence[Column]) -> bool:
    """Whether the services' columns have room for words."""
    return all(column.width >= WORD for column in layout if column.key.startswith("service "))


def row_cells(context: Context, node: str, names: Sequence[str], *, words: bool, chosen: str) -> dict[str, Cell]:
    """The cells of a node. `chosen`: the service under the cursor, "" in other rows."""
    store, glyph, now = context.store, context.glyphs, context.store.now()
    services, state = store.services[node], store.state(node)
    word = node_word(state.health, state.power.value)
    name, colour = look(state.health, word)
    worst = glyphs.worst(state)
    cells = {
        "node": Cell(clean_line(node, 64), role(glyphs.SEVERITY[worst][1]) if worst else ""),
        "health": _health(state, f"{glyph[name]} {word}", colour, glyph),
    }
    for service in names:
        cells[f"service {service}"] = _cell(services.service(service), state, glyph, words, service == chosen)
    latency = max((each.latency_ms for each in services.services), default=0.0)
    since = max((each.since for each in services.services if each.askable), default=0.0)
    cells["slowest"] = Cell(f"{latency:.0f}ms" if latency else glyph["none"], "role-muted")
    cells["certificate"] = _signed(glyph, certificate(services, now))
    cells["clock"] = _signed(glyph, clock(services))
    cells["system"] = _signed(glyph, system(store.systems.get(node)))
    cells["changed"] = Cell(age(now - since) if since else glyph["none"], "role-muted")
    return cells


def _health(state: NodeState, text: str, colour: str, glyph: Glyphs) -> Cell:
    """The health; behind an "ok" what is not, all the same."""
    beside = [word for id_, word in NODE_FINDINGS.items() if any(finding.id == id_ for finding in state.findings)]
    if state.health is not Health.OK or not beside:
        return Cell(text, role(colour))
    return Cell(f"{text} {glyph['warning']} {beside[0]}", role("warning"))


def _signed(glyph: Glyphs, told: tuple[str, str]) -> Cell:
    text, colour = told
    sign = f"{glyph[SIGNS[colour]]} " if colour in ("warning", "error") else ""
    return Cell(f"{sign}{text}", role(colour))


def certificate(services: NodeServices, now: float) -> tuple[str, str]:
    """When the first certificate of a node ends, and the colour of that."""
    if any(each.finding == "certificate-expired" for each in services.services):
        return "expired", "error"
    if any(each.finding == "certificate-untrusted" for each in services.services):
        return "untrusted", "error"
    if not services.ends:
        return "-", "muted"
    days = int((services.ends - now) // 86400)
    if services.ends <= now:
        return "expired", "error"
    return f"{days}d", "warning" if services.ends - now < SOON else "muted"


def clock(services: NodeServices) -> tuple[str, str]:
    """How far a node's clock is off, and the colour of that."""
    if services.skew is None:
        return "-", "muted"
    if abs(services.skew) <= SKEW:
        return "ok", "muted"
    return f"{'+' if services.skew > 0 else '-'}{age(abs(services.skew))}", "warning"


def system(seen: NodeSystem | None) -> tuple[str, str]:
    """A node's system in a word, and the colour of that."""
    if seen is None:
        return "-", "muted"
    if seen.problem:
        return "unknown", "unknown"
    if any(each.state == "refused" for each in seen.joins):
        return "no join", "error"
    if seen.active != seen.next:
        return "drift", "warning"
    if seen.differs:
        return "differs", "warning"
    if seen.failed:
        return f"{len(seen.failed)} failed", "warning"
    return ("reboot", "warning") if seen.reboot_needed else ("ok", "muted")


def look(health: Health, word: str) -> tuple[str, str]:
    """Glyph and colour of a word."""
    if word == "off":
        return glyphs.POWER[Power.OFF]
    if word == "-":
        return "none", "muted"
    if word in ("expired", "untrusted"):
        return "error", "error"
    return glyphs.HEALTH[health]


def _cell(service: ServiceState | None, state: NodeState, glyph: Glyphs, words: bool, chosen: bool) -> Cell:
    word = service_word(service, state.power.value)
    name, colour = look(service.status if service is not None else Health.UNKNOWN, word)
    if word == "silent" and any(finding.id == "service-silent" for finding in state.findings):
        colour = "error"
    text = glyph[name] if word == "-" or not words else f"{glyph[name]} {word}"
    if service is not None and service.verified is False:
        text += " !tls" if words else "!"
    return Cell(f"[{text}]" if chosen else text, role(colour))
