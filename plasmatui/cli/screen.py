"""`plasmatui` without a command: the screen."""

from __future__ import annotations

from plasmatui.cli.failure import USAGE, Failure
from plasmatui.cli.settings import Settings


def open_screen(settings: Settings) -> int:
    """Open the screen; returns its exit code.

    Raises:
        Failure: this is no terminal, or there is no usable inventory.
    """
    from plasmatui.ui.options import TuiOptions
    from plasmatui.ui.start import NoTerminalError, check_terminal, start

    try:
        check_terminal()
        return start(
            TuiOptions(
                settings.inventory_path(),
                read_only=settings.read_only,
                theme=settings.theme or "",
                ascii=settings.ascii,
                mouse=settings.mouse,
            )
        )
    except NoTerminalError as error:
        raise Failure(USAGE, str(error)) from error
