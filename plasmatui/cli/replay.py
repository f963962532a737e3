"""`plasmatui replay`: timelines and findings from a bundle; needs no engine."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import click

from plasmatui.cli.failure import DONE, USAGE, Failure
from plasmatui.cli.output import clean, note, print_json, result
from plasmatui.model.boot import BootTimeline, Evidence, StageSpan
from plasmatui.model.node import Finding

_PLACE = re.compile(r"(.+?):(\d+): ?(.*)", re.DOTALL)
_GLYPH = {"done": "+", "running": ">", "failed": "x"}


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def replay(directory: Path, as_json: bool) -> int:
    """Say from the bundle DIR how far each node's boot came, and why it stopped."""
    from plasmatui.replay import replay_all
    from plasmatui.watch.bundle import BundleError

    warnings: list[str] = []
    try:
        boots = replay_all(directory, warnings.append)
    except BundleError as error:
        raise Failure(USAGE, str(error)) from error
    for warning in warnings:
        note(f"plasmatui: warning: {clean(warning)}")
    if as_json:
        print_json({"nodes": {node: as_data(timelines[-1]) for node, timelines in boots.items()}})
    else:
        result("\n\n".join(text for timelines in boots.values() for text in map(as_text, timelines)) or "Nothing seen.")
    return DONE


def as_data(boot: BootTimeline) -> dict[str, Any]:
    """A boot as `--json` shows it."""
    return {
        "reached": boot.reached,
        "outcome": boot.outcome,
        "boot": boot.number,
        "stages": [_stage_data(span) for span in boot.stages],
        "findings": [_finding_data(finding) for finding in boot.findings],
    }


def _stage_data(span: StageSpan) -> dict[str, Any]:
    return {
        "stage": span.stage,
        "state": span.state,
        "begin": span.begin,
        "end": span.end,
        "bytes": span.bytes,
        "percent": span.percent,
        "tries": span.tries,
        "inferred": span.inferred,
        "evidence": [_place(evidence) for evidence in span.evidence],
    }


def _place(evidence: Evidence) -> dict[str, Any]:
    return {"file": evidence.file, "line": evidence.line, "text": evidence.text}


def _finding_data(finding: Finding) -> dict[str, Any]:
    evidence = []
    for text in finding.evidence:
        found = _PLACE.match(text)
        if found is not None:
            evidence.append({"file": found[1], "line": int(found[2]), "text": found[3]})
    return {
        "id": finding.id,
        "severity": finding.severity,
        "cause": finding.cause,
        "remedy": finding.remedy,
        "evidence": evidence,
    }


def as_text(boot: BootTimeline) -> str:
    """A boot as people read it."""
    reached = boot.reached or "nothing"
    lines = [f"{clean(boot.node)}  boot {boot.number}: {boot.outcome}, reached {reached}"]
    width = max((len(span.stage) for span in boot.stages), default=0)
    lines += [_stage_line(span, width, boot.begin) for span in boot.stages]
    for finding in boot.findings:
        lines.append(f"  {finding.severity}: {finding.id}: {clean(finding.cause)}")
        lines.append(f"      do: {clean(finding.remedy)}")
        lines += [f"      {clean(text)}" for text in finding.evidence]
    return "\n".join(lines)


def _stage_line(span: StageSpan, width: int, origin: float | None) -> str:
    begin = "--:--:--" if span.begin is None else time.strftime("%H:%M:%S", time.gmtime(span.begin))
    after = "" if span.begin is None or origin is None else f"+{span.begin - origin:.1f}s"
    took = "" if span.begin is None or span.end is None else f"{span.end - span.begin:.1f}s"
    notes = [
        f"{span.bytes} bytes" if span.bytes is not None else "",
        f"{span.percent:.0f} %" if span.percent is not None else "",
        f"{span.tries} times" if span.tries > 1 else "",
        "not seen, but what follows needs it" if span.inferred else "",
        "" if span.inferred or not span.evidence else f"{span.evidence[0].file}:{span.evidence[0].line}",
    ]
    told = ", ".join(clean(note) for note in notes if note)
    return f"  {_GLYPH[span.state]} {span.stage:<{width}}  {begin}Z  {after:>9}  {took:>8}  {told}".rstrip()
