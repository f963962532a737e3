"""What `plasmatui check` prints: every check with its result, and all that was found. Asks no machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plasmatui.inventory.checks import CHECKS, CLUSTER_ACCESS, CREDENTIALS, Check
from plasmatui.inventory.fields import Problems
from plasmatui.inventory.inventory import Diagnostic, Inventory, InventoryError
from plasmatui.inventory.loader import read, read_text
from plasmatui.inventory.ranges import fold
from plasmatui.inventory.readiness import OPERATIONS


@dataclass(frozen=True)
class CheckResult:
    """One line of the checklist.

    Attributes:
        id: stable, for scripts.
        ok: True: nothing found; False: something found; None: not looked at, because the file could not be read.
        severity: "error" or "warning" when not ok, else "".
        message: one sentence for people.
    """

    id: str
    ok: bool | None
    severity: str
    message: str


@dataclass(frozen=True)
class CheckReport:
    """All that can be said of an inventory without asking a machine. `inventory` is None when it cannot be used.

    `counts`: nodes, voters, nodes with a BMC, with a MAC address, and networks.
    """

    path: Path
    inventory: Inventory | None
    errors: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]
    results: tuple[CheckResult, ...]
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the inventory can be used; there may be warnings."""
        return not self.errors


def check(path: Path, others: Sequence[Check] = ()) -> CheckReport:
    """Read an inventory and check everything that can be checked without the network. Raises nothing.

    The BMCs' passwords are looked at (variables, files), commands for them are not run.

    Args:
        others: checks of rooms that this one does not know, done last.
    """
    try:
        text = read_text(path)
    except InventoryError as error:
        return CheckReport(path, None, error.diagnostics, (), _unread("the file can be read"))
    reading = read(path, text)
    inventory, problems = reading.inventory, reading.problems
    file_ok = "the file is YAML that can be read"
    if not reading.complete:
        return CheckReport(path, None, problems.diagnostics("error"), problems.diagnostics("warning"), _unread(file_ok))
    results = [
        CheckResult("file", True, "", file_ok),
        _result("values", "every key is known and every value is understood", problems),
    ]
    found = [*problems.diagnostics()]
    for each in (*CHECKS, CREDENTIALS, CLUSTER_ACCESS, *([OPERATIONS] if inventory.flake else []), *others):
        own = Problems(problems.file)
        each.run(inventory, reading.places, own)
        results.append(_result(each.id, each.title, own))
        found += own.diagnostics()
    results.append(_documented(inventory))
    found = sorted(set(found), key=lambda d: (d.place.line, d.place.column, d.severity, d.message))
    errors = tuple(d for d in found if d.severity == "error")
    nodes = inventory.nodes.values()
    return CheckReport(
        path=path,
        inventory=None if errors else inventory,
        errors=errors,
        warnings=tuple(d for d in found if d.severity == "warning"),
        results=tuple(results),
        counts={
            "nodes": len(nodes),
            "voters": sum(node.voter for node in nodes),
            "bmcs": len(inventory.bmcs),
            "macs": sum(bool(node.macs) for node in nodes),
            "networks": len(inventory.networks),
        },
    )


def _unread(title: str) -> tuple[CheckResult, ...]:
    rest = (("values", "every key is known and every value is understood"), *((c.id, c.title) for c in CHECKS))
    return (
        CheckResult("file", False, "error", f"{title}: it cannot"),
        *(CheckResult(id_, None, "", f"{text}: not looked at") for id_, text in rest),
    )


def _result(id_: str, title: str, problems: Problems) -> CheckResult:
    errors, warnings = len(problems.diagnostics("error")), len(problems.diagnostics("warning"))
    if not errors and not warnings:
        return CheckResult(id_, True, "", title)
    counted = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return CheckResult(id_, False, "error" if errors else "warning", f"{title}: {' and '.join(counted)}")


def _documented(inventory: Inventory) -> CheckResult:
    """Runbook 4.1 and 4.4: MAC addresses, BMCs and roles are recorded. What is missing is said, it is no fault."""
    missing = []
    for what, names in (
        ("a BMC", [n for n in inventory.nodes if n not in inventory.bmcs]),
        ("a MAC address", [n for n, node in inventory.nodes.items() if not node.macs]),
        ("a profile", [n for n, node in inventory.nodes.items() if not node.profile]),
        ("disks", [n for n, node in inventory.nodes.items() if not node.disks]),
    ):
        if names:
            missing.append(f"{fold(names)} without {what}")
    title = "BMC, MAC address, profile and disks of every node are recorded"
    return CheckResult("recorded", True, "", f"{title}, except: {'; '.join(missing)}" if missing else title)
