"""Going on after a stop that nobody announced (SIGSTOP, a debugger, a shell's job control).

Textual prepares for SIGTSTP: it leaves the terminal first. When the process is continued without that, its handler
starts a second reader of the keyboard beside the first: they steal keys from each other, the screen cannot be left
until one more key comes, and the modes that it puts back at the end are the screen's own.
"""

from __future__ import annotations

import asyncio
import signal
from types import FrameType
from typing import Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver


def resume_after_stops(app: App[Any]) -> None:
    """From now on SIGCONT starts the terminal afresh, once, and draws everything again."""
    usual = signal.getsignal(signal.SIGCONT)
    loop = asyncio.get_running_loop()

    def continued(number: int, frame: FrameType | None) -> None:
        driver = app._driver
        if app._exit or not isinstance(driver, LinuxDriver) or not callable(usual):
            return
        if not driver._must_signal_resume:
            driver.suspend_application_mode()
        usual(number, frame)
        loop.call_soon_threadsafe(draw)

    def draw() -> None:
        app.screen.refresh(layout=True)

    signal.signal(signal.SIGCONT, continued)
