"""`plasmatui render`: configuration of the PXE side from the inventory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plasmatui.cli.failure import DONE, FAILED, USAGE, Failure
from plasmatui.cli.output import clean, note, print_json, result
from plasmatui.cli.settings import Settings

if TYPE_CHECKING:
    from plasmatui.inventory.inventory import Diagnostic, Inventory
    from plasmatui.pxe.checkers import Checked
    from plasmatui.pxe.files import Written
    from plasmatui.pxe.netboot import Netboot
    from plasmatui.pxe.output import File
    from plasmatui.pxe.site import Site


@click.command()
@click.option("--engine", metavar="NAME", help="DHCP server instead of the inventory's pxe.dhcp.")
@click.option("--only", metavar="NAME", multiple=True, help="Only this output; may be given several times.")
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help="Images: PROFILE/netboot.ipxe in it.")
@click.option("--pending", metavar="SET", help="Nodes whose installation is pending: they boot it without a menu.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Where to write the files.")
@click.option("--check", "with_check", is_flag=True, help="Ask the servers' own checkers, where they are installed.")
@click.option("--diff", type=click.Path(path_type=Path), metavar="DIR", help="Show how deployed files differ.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def render(
    settings: Settings,
    engine: str | None,
    only: tuple[str, ...],
    images: Path | None,
    pending: str | None,
    output: Path | None,
    with_check: bool,
    diff: Path | None,
    as_json: bool,
) -> int:
    """Render the PXE side from the inventory.

    DHCP, TFTP, HTTP, boot script, DNS, firewall and NixOS configurations. Asks no machine and changes no server.
    """
    if output is None and diff is None:
        raise Failure(USAGE, "nothing to do: neither -o nor --diff is given", "plasmatui render -o DIR")
    path = settings.inventory_path()
    inventory, site, warnings = _load(path, engine)
    files = _render(inventory, site, only, images, pending)
    written = _write(files, output, only) if output is not None else None
    checked = _check(files) if with_check else ()
    lines = _diff(files, diff) if diff is not None else ()
    if as_json:
        print_json(_json(output, files, written, warnings, checked, lines if diff is not None else None))
    else:
        _print(output, written, warnings, checked, lines)
    return FAILED if lines or any(each.ok is False for each in checked) else DONE


def _load(path: Path, engine: str | None) -> tuple[Inventory, Site, tuple[Diagnostic, ...]]:
    """The inventory and its site, with every error at once."""
    from plasmatui.inventory.inventory import InventoryError
    from plasmatui.inventory.loader import DHCP_SERVERS
    from plasmatui.pxe.rendering import prepare

    if engine is not None and engine not in DHCP_SERVERS:
        raise Failure(USAGE, f"--engine: found {engine!r}, expected one of: {', '.join(DHCP_SERVERS)}")
    try:
        prepared = prepare(path, engine or "")
    except InventoryError as error:
        raise _wrong(error.diagnostics) from None
    return prepared.inventory, prepared.site, prepared.warnings


def _wrong(diagnostics: tuple[Diagnostic, ...]) -> Failure:
    lines = "\n".join(clean(str(diagnostic)) for diagnostic in diagnostics)
    return Failure(USAGE, f"nothing was rendered, the inventory is wrong:\n{lines}", "correct it and render again")


def _render(
    inventory: Inventory, site: Site, only: tuple[str, ...], images: Path | None, pending: str | None
) -> tuple[File, ...]:
    from plasmatui.cli.sets import pick
    from plasmatui.pxe.output import OUTPUTS, Request
    from plasmatui.pxe.output import render as render_files
    from plasmatui.pxe.quoting import RefusedError

    unknown = [name for name in only if name not in OUTPUTS]
    if unknown:
        raise Failure(USAGE, f"--only: found {unknown[0]!r}, expected one of: {', '.join(OUTPUTS)}")
    waiting = frozenset(pick(pending, tuple(inventory.nodes.values()))) if pending else frozenset()
    request = Request(inventory, site, _images(images, site) if images is not None else {}, waiting)
    try:
        return render_files(request, only)
    except RefusedError as error:
        raise Failure(USAGE, f"nothing was rendered: {error}", "change that text in the inventory") from None


def _images(directory: Path, site: Site) -> dict[str, Netboot]:
    """What the builds' own scripts say, for the profiles that have one there."""
    from plasmatui.pxe.rendering import ImagesError, images_in

    try:
        found = images_in(directory, site)
    except ImagesError as error:
        raise Failure(USAGE, str(error), "build the image again, or leave it out") from None
    if not found:
        raise Failure(USAGE, f"{directory} has no PROFILE/netboot.ipxe", f"profiles: {', '.join(site.profiles)}")
    return found


def _write(files: tuple[File, ...], output: Path, only: tuple[str, ...]) -> Written:
    from plasmatui.pxe.files import WriteError, write

    try:
        return write(files, output, only)
    except WriteError as error:
        raise Failure(FAILED, f"nothing was written: {error}") from None


def _check(files: tuple[File, ...]) -> tuple[Checked, ...]:
    from plasmatui.pxe.checkers import check

    return check(files)


def _diff(files: tuple[File, ...], deployed: Path) -> tuple[str, ...]:
    from plasmatui.pxe.drift import drift

    if not deployed.is_dir():
        raise Failure(USAGE, f"--diff: {deployed} is no directory", "name the directory that holds deployed files")
    try:
        return drift(files, deployed)
    except OSError as error:
        raise Failure(
            FAILED, f"{error.filename} cannot be read: {error.strerror}", "run it as a user who may"
        ) from None


def _print(
    output: Path | None,
    written: Written | None,
    warnings: tuple[Diagnostic, ...],
    checked: tuple[Checked, ...],
    lines: tuple[str, ...],
) -> None:
    for diagnostic in warnings:
        note(clean(str(diagnostic)))
    if written is not None:
        for mark, paths in (("wrote", written.changed), ("same ", written.unchanged), ("removed", written.removed)):
            for path in paths:
                result(clean(f"{mark} {output}/{path}"))
    for line in lines:
        result(line)
    for each in checked:
        verdict = "not checked" if each.ok is None else "ok" if each.ok else "wrong"
        note(clean(f"{each.program} {each.file}: {verdict}{': ' + each.message if each.ok is None else ''}"))
        if each.ok is False:
            note(each.message)


def _json(
    output: Path | None,
    files: tuple[File, ...],
    written: Written | None,
    warnings: tuple[Diagnostic, ...],
    checked: tuple[Checked, ...],
    lines: tuple[str, ...] | None,
) -> dict[str, Any]:
    changed = set(written.changed) if written is not None else set()
    return {
        "directory": None if output is None else str(output),
        "files": [
            {"output": file.name, "path": file.relative, "changed": file.relative in changed if written else None}
            for file in files
        ],
        "removed": list(written.removed) if written is not None else [],
        "warnings": [
            {"line": each.place.line, "column": each.place.column, "message": each.message} for each in warnings
        ],
        "checks": [
            {"program": each.program, "file": each.file, "ok": each.ok, "message": each.message} for each in checked
        ],
        "diff": None if lines is None else list(lines),
    }
