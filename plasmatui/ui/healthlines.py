"""What the Health view says: cells of the matrix, lines of the raft groups and of the service under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plasmatui.model.health import GroupState, NodeServices, ServiceState, node_word, service_word
from plasmatui.model.node import NodeState
from plasmatui.model.words import Health, Power
from plasmatui.text import clean_line
from plasmatui.ui import glyphs
from plasmatui.ui.bars import age, clock_text
from plasmatui.ui.columns import NARROWEST_NAME, WIDEST_NAME, role
from plasmatui.ui.context import Context
from plasmatui.ui.glyphs import Glyphs
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.widgets.gridlayout import GAP, GUTTER, Cell, Column

WORD = 12
"""Cells that the longest word takes with its glyph and the brackets of the cursor."""

GLYPH = 3
"""Cells of a glyph with the brackets of the cursor."""

HEALTH, SLOWEST, CHANGED = 12, 8, 9
"""Cells of the columns beside the services."""

ROOMY = 100
"""Columns of the screen from which on latency and last change have columns."""

SOUND = frozenset(("ok", "off", "-"))


def services_of(nodes: Iterable[NodeServices]) -> tuple[str, ...]:
    """All services that some node runs, in the order of the profiles."""
    return tuple(dict.fromkeys(each.service for node in nodes for each in node.services))


def urgency(services: NodeServices, state: NodeState) -> int:
    """For ordering: what fails first, then degraded, what is not known, what is well, what is off."""
    if state.health is Health.FAILED:
        return 0
    if state.health is Health.DEGRADED:
        return 1
    if state.health is Health.OK:
        return 3
    return 4 if node_word(state.health, state.power.value) == "off" else 2


def columns(services: Sequence[str], width: int, longest: int, chosen: str) -> list[Column]:
    """The grid's columns on a screen of this width; the service under the cursor has its title in brackets."""
    name = max(NARROWEST_NAME, min(longest, WIDEST_NAME))
    roomy = width >= ROOMY
    used = GUTTER + name + HEALTH + 2 * GAP + (SLOWEST + CHANGED + 2 * GAP if roomy else 0)
    each = (width - used) // max(1, len(services)) - GAP
    titles = {service: f"[{service}]" if service == chosen else service for service in services}
    found = [Column("node", "NODE", name), Column("health", "HEALTH", HEALTH)]
    for service in services:
        most = max(WORD, len(service) + 2)
        found.append(Column(f"service {service}", titles[service].upper(), max(GLYPH, min(each, most))))
    if roomy:
        found += [Column("slowest", "SLOWEST", SLOWEST), Column("changed", "CHANGED", CHANGED)]
    return found


def worded(layout: Sequence[Column]) -> bool:
    """Whether the services' columns have room for words."""
    return all(column.width >= WORD for column in layout if column.key.startswith("service "))


def row_cells(
    services: NodeServices, state: NodeState, glyph: Glyphs, names: Sequence[str], *, words: bool, chosen: str
) -> dict[str, Cell]:
    """The cells of a node. `chosen`: the service under the cursor, "" in other rows."""
    word = node_word(state.health, state.power.value)
    name, colour = _look(state.health, word)
    worst = glyphs.worst(state)
    cells = {
        "node": Cell(clean_line(services.node, 64), role(glyphs.SEVERITY[worst][1]) if worst else ""),
        "health": Cell(f"{glyph[name]} {word}", role(colour)),
    }
    for service in names:
        cells[f"service {service}"] = _cell(services.service(service), state, glyph, words, service == chosen)
    latency = max((each.latency_ms for each in services.services), default=0.0)
    since = max((each.since for each in services.services if each.askable), default=0.0)
    cells["slowest"] = Cell(f"{latency:.0f}ms" if latency else glyph["none"], "role-muted")
    cells["changed"] = Cell(clock_text(since) if since else glyph["none"], "role-muted")
    return cells


def _look(health: Health, word: str) -> tuple[str, str]:
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
    name, colour = _look(service.status if service is not None else Health.UNKNOWN, word)
    if word == "silent" and any(finding.id == "service-silent" for finding in state.findings):
        colour = "error"
    text = glyph[name] if word == "-" or not words else f"{glyph[name]} {word}"
    if service is not None and service.verified is False:
        text += " !tls" if words else "!"
    return Cell(f"[{text}]" if chosen else text, role(colour))


def group_lines(context: Context, groups: Sequence[GroupState]) -> list[TextLine]:
    """Each group with leader and margin; below it what is odd."""
    lines: list[TextLine] = []
    width = max((len(group.name) for group in groups), default=0)
    for group in groups:
        lines.append(_group_line(context, group, width))
        missing = [f"{each.id} {each.condition}" for each in group.members if each.voter and not each.healthy]
        if missing:
            lines.append(text_line((f"   does not count: {', '.join(missing)}", "role-warning")))
        if group.message:
            lines.append(text_line((f"   {group.message}", "role-warning")))
        if not group.verified:
            lines.append(text_line(("   told over TLS that was not verified", "role-warning")))
    return lines


def _group_line(context: Context, group: GroupState, width: int) -> TextLine:
    name, colour = glyphs.HEALTH[group.health]
    word = "majority lost" if group.lost else "at risk" if group.at_risk else str(group.health)
    head: list[Part] = [
        (f" {context.glyphs[name]} ", f"role-{colour}"),
        (f"{group.name:<{width}} ", "bold"),
        (f"{word} ", f"role-{colour}"),
    ]
    since = f"  since {clock_text(group.since)}" if group.since else ""
    if not group.readable or not group.voters:
        return text_line(*head, (f" nothing is known{since}", "role-muted"))
    leader = f"leader {group.leader}" if group.leader else "no leader"
    counts = f"{group.healthy} of {group.voters} healthy, {group.needed} needed, margin {group.margin}"
    return text_line(
        *head, (f" {leader}  ", "" if group.leader else "role-warning"), (counts, ""), (since, "role-muted")
    )


def cell_lines(context: Context, services: NodeServices | None, name: str) -> list[TextLine]:
    """The service under the cursor: its word, since when, how fast; what it says; what to do."""
    if services is None:
        return []
    state = context.store.state(services.node)
    service = services.service(name)
    word = service_word(service, state.power.value)
    glyph, colour = _look(service.status if service is not None else Health.UNKNOWN, word)
    parts: list[Part] = [
        (f" {services.node} {name} ", "bold"),
        (f" {context.glyphs[glyph]} {word if word != '-' else 'not asked'}", f"role-{colour}"),
    ]
    if service is None:
        return [text_line(*parts), text_line((" the node's profile does not run it", "role-muted"))]
    if service.since and service.askable:
        ago = age(context.clock() - service.since)
        parts.append((f"  since {clock_text(service.since)}, {ago} ago", "role-muted"))
    if service.latency_ms:
        parts.append((f"  {service.latency_ms:.0f} ms", "role-muted"))
    if service.verified is False:
        parts.append(("  TLS not verified", "role-warning"))
    lines = [text_line(*parts), text_line((f" {context.glyphs.text(service.message)}", ""))]
    if service.remedy:
        arrow = context.glyphs["arrow"]
        lines.append(text_line((f" {arrow} {context.glyphs.text(service.remedy)}", "role-muted")))
    return lines
