"""`plasmatui` without a command: the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.cli.failure import USAGE, Failure
from plasmatui.cli.settings import Settings

if TYPE_CHECKING:
    from plasmatui.ui.options import Connect, Engine


def open_screen(settings: Settings) -> int:
    """Open the screen; returns its exit code.

    Raises:
        Failure: this is no terminal, or there is no usable inventory.
    """
    from plasmatui.ui.options import TuiOptions
    from plasmatui.ui.start import NoTerminalError, check_terminal, start

    try:
        check_terminal()
        path = settings.inventory_path()
        _check_before_start(path)
        return start(
            TuiOptions(
                path,
                read_only=settings.read_only,
                theme=settings.theme or "",
                ascii=settings.ascii,
                mouse=settings.mouse,
                connect=_connector(path, settings) if settings.sim is not None else None,
            )
        )
    except NoTerminalError as error:
        raise Failure(USAGE, str(error)) from error


def _check_before_start(path: Path) -> None:
    """A wrong inventory is said here, before the screen is drawn. An engine that runs has a good one already."""
    from plasmatui.cli.check import refuse_wrong_inventory
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
