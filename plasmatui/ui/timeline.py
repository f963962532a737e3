"""Boots as lines to read: each stage with its times beside the usual ones, and why a boot stopped."""

from __future__ import annotations

from plasmatui.model.boot import BootTimeline, Evidence, StageSpan
from plasmatui.model.node import Finding
from plasmatui.pages import finding_page
from plasmatui.ui import glyphs
from plasmatui.ui.bars import clock_text
from plasmatui.ui.context import Context
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.spans import SLOW, bytes_text, span_text

_STATES = {"done": ("ok", "ok"), "running": ("busy", "busy"), "failed": ("error", "error")}
_OUTCOMES = {"running": "busy", "stopped": "error", "installer-up": "ok", "healthy": "ok"}


def timeline_lines(context: Context, boots: tuple[BootTimeline, ...], evidence: bool) -> list[TextLine]:
    """The newest boot in full, the older ones in a line each; with `evidence`, the lines that prove it."""
    if not boots:
        return [text_line((" no boot has been seen yet; it shows here from its first sign on", "role-muted"))]
    lines = _boot(context, boots[0], evidence)
    if boots[1:]:
        lines += [text_line(("", "")), text_line((" before:", "role-muted"))]
        lines += [text_line(*_head(boot)) for boot in boots[1:]]
    return lines


def _head(boot: BootTimeline) -> list[Part]:
    when = f", begun {clock_text(boot.begin)}" if boot.begin is not None else ""
    reached = f", reached {boot.reached}" if boot.reached is not None else ""
    why = "".join(f", {finding.id}" for finding in boot.findings)
    role = _OUTCOMES.get(boot.outcome, "muted")
    return [(f" boot {boot.number}", "bold"), (when, "role-muted"), (f"  {boot.outcome}", f"role-{role}"),
            (f"{reached}{why}", "")]  # fmt: skip


def _boot(context: Context, boot: BootTimeline, evidence: bool) -> list[TextLine]:
    proof = "e: hide the evidence" if evidence else "e: evidence"
    lines = [text_line(*_head(boot), (f"   {proof}", "role-muted"))]
    for finding in boot.findings:
        lines += _finding(context, finding, evidence)
    for span in boot.stages:
        lines.append(text_line(*_span(context, span)))
        if evidence:
            lines += [_proof(context, item) for item in span.evidence]
    return lines


def _span(context: Context, span: StageSpan) -> list[Part]:
    sign, role = _STATES.get(span.state, ("unknown", "unknown"))
    begin = clock_text(span.begin) if span.begin is not None else ""
    end = span.end if span.end is not None else context.clock() if span.state == "running" else None
    seconds = end - span.begin if end is not None and span.begin is not None else None
    parts: list[Part] = [
        (f" {context.glyphs[sign]} {span.state:<7} ", f"role-{role}"),
        (f"{span.stage:<13} ", "bold" if span.state != "done" else ""),
        (f"{begin:<9}", "role-muted"),
        (f"{'' if seconds is None else span_text(seconds):>7}  ", ""),
    ]
    if span.usual is not None:
        if seconds is not None and span.usual and seconds >= SLOW * span.usual:
            parts.append((f"{seconds / span.usual:.1f}x usual ({span_text(span.usual)})  ", "role-warning"))
        else:
            parts.append((f"usual {span_text(span.usual)}  ", "role-muted"))
    parts.append((_amount(span), ""))
    if span.tries > 1:
        parts.append((f"  {span.tries} tries", "role-warning"))
    if span.inferred:
        parts.append(("  not seen, proved by what came later", "role-muted"))
    return parts


def _amount(span: StageSpan) -> str:
    words = []
    if span.bytes is not None:
        words.append(bytes_text(span.bytes) + (f" of {bytes_text(span.total)}" if span.total else ""))
    elif span.total is not None:
        words.append(bytes_text(span.total))
    if span.percent is not None and span.state != "done":
        words.append(f"{span.percent:.0f}%")
    return " ".join(words)


def _finding(context: Context, finding: Finding, evidence: bool) -> list[TextLine]:
    glyph = context.glyphs
    sign, role = glyphs.SEVERITY[finding.severity]
    lines = [
        text_line((f" {glyph[sign]} {finding.id}: ", f"bold role-{role}"), (finding.cause, "")),
        text_line((f"   {glyph['arrow']} {finding.remedy}", "role-busy")),
    ]
    if evidence:
        lines += [text_line((f"     {glyph['sep']} {line}", "role-muted")) for line in finding.evidence]
        lines.append(page_line(finding.id))
    return lines


def page_line(finding: str) -> TextLine:
    """Where a finding is explained; `:explain` opens it."""
    return text_line((f"     {finding_page(finding)}   :explain {finding}", "role-muted"))


def _proof(context: Context, item: Evidence) -> TextLine:
    return text_line(
        (f"     {context.glyphs['sep']} {item.file}:{item.line}  ", "role-muted"), (item.text, "role-muted")
    )
