"""`plasmatui timeline`: the boots of a node, stage by stage, with what stopped them."""

from __future__ import annotations

from typing import Any

import click

from plasmatui.cli.completion import complete_node
from plasmatui.cli.engine_link import engine, expect, run_async
from plasmatui.cli.failure import DONE
from plasmatui.cli.output import clean, clock, duration, print_json, result
from plasmatui.cli.sets import pick_one
from plasmatui.cli.settings import Settings
from plasmatui.cli.times import at_option, past_of
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, StageSpan

MUCH = 1.5
"""Times the usual duration from which it is worth a word."""

_GLYPH = {"done": "+", "running": ">", "failed": "x"}


@click.command()
@click.argument("node", metavar="NODE", shell_complete=complete_node)
@click.option("--limit", type=click.IntRange(1, 100), default=1, show_default=True, help="Boots to show, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@at_option
@click.pass_obj
def timeline(settings: Settings, node: str, limit: int, as_json: bool, at: str | None) -> int:
    """Show how NODE's boot went, or goes: each stage, what it took, and why it stopped."""
    return run_async(_timeline(settings, node, limit, as_json, past_of(at) if at is not None else 0.0))


async def _timeline(settings: Settings, node: str, limit: int, as_json: bool, at: float) -> int:
    async with engine(settings, read_only=True) as client:
        name = pick_one(node, client.welcome.nodes)
        body = wire.AskTimelineAt(name, at, limit) if at else wire.AskTimeline(name, limit)
        reply = expect(await client.ask(body), wire.Timelines)
    if as_json:
        answer = {"ok": True, "boots": [as_data(boot) for boot in reply.timelines], "error": None}
        print_json({"nodes": {name: answer}})
    elif reply.timelines:
        result("\n\n".join(as_text(boot) for boot in reply.timelines))
    else:
        result(f"{name}: no boot has been seen")
    return DONE


def as_data(boot: BootTimeline) -> dict[str, Any]:
    """A boot as `--json` shows it."""
    import msgspec

    data: dict[str, Any] = msgspec.to_builtins(boot)
    del data["node"]
    return data


def as_text(boot: BootTimeline) -> str:
    """A boot as people read it."""
    begin = f", began {clock(boot.begin)}" if boot.begin is not None else ""
    lines = [f"{clean(boot.node)}  boot {boot.number}: {boot.outcome}, reached {boot.reached or 'nothing'}{begin}"]
    width = max((len(span.stage) for span in boot.stages), default=0)
    lines += [_stage(span, width) for span in boot.stages]
    for finding in boot.findings:
        lines.append(f"  {finding.severity}: {finding.id}: {clean(finding.cause)}")
        lines.append(f"      do: {clean(finding.remedy)}")
        lines += [f"      {clean(text)}" for text in finding.evidence]
    return "\n".join(lines)


def _stage(span: StageSpan, width: int) -> str:
    seconds = span.end - span.begin if span.begin is not None and span.end is not None else None
    took = "" if seconds is None else f"{seconds:.1f}s" if seconds < 10 else duration(seconds)
    notes = [
        ratio_words(seconds, span.usual),
        size_words(span.bytes, span.total),
        f"{span.percent:.0f} %" if span.percent is not None else "",
        f"{span.tries} times" if span.tries > 1 else "",
        "not seen, but what follows needs it" if span.inferred else "",
    ]
    if span.evidence and not span.inferred:
        first = span.evidence[0]
        notes.append(f"{first.file}:{first.line}" if first.line else first.text)
    told = ", ".join(clean(note) for note in notes if note)
    begin = clock(span.begin) if span.begin is not None else "-"
    return f"  {_GLYPH.get(span.state, '?')} {span.stage:<{width}}  {begin:>8}  {took:>7}  {told}".rstrip()


def ratio_words(seconds: float | None, usual: float | None) -> str:
    """`2.4x usual` where a stage takes much longer than it does usually."""
    if seconds is None or not usual or seconds < MUCH * usual:
        return ""
    return f"{seconds / usual:.1f}x usual"


def size_words(done: int | None, total: int | None) -> str:
    """`12.3 MB`, `12.3 of 80.0 MB`."""
    if done is None:
        return f"{total / 1e6:.1f} MB" if total is not None else ""
    if total is not None and total != done:
        return f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
    return f"{done / 1e6:.1f} MB" if done >= 100_000 else f"{done} bytes"
