"""What is known of a node, as lines to read."""

from __future__ import annotations

from plasmatui.model import wire
from plasmatui.model.node import NodeState
from plasmatui.model.words import BmcStatus, ConsoleStatus, Power
from plasmatui.ui import glyphs, healthlines
from plasmatui.ui.bars import age, clock_text
from plasmatui.ui.columns import boot_text
from plasmatui.ui.context import Context
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.timeline import page_line

_HEALTH = {"ok": "ok", "warning": "warning", "critical": "error", "failed": "error"}


def console_text(state: NodeState) -> str:
    """Standing of the console in a few words."""
    console = state.console
    words = [str(console.status)]
    if console.finding:
        words.append(console.finding)
    if console.recording and console.status is ConsoleStatus.OPEN:
        words.append("recorded")
    if console.pen is not None:
        words.append(f"pen: {console.pen.user} on {console.pen.terminal}")
    return ", ".join(words)


def console_notice(context: Context, name: str) -> tuple[list[str], bool]:
    """What to say in the place of a console that shows nothing: why, and what can be done.

    The second value is whether it is also said below what the console showed before.
    """
    state = context.store.state(name)
    console = state.console
    why = [console.message or state.bmc.message] if console.message or state.bmc.message else []
    if console.status is ConsoleStatus.OPEN:
        off = state.power.value is Power.OFF
        return ["The machine is off." if off else "Open; the machine has said nothing yet."], False
    if console.status is ConsoleStatus.CONNECTING:
        return ["The console is being opened ..."], False
    if console.status is ConsoleStatus.HELD:
        return ["Another client of the BMC holds this console.", *why, "ctrl+e o: end its session and take over"], True
    if console.status is ConsoleStatus.UNAVAILABLE:
        return ["This machine has no console that can be opened.", *why], True
    retry = console.retry_at or state.bmc.retry_at
    then = f"Next try in {age(retry - context.clock())}." if retry > context.clock() else "It is being tried again."
    if state.bmc.status is BmcStatus.REFUSED:
        then = "It is not tried again by itself: ctrl+r"
    return [f"The console is not open ({console.finding or state.bmc.finding or console.status}).", *why, then], True


def details(context: Context, name: str) -> list[TextLine]:
    """All facts of a node: inventory, power, BMC with its breaker, console, findings with cause and remedy."""
    node, state, now = context.store.nodes[name], context.store.state(name), context.clock()
    glyph = context.glyphs
    rows: list[tuple[str, list[Part]]] = [
        ("profile", [(node.profile or "-", ""), (" voter" if node.voter else "", "role-busy")]),
        ("MAC", [(", ".join(node.macs) or "-", "")]),
        ("addresses", [(f"provisioning {node.provisioning_ip or '-'}  production {node.production_ip or '-'}", "")]),
        ("disks", [(", ".join(node.disks) or "-", "")]),
        ("rack", [(f"{node.rack or '-'} unit {node.unit if node.unit is not None else '-'}", "")]),
        ("tags", [(", ".join(node.tags) or "-", "")]),
    ]
    power_glyph, power_role = glyphs.POWER[state.power.value]
    by = f", by {state.power.by}" if state.power.by else ""
    said = f"  since {age(now - state.power.since)}, {state.power.source}{by}" if state.power.since else ""
    rows.append(("power", [(f"{glyph[power_glyph]} {state.power.value}", f"role-{power_role}"), (said, "role-muted")]))
    rows += _bmc(context, name)
    verified = {True: "read back", False: "reverted", None: "unverified"}[state.boot_verified]
    boot = f"{boot_text(state)} ({verified})" if state.boot else "not read yet"
    rows.append(("boot device", [(boot, "role-error" if state.boot_verified is False else "")]))
    rows.append(("console", [(console_text(state), ""), (f"  {state.console.message}", "role-muted")]))
    rows.append(("identify", [("light on" if state.identify else "light off", "")]))
    rows.append(("lifecycle", [(f"{state.lifecycle}  health {state.health}  {' '.join(state.flags)}", "")]))
    if state.lock is not None:
        until = f" until {_day(state.lock.until)}" if state.lock.until else ""
        rows.append(("locked", [(f"by {state.lock.by}: {state.lock.reason}", "bold role-warning"),
                                (f"  since {age(now - state.lock.since)}{until}", "role-muted")]))  # fmt: skip
    for note in state.notes:
        rows.append(("note", [(f"{_day(note.wall)} {note.by}: ", "role-muted"), (note.text, "")]))
    rows += healthlines.fact_rows(context, name)
    if state.operation:
        rows.append(("operation", [(f"{glyph['busy']} {state.operation} holds this node", "role-busy")]))
    lines = [text_line((f" {title:<12} ", "role-muted"), *parts) for title, parts in rows]
    for finding in state.findings:
        name_, role = glyphs.SEVERITY[finding.severity]
        lines.append(text_line((f" {glyph[name_]} {finding.severity} {finding.id}", f"bold role-{role}"),
                               (f"  since {age(now - finding.since)}", "role-muted")))  # fmt: skip
        lines.append(text_line((f"     {finding.cause}", "")))
        lines.append(text_line((f"     {glyph['arrow']} {finding.remedy}", "role-busy")))
        lines += [text_line((f"     {glyph['sep']} {line}", "role-muted")) for line in finding.evidence]
        lines.append(page_line(finding.id))
    return lines


def _bmc(context: Context, name: str) -> list[tuple[str, list[Part]]]:
    node, bmc, now = context.store.nodes[name], context.store.state(name).bmc, context.clock()
    glyph, role = glyphs.BMC[bmc.status]
    parts: list[Part] = [(f"{context.glyphs[glyph]} {bmc.status}", f"role-{role}")]
    if bmc.finding:
        parts.append((f" {bmc.finding}", f"role-{role}"))
    if bmc.latency_ms:
        parts.append((f"  {bmc.latency_ms:.0f} ms", "role-muted"))
    rows = [("BMC", [(f"{node.bmc_driver or '-'} {node.bmc_address or 'none'}  ", ""), *parts])]
    if bmc.message:
        rows.append(("", [(bmc.message, "")]))
    if bmc.failures:
        tries = f"{bmc.failures} tries failed in a row"
        if bmc.retry_at:
            tries += f"; next try in {age(bmc.retry_at - now)}"
        elif bmc.status is BmcStatus.REFUSED:
            tries += "; not tried again by itself: ctrl+r"
        rows.append(("", [(tries, "role-warning")]))
    return rows


def answer_lines(context: Context, answer: wire.NodeAnswer) -> list[TextLine]:
    """Sensors, event log or hardware inventory as the BMC gave them."""
    glyph = context.glyphs
    if answer.problem is not None:
        return [text_line((f"{glyph['error']} {answer.problem.message}", "role-error"))]
    lines: list[TextLine] = []
    for sensor in answer.sensors or ():
        value = "-" if sensor.value is None else f"{sensor.value:g} {sensor.units}"
        role = _HEALTH.get(sensor.health, "unknown")
        lines.append(
            text_line(
                (f" {glyph[role]} {sensor.health:<9} ", f"role-{role}"),
                (f"{sensor.name:<24} {value:>14}  ", ""),
                (f"{sensor.kind} {' '.join(sensor.states)}", "role-muted"),
            )
        )
    for entry in answer.sel or ():
        when = "time unknown" if entry.time is None else _day(entry.time)
        role = _HEALTH.get(entry.severity, "unknown")
        lines.append(
            text_line(
                (f" {entry.record:>5} {when:<20} ", "role-muted"),
                (f"{glyph[role]} {entry.severity:<9} ", f"role-{role}"),
                (f"{entry.sensor}: {entry.event}", ""),
            )
        )
    area = ""
    for field in answer.inventory or ():
        if field.area != area:
            area = field.area
            lines.append(text_line((f" {area}", "bold")))
        lines.append(text_line((f"   {field.name:<24} ", "role-muted"), (field.value, "")))
    return lines or [text_line(("the BMC has nothing to tell", "role-muted"))]


def _day(wall: float) -> str:
    import time

    return f"{time.strftime('%Y-%m-%d', time.gmtime(wall))} {clock_text(wall)}"
