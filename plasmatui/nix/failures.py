"""Why a program of nix failed: from its exit code and the end of its output to a finding, in words for an operator."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from plasmatui.model.words import Stage
from plasmatui.nix.failrules import RULES, Rule
from plasmatui.nix.lines import is_noise, shown

LAST_LINES: Final = 400
EVIDENCE: Final = 6
"""Lines of evidence at most."""

_BY_STAGE: Final = {
    None: ("build-failed", "the build"),
    Stage.FACTS: ("install-failed", "looking at the node"),
    Stage.KEXEC: ("kexec-failed", "the switch to the installer"),
    Stage.DISKO: ("install-failed", "formatting the disks"),
    Stage.CLOSURE_COPY: ("install-copy-failed", "copying the system"),
    Stage.EXTRA_FILES: ("install-copy-failed", "copying the extra files"),
    Stage.BOOTLOADER: ("install-failed", "nixos-install"),
    Stage.REBOOT: ("install-failed", "the reboot"),
}


class Failure(msgspec.Struct, frozen=True):
    """What went wrong.

    Attributes:
        id: of a finding in the catalogue, which has the remedy.
        message: one line: what happened and why, without the node's name.
        evidence: the lines that show it, clean, the telling one first.
    """

    id: str
    message: str
    evidence: tuple[str, ...] = ()


def explain(code: int | None, output: bytes | str, stage: Stage | None = None) -> Failure:
    """Why a run failed.

    Args:
        code: exit code; None when it was ended because a limit had passed.
        output: the end of its output, both outputs merged; nix's internal-json as text (`BuildLog.tail`).
        stage: of an installation, where it was; None for work on this host.
    """
    lines = _lines(output)
    for rule in RULES:
        if rule.stages and stage not in rule.stages:
            continue
        for at in range(len(lines) - 1, -1, -1):
            found = rule.pattern.search(lines[at])
            if found is not None:
                return _failure(rule, found, lines, at, stage)
    finding, what = _BY_STAGE.get(stage, ("install-failed", f"the stage {stage}"))
    ended = "did not end in time" if code is None else f"ended with code {code}"
    line = _telling(lines)
    said = f": {line.strip()}" if line else " and said nothing"
    return Failure(finding, f"{what} {ended}{said}", (line,) if line else ())


def _lines(output: bytes | str) -> list[str]:
    data = output.encode("utf-8", "surrogatepass") if isinstance(output, str) else output
    cleaned = [shown(line, 500) for line in data.split(b"\n")[-LAST_LINES:]]
    return [line for line in cleaned if not is_noise(line)]


def _failure(rule: Rule, found: re.Match[str], lines: list[str], at: int, stage: Stage | None) -> Failure:
    groups = {name: value or "" for name, value in found.groupdict().items()}
    groups.setdefault("what", _BY_STAGE.get(stage, ("", "the work"))[1])
    after = lines[at + 1 : at + EVIDENCE]
    more: list[str] = []
    message = rule.message.format_map(groups)
    if rule.follow is not None:
        more = [line for line in after if rule.follow.search(line)]
        if more and rule.say_next:
            message += f": {more[0].strip().removeprefix('- ')}"
    return Failure(rule.id, message, (found.string, *more)[:EVIDENCE])


def _telling(lines: list[str]) -> str:
    """The line that a person would pick: the last error, else the last line."""
    errors = [line for line in lines if re.match(r"\s*(?:error|fatal|aborted|\S+: error):\s*\S", line, re.IGNORECASE)]
    return errors[-1] if errors else lines[-1] if lines else ""
