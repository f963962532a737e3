"""`plasmatui check`: every error of the inventory at its place, and the pre-deployment checklist."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plasmatui.cli.failure import DONE, USAGE, Failure
from plasmatui.cli.output import clean, print_json, result
from plasmatui.cli.settings import Settings

if TYPE_CHECKING:
    from plasmatui.inventory.inventory import Diagnostic, Inventory
    from plasmatui.inventory.report import CheckReport, CheckResult


class WrongInventoryError(Failure):
    """The inventory cannot be used; `diagnostics` has every error and warning in the file's order."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        lines = "\n".join(clean(str(diagnostic)) for diagnostic in diagnostics)
        super().__init__(USAGE, f"the inventory is wrong:\n{lines}", "correct it; `plasmatui check` reads it again")
        self.diagnostics = diagnostics


@click.command()
@click.option("--online", is_flag=True, help="Ask machines, servers and services; changes none of them.")
@click.option("--only", metavar="NAME", multiple=True, help="Only this check of --online; may be given several times.")
@click.option("--dhcp-probe", metavar="IFACE", help="With --online: ask which DHCP servers answer there; needs root.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def check(settings: Settings, online: bool, only: tuple[str, ...], dhcp_probe: str | None, as_json: bool) -> int:
    """Check the inventory and print the checklist.

    Every error is named with its place. Asks no machine without --online.
    """
    if online:
        from plasmatui.cli.online import check_online

        return check_online(settings, only, dhcp_probe, as_json)
    if only or dhcp_probe is not None:
        raise click.UsageError("--only and --dhcp-probe belong to --online")
    from plasmatui.inventory.report import check as check_file
    from plasmatui.pxe.lint import RENDERABLE

    report = check_file(settings.inventory_path(), (RENDERABLE,))
    if as_json:
        print_json(_json(report))
    else:
        result("\n".join(_lines(report)))
    return DONE if report.ok else USAGE


def refuse_wrong_inventory(path: Path) -> None:
    """Make sure that the inventory at `path` can be used.

    Raises:
        WrongInventoryError: it is wrong; the message holds every error at its place.
    """
    from plasmatui.inventory.inventory import InventoryError
    from plasmatui.inventory.loader import load

    try:
        load(path)
    except InventoryError as error:
        raise WrongInventoryError(error.diagnostics) from None


def load_inventory(settings: Settings) -> Inventory:
    """The inventory.

    Raises:
        Failure: as `refuse_wrong_inventory`.
    """
    from plasmatui.inventory.loader import load

    path = settings.inventory_path()
    refuse_wrong_inventory(path)
    return load(path)


def _lines(report: CheckReport) -> list[str]:
    lines = [clean(str(diagnostic)) for diagnostic in (*report.errors, *report.warnings)]
    if lines:
        lines.append("")
    lines += [f"[{_mark(item)}] {clean(item.message)}" for item in report.results]
    verdict = "can be used" if report.ok else "cannot be used"
    counts = {"errors": len(report.errors), "warnings": len(report.warnings), **report.counts}
    counted = ", ".join(f"{what} {count}" for what, count in counts.items())
    lines += ["", f"{clean(str(report.path))} {verdict}: {counted}"]
    return lines


def _mark(item: CheckResult) -> str:
    if item.ok is None:
        return "-"
    return "ok" if item.ok else "!!" if item.severity == "error" else "? "


def _json(report: CheckReport) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "path": str(report.path),
        "counts": report.counts,
        "results": [
            {"id": item.id, "ok": item.ok, "severity": item.severity or None, "message": item.message}
            for item in report.results
        ],
        "errors": _diagnostics(report.errors),
        "warnings": _diagnostics(report.warnings),
    }


def _diagnostics(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    return [
        {"file": d.place.file, "line": d.place.line, "column": d.place.column, "message": d.message}
        for d in diagnostics
    ]
