"""`plasmatui` without a command: the screen, or what stands in its way."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.cli.check import WrongInventoryError, refuse_wrong_inventory
from plasmatui.cli.failure import USAGE, Failure
from plasmatui.cli.settings import SIM_NODES, NoInventoryError, Settings, found_everywhere

if TYPE_CHECKING:
    from plasmatui.inventory.inventory import Diagnostic
    from plasmatui.ui.options import Connect, Engine
    from plasmatui.ui.welcome import Trouble

_SECRET = re.compile(r"passw|token|secret|passphrase", re.I)


def open_screen(settings: Settings) -> int:
    """Open the screen; returns its exit code. What is missing for it is shown on a screen as well, where something can
    be done about it by keys.

    Raises:
        Failure: this is no terminal; or there is no usable inventory, and the operator left it at that.
    """
    from plasmatui.paths import engine_paths
    from plasmatui.ui.options import TuiOptions
    from plasmatui.ui.start import NoTerminalError, check_terminal, only_ascii, start

    try:
        check_terminal()
    except NoTerminalError as error:
        raise Failure(USAGE, str(error)) from error
    settings, path = _usable(settings)
    return start(
        TuiOptions(
            path,
            read_only=settings.read_only,
            theme=settings.theme or "",
            ascii=settings.ascii or only_ascii(os.environ),
            mouse=settings.mouse,
            connect=_connector(path, settings) if settings.sim is not None else None,
            command=_command(path, settings),
            keep=engine_paths(path).screen,
        )
    )


def _usable(settings: Settings) -> tuple[Settings, Path]:
    """An inventory that can be used, and the settings that mean it, which the operator may have chosen anew."""
    while True:
        try:
            path = settings.inventory_path()
            _check_before_start(path)
        except (NoInventoryError, WrongInventoryError) as failure:
            settings = _instead(settings, failure)
        else:
            return settings, path


def _instead(settings: Settings, failure: NoInventoryError | WrongInventoryError) -> Settings:
    """Show what is wrong, and give back the settings to try next.

    Raises:
        NoInventoryError, WrongInventoryError: the operator leaves; it is said once more where it stays to be read.
    """
    from plasmatui.ui.start import prepare_environment

    prepare_environment()
    from plasmatui.ui.welcome import Wish, welcome

    wish = welcome(_trouble(failure), theme=settings.theme or "", ascii_only=settings.ascii, mouse=settings.mouse)
    if wish is Wish.LEAVE:
        raise failure
    return dataclasses.replace(settings, inventory=None, sim=SIM_NODES) if wish is Wish.SIM else settings


def _trouble(failure: NoInventoryError | WrongInventoryError) -> Trouble:
    from plasmatui.ui.welcome import Trouble

    if isinstance(failure, NoInventoryError):
        first, *rest = failure.message.splitlines()
        return Trouble("There is no rack to show yet", (first, *rest), failure.starter)
    errors = [each for each in failure.diagnostics if each.severity == "error"]
    count = "an error" if len(errors) == 1 else f"{len(errors)} errors"
    lines = [line for diagnostic in failure.diagnostics for line in (*_excerpt(diagnostic), "")]
    return Trouble(f"There is no rack to show: the inventory has {count}", tuple(lines[:-1]))


def _excerpt(diagnostic: Diagnostic) -> list[str]:
    """A mistake with its place, and below it the line of the file with a mark; not where a secret may stand."""
    place = diagnostic.place
    lines = [str(diagnostic)]
    if _SECRET.search(diagnostic.message):
        return lines
    try:
        with open(place.file, encoding="utf-8") as file:
            text = next((line for number, line in enumerate(file, 1) if number == place.line), "").rstrip("\n")
    except (OSError, UnicodeDecodeError):
        return lines
    if text and not _SECRET.search(text) and len(text) < 200:
        lines += [f"{place.line:>6} | {text}", f"{'':>6} | {' ' * (place.column - 1)}^"]
    return lines


def _command(path: Path, settings: Settings) -> tuple[str, ...]:
    """How a command for this rack begins, wherever it is typed."""
    if settings.sim is not None:
        return ("plasmatui", "--sim", str(settings.sim))
    return ("plasmatui",) if path in found_everywhere() else ("plasmatui", "-i", str(path))


def _check_before_start(path: Path) -> None:
    """A wrong inventory is said here, before the screen is drawn. An engine that runs has a good one already."""
    from plasmatui.paths import engine_paths

    paths = engine_paths(path)
    if not paths.socket.exists() and not paths.shared.exists():
        refuse_wrong_inventory(path)


def _connector(path: Path, settings: Settings) -> Connect:
    """The way to a simulated rack's engine, which leaves when nobody is attached."""
    from plasmatui.client import connect as connect_only
    from plasmatui.client import connect_or_start
    from plasmatui.paths import engine_paths

    async def connect(start: bool) -> Engine:
        if start:
            return await connect_or_start(path, kind="tui", read_only=settings.read_only, idle=settings.engine_idle)
        return await connect_only(engine_paths(path), kind="tui", read_only=settings.read_only)

    return connect
