"""What the Health view says in lines: raft groups, trends, the service under the cursor and its node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plasmatui.model.health import (
    GroupState,
    JoinSeen,
    MemberState,
    NodeServices,
    NodeSystem,
    Replication,
    Trend,
    service_word,
)
from plasmatui.model.words import Health
from plasmatui.ui import glyphs, healthcells
from plasmatui.ui.bars import age, clock_text
from plasmatui.ui.context import Context
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.spark import spark
from plasmatui.ui.widgets.gridlayout import GAP, GUTTER, Column

SPARK = 20
"""Looks of the sparkline beside the service under the cursor."""

_JOINED = ("joined", "voter")

_URGENCY = {Health.FAILED: 0, Health.DEGRADED: 1, Health.UNKNOWN: 2, Health.OK: 3}


def group_lines(
    context: Context, groups: Sequence[GroupState], width: int, replications: Mapping[str, tuple[float, Replication]]
) -> list[TextLine]:
    """Each group with leader and margin, the worst first; below it what is odd, and what a check of its replication
    found (when, and what)."""
    lines: list[TextLine] = []
    name = max((len(group.name) for group in groups), default=0)
    for group in sorted(groups, key=lambda each: _URGENCY[each.health]):
        lines.append(_group_line(context, group, name, width))
        missing = [
            f"{each.node or each.id} {each.condition}" for each in group.members if each.voter and not each.healthy
        ]
        if missing and width < healthcells.ROOMY:
            lines.append(text_line((f"   does not count: {', '.join(missing)}", "role-warning")))
        if group.message:
            lines.append(text_line((f"   {group.message}", "role-warning")))
        if not group.verified:
            lines.append(text_line(("   told over TLS that was not verified", "role-warning")))
        if group.name in replications:
            lines.append(_replication_line(context, *replications[group.name]))
    return lines


def _group_line(context: Context, group: GroupState, name: int, width: int) -> TextLine:
    glyph, colour = glyphs.HEALTH[group.health]
    word = "majority lost" if group.lost else "at risk" if group.at_risk else str(group.health)
    head: list[Part] = [
        (f" {context.glyphs[glyph]} ", f"role-{colour}"),
        (f"{group.name:<{name}} ", "bold"),
        (f"{word} ", f"role-{colour}"),
    ]
    since = f"  since {clock_text(group.since)}" if group.since and width >= healthcells.ROOMY else ""
    if not group.readable or not group.voters:
        return text_line(*head, (f" nothing is known{since}", "role-muted"))
    shown = width >= healthcells.ROOMY and any(
        each.role == "leader" and group.leader in (each.node, each.id) for each in group.members
    )
    leader = "" if shown else f" leader {group.leader} " if group.leader else " no leader "
    silent = sum(not each.voter for each in group.members)
    beside = f" (+{silent})" if silent else ""
    counts = f"{group.healthy}/{group.voters} voters{beside}, margin {group.margin}"
    members = _members(context, group) if width >= healthcells.ROOMY else []
    return text_line(
        *head,
        (leader, "" if group.leader else "role-warning"),
        (f" {counts}", "role-warning" if group.margin <= 0 and group.voters > 1 else ""),
        (since, "role-muted"),
        *members,
    )


def _members(context: Context, group: GroupState) -> list[Part]:
    parts: list[Part] = []
    for each in group.members:
        if each.healthy and not each.voter:
            continue
        text = f"{each.node or each.id} {_role(each) if each.healthy else each.condition}"
        colour = "role-muted" if each.healthy else "role-warning"
        parts.append((f"  {context.glyphs['ok' if each.healthy else 'warning']} {text}", colour))
    return parts


def _since(context: Context, at: float) -> str:
    """Since when something is so; how long that is only in minutes, so that nothing changes every second."""
    ago = context.store.now() - at
    return f"since {clock_text(at)}" + (f", {age(ago)} ago" if ago >= 60 else "")


def _role(member: MemberState) -> str:
    role = member.role or ("voter" if member.voter else "learner")
    return role if member.voter or not member.role else f"{role}, no vote"


def _replication_line(context: Context, at: float, found: Replication) -> TextLine:
    glyph, colour = ("ok", "ok") if found.ok else ("error", "error")
    head = (f"   {context.glyphs[glyph]} replication, {clock_text(at)}: ", f"role-{colour}")
    if found.problem:
        return text_line(head, (found.problem, "role-error"))
    read = [
        f"{each.node} has it after {each.seconds:.1f} s" if each.ok else f"{each.node}: {each.problem}"
        for each in found.replicas
    ]
    text = ", ".join(read) or "no other member to read it at"
    return text_line(head, (f"written at {found.writer}; {text}", "" if found.ok else "role-error"))


def replication_acts(context: Context) -> list[str]:
    """What a check of replication does, for a person who is to confirm it."""
    acts = []
    for group in context.store.groups:
        leader = group.leader or "a member"
        voters = [each.node or each.id for each in group.members if each.voter]
        others = [name for name in voters if name != group.leader]
        what = "PUT /v1/kv/plasmatui-replication-check" if group.name == "chainfire" else "POST /v1/write"
        acts.append(f"{group.name}: {what} at {leader}, then read at {', '.join(others) or 'nobody else'}")
    return [*acts, "One key of Chainfire is overwritten, and one metric of FlareDB grows by a point; both are ours."]


def trend_line(context: Context, layout: Sequence[Column], trends: Sequence[Trend]) -> TextLine:
    """The sparklines of all services above their columns: the 95th percentile over the nodes, and where some were not
    well. "" while there is one look at most, of which there is no trend."""
    by_name = {f"service {trend.service}": trend for trend in trends if len(trend.latencies) > 1}
    parts: list[Part] = [(" " * GUTTER, "")]
    if not by_name:
        return text_line()
    for column in layout:
        told: list[Part] = []
        if column.key == "node":
            told = [("p95 ms", "role-muted")]
        elif column.key in by_name:
            trend = by_name[column.key]
            number = f"{trend.latencies[-1]:.0f}" if trend.latencies[-1] else "-"
            bars = spark(trend, min(healthcells.WORD, column.width) - len(number) - 1, context.glyphs)
            told = [(f"{number} ", "role-muted"), *bars]
        used = sum(len(text) for text, _ in told)
        parts += [*told, (" " * (column.width - used + GAP), "")]
    return text_line(*parts)


def cell_lines(context: Context, services: NodeServices | None, name: str, trend: Trend | None) -> list[TextLine]:
    """The service under the cursor: its word, since when, how fast; its node; what it says; what to do."""
    if services is None:
        return []
    first, *rest = _service_lines(context, services, name, trend)
    return [first, node_line(context, services), *rest]


def _service_lines(context: Context, services: NodeServices, name: str, trend: Trend | None) -> list[TextLine]:
    state = context.store.state(services.node)
    service = services.service(name)
    word = service_word(service, state.power.value)
    glyph, colour = healthcells.look(service.status if service is not None else Health.UNKNOWN, word)
    parts: list[Part] = [
        (f" {services.node} {name} ", "bold"),
        (f" {context.glyphs[glyph]} {word if word != '-' else 'not asked'}", f"role-{colour}"),
    ]
    if service is None:
        return [text_line(*parts), text_line((" the node's profile does not run it", "role-muted"))]
    if service.since and service.askable:
        parts.append((f"  {_since(context, service.since)}", "role-muted"))
    if service.latency_ms:
        parts.append((f"  {service.latency_ms:.0f} ms", "role-muted"))
    if trend is not None and len(trend.latencies) > 1:
        parts += [("  ", ""), *spark(trend, SPARK, context.glyphs)]
    if service.verified is False:
        parts.append(("  TLS not verified", "role-warning"))
    lines = [text_line(*parts), text_line((f" {context.glyphs.text(service.message)}", ""))]
    if service.remedy:
        arrow = context.glyphs["arrow"]
        lines.append(text_line((f" {arrow} {context.glyphs.text(service.remedy)}", "role-busy")))
    return lines


def fact_rows(context: Context, node: str) -> list[tuple[str, list[Part]]]:
    """What is known of a node's services and system, and its places in raft groups, as rows of its details."""
    services = context.store.services.get(node)
    if services is None or not services.services:
        return []
    power = context.store.state(node).power.value
    told: list[Part] = []
    for each in services.services:
        word = service_word(each, power)
        glyph, colour = healthcells.look(each.status, word)
        said = "" if word in ("ok", "-") else f" {word}"
        told.append((f"{context.glyphs[glyph]} {each.service}{said}  ", f"role-{colour}"))
    groups: list[Part] = [
        (f"{group.name} {member.role or 'member'}, {member.condition}  ", "" if member.healthy else "role-warning")
        for group in context.store.groups
        for member in group.members
        if member.node == node
    ]
    rows = [("services", told), *([("raft groups", groups)] if groups else [])]
    return [
        *rows,
        ("system", [(text.lstrip(), style) for text, style in node_line(context, services).parts if text.strip()]),
    ]


def node_line(context: Context, services: NodeServices) -> TextLine:
    """The node in a line: certificates, clock, system, first boot, failed units."""
    now, glyph = context.store.now(), context.glyphs
    parts: list[Part] = [("   ", "")]
    text, colour = healthcells.certificate(services, now)
    parts.append((f"certificates {text} ", f"role-{colour}"))
    text, colour = healthcells.clock(services)
    parts.append((f" clock {text} ", f"role-{colour}"))
    system = context.store.systems.get(services.node)
    if system is None:
        key = context.keymap.first("health.systems")
        return text_line(*parts, (f" system not asked yet ({key} asks)", "role-muted"))
    if system.problem:
        return text_line(*parts, (f" system {glyph['unknown']} {glyph.text(system.problem)}", "role-unknown"))
    return text_line(*parts, *_system_parts(context, system), (f" at {clock_text(system.at)}", "role-muted"))


def _system_parts(context: Context, system: NodeSystem) -> list[Part]:
    text, colour = healthcells.system(system)
    sign = context.glyphs["ok" if text == "ok" else healthcells.SIGNS[colour]]
    parts: list[Part] = [(f" system {sign} {text} ", f"role-{colour}")]
    if system.active != system.next:
        parts.append((f" runs {system.active}, boots next {system.next} ", "role-warning"))
    elif system.active:
        parts.append((f"{system.active.partition(' ')[0]} ", "role-muted"))
    if system.differs:
        parts.append((f" the flake declared {system.declared} at {clock_text(system.evaluated)} ", "role-warning"))
    elif system.declared:
        parts.append((f" as the flake declared at {clock_text(system.evaluated)} ", "role-muted"))
    if system.undeclared:
        parts.append((f" {context.glyphs['unknown']} {context.glyphs.text(system.undeclared)} ", "role-unknown"))
    if system.joins and all(each.state in _JOINED for each in system.joins):
        parts.append((" first boot joined ", "role-muted"))
    else:
        parts += [_join_part(context, each) for each in system.joins]
    if system.failed:
        parts.append((f" {context.glyphs['error']} failed: {', '.join(system.failed)} ", "role-error"))
    return parts


def _join_part(context: Context, join: JoinSeen) -> Part:
    if join.state == "refused":
        return (
            f" {context.glyphs['error']} {join.group} join refused: {context.glyphs.text(join.message)} ",
            "role-error",
        )
    return (f" {join.group} first boot {join.state} ", "role-muted" if join.state in _JOINED else "role-unknown")
