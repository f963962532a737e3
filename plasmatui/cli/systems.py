"""What `plasmatui health` says of nodes' systems, certificates and clocks, and of the raft groups' replication."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from plasmatui.cli.output import clean, table
from plasmatui.cli.sets import fold
from plasmatui.model.health import NodeServices, NodeSystem, Replication
from plasmatui.model.node import NodeState

NODE_FINDINGS = ("certificate-ends-soon", "clock-skew", "generation-drift")
"""What is not well of a node although its services are."""


def node_troubles(state: NodeState) -> list[tuple[str, str]]:
    """What is not well beside the services, as (node, line)."""
    return [
        (state.name, f"{finding.id}: {clean('; '.join(finding.evidence))} -> {finding.remedy}")
        for finding in state.findings
        if finding.id in NODE_FINDINGS
    ]


def node_json(services: NodeServices | None, system: NodeSystem | None) -> dict[str, Any]:
    """Certificates, clock and system of a node; null for what is not known."""
    return {
        "certificates_end": services.ends or None if services is not None else None,
        "clock_skew": services.skew if services is not None else None,
        "system": msgspec.to_builtins(system) if system is not None else None,
    }


def systems_text(names: Iterable[str], systems: Mapping[str, NodeSystem]) -> str:
    """A table of the nodes' systems; nodes that are alike share a row."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        if name in systems:
            alike.setdefault(_row(systems[name]), []).append(name)
    if not alike:
        return "no node of the set has a system that could be asked: none is on and known to be installed"
    header = ("NODES", "RUNS", "BOOTS NEXT", "DECLARED", "FIRST BOOT", "FAILED UNITS", "")
    return table(header, [(fold(nodes), *cells) for cells, nodes in alike.items()])


def _row(system: NodeSystem) -> tuple[str, ...]:
    if system.problem:
        return "unknown", "unknown", "unknown", "unknown", "unknown", clean(system.problem)
    joins = ", ".join(f"{each.group} {each.state}" for each in system.joins)
    declared = system.declared if system.differs else "the same" if system.declared else "-"
    note = clean(system.undeclared) or system.drift or ("a reboot is needed" if system.reboot_needed else "")
    same = system.active == system.next
    runs = system.active.partition(" ")[0] if same else system.active
    return (
        runs or "-",
        "the same" if same else system.next,
        declared,
        joins or "-",
        ", ".join(system.failed) or "-",
        note,
    )


def replication_text(groups: Sequence[Replication]) -> str:
    """What came of the check, one line for each group and member."""
    if not groups:
        return "no profile of the inventory runs a raft group: there is nothing to write into"
    lines = []
    for group in groups:
        if group.problem:
            lines.append(f"{group.group}: nothing was checked: {clean(group.problem)}")
            continue
        lines.append(f"{group.group}: {group.key} written at {group.writer}")
        lines += [
            f"  {each.node}: has it after {each.seconds:.1f} s" if each.ok else f"  {each.node}: {clean(each.problem)}"
            for each in group.replicas
        ]
        if not group.replicas:
            lines.append("  there is no other member to read it at")
    return "\n".join(lines)


def replication_json(groups: Sequence[Replication]) -> dict[str, Any]:
    return {group.group: {"ok": group.ok, **msgspec.to_builtins(group), "at": time.time()} for group in groups}
