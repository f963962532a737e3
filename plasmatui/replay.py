"""A bundle as timelines of its nodes: boots as logs and consoles tell them (room `watch`), and the installation as the
output of nixos-anywhere tells it (room `nix`), which belongs to the last boot of its node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from plasmatui.model.boot import BootTimeline, Evidence, StageSpan
from plasmatui.model.findings import FINDINGS
from plasmatui.model.node import Finding
from plasmatui.model.words import Severity, Stage
from plasmatui.nix.failures import LAST_LINES, explain
from plasmatui.nix.lines import is_noise, shown
from plasmatui.nix.progress import AnywhereProgress
from plasmatui.watch.bundle import BundleError, BundleFile, read_bundle
from plasmatui.watch.replay import replay_all as replay_boots

EVIDENCE_KEPT = 3
_LONGEST = 500
_NO_CAUSE = " ended with code 1"
"""What `explain` says when no rule knows the output."""
_ORDER = {stage: place for place, stage in enumerate(Stage)}

Warn = Callable[[str], None]


@dataclass(slots=True)
class _Installation:
    """What one output tells. `places`: by stage the lines that begin it; `last`: number and text of the last lines."""

    progress: AnywhereProgress = field(default_factory=AnywhereProgress)
    places: dict[Stage, list[Evidence]] = field(default_factory=dict)
    last: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


def replay_all(directory: Path, warn: Warn) -> dict[str, tuple[BootTimeline, ...]]:
    """All boots of each node, the latest last. `warn` is told what is odd about a file.

    Raises:
        BundleError: the bundle cannot be read.
    """
    found = replay_boots(directory, warn)
    bundle = read_bundle(directory)
    for file in bundle.files:
        if file.format != "nixos-anywhere":
            continue
        node = file.node or (bundle.nodes[0].name if len(bundle.nodes) == 1 else "")
        if not node:
            warn(f"{file.name}: says nothing of its node; give it one as `node` in bundle.yaml")
            continue
        boots = found.get(node) or (BootTimeline(node, 1, None, None, "running", ()),)
        found[node] = (*boots[:-1], _joined(boots[-1], _read(file), file.name))
    return found


def _read(file: BundleFile) -> _Installation:
    installation = _Installation()
    try:
        with file.path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                before = installation.progress.state
                state = installation.progress.feed(raw if raw.endswith(b"\n") else raw + b"\n")
                line = shown(raw.rstrip(b"\r\n"), _LONGEST)
                if state.stage is not None and (state.stage is not before.stage or state.text != before.text):
                    places = installation.places.setdefault(state.stage, [])
                    if len(places) < EVIDENCE_KEPT:
                        places.append(Evidence(file.name, number, line))
                if not is_noise(line):
                    installation.last.append((number, line))
    except OSError as error:
        raise BundleError(f"{file.name}: {error.strerror}") from error
    return installation


def _joined(boot: BootTimeline, installation: _Installation, name: str) -> BootTimeline:
    """A boot with the installation that was made in it."""
    state = installation.progress.state
    finding = None if state.done else _finding(installation, name)
    stages = [span for span in boot.stages if span.stage not in installation.places]
    for stage, places in installation.places.items():
        now = stage is state.stage and not state.done
        mark = "failed" if now and finding is not None else "running" if now else "done"
        stages.append(StageSpan(stage, None, None, mark, tuple(places), percent=state.percent if now else None))
    stages.sort(key=lambda span: _ORDER[span.stage])
    done = [stage for stage in installation.places if state.done or stage is not state.stage]
    reached = max((s for s in (boot.reached, *done) if s is not None), key=_ORDER.__getitem__, default=None)
    findings = (*boot.findings, finding) if finding is not None else boot.findings
    return msgspec.structs.replace(
        boot, reached=reached, outcome=_outcome(boot, state.done, finding), stages=tuple(stages), findings=findings
    )


def _outcome(boot: BootTimeline, done: bool, finding: Finding | None) -> str:
    if finding is not None or boot.outcome == "stopped":
        return "stopped"
    if done and boot.outcome == "installer-up":
        return "running"  # it restarts into what was installed
    return boot.outcome


def _finding(installation: _Installation, name: str) -> Finding | None:
    """Why it ended, None when it may still go on."""
    output = "\n".join(line for _, line in installation.last)
    failure = explain(1, output, installation.progress.state.stage)
    if _NO_CAUSE in failure.message and not _is_error(output.rpartition("\n")[2]):
        return None
    kind = FINDINGS.get(failure.id)
    numbers = {line: number for number, line in installation.last}
    places = tuple(f"{name}:{numbers[line]}: {line}" for line in failure.evidence if line in numbers)
    if kind is None or not places:
        return None
    return Finding(kind.id, Severity.ERROR, failure.message, kind.remedy, 0.0, places)


def _is_error(line: str) -> bool:
    return line.lstrip().lower().startswith(("error:", "fatal:", "aborted"))
