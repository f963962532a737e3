"""The lines around every view: standing of the cluster, trouble with the engine, the view's words, operations, keys."""

from __future__ import annotations

from rich.cells import cell_len
from textual.screen import Screen

from plasmatui.ui import bars
from plasmatui.ui.context import Context
from plasmatui.ui.jobs import JOBS_SHOWN, job_lines
from plasmatui.ui.lines import Line
from plasmatui.ui.screens.base import View


class Bars:
    """Each line draws only when it says something else. `screen` gets the classes that make room for them."""

    def __init__(self, screen: Screen[object]) -> None:
        self._screen = screen
        self._status = Line(id="status")
        self._banner = Line(id="banner")
        self._crumbs = Line(id="crumbs")
        self.above = (self._status, self._banner, self._crumbs)
        self.jobs = [Line(classes="job") for _ in range(JOBS_SHOWN)]
        self.keys = Line(id="keys")

    def say_status(self, context: Context, fresh: int) -> None:
        """The top line, and below it what is wrong with the engine. `fresh`: changes since the screen was frozen."""
        left, right = bars.status_parts(context, fresh, self._screen.size.width)
        self._status.say(left, right)
        why, keys = bars.banner_parts(context, self._screen.size.width)
        self._banner.set_class(bool(why), "on")
        self._screen.set_class(not context.store.link.online and bool(why), "stale")
        self._banner.say(why, keys)

    def say_all(self, context: Context, view: View, fresh: int) -> None:
        """Everything, for the view in sight."""
        self.say_status(context, fresh)
        self.say_jobs(context)
        width = self._screen.size.width
        crumbs = view.crumbs()
        room = width - sum(cell_len(text) for text, _ in crumbs)
        self._crumbs.say(crumbs, bars.view_parts(context, view.SCOPE, room))
        self.keys.say(bars.key_parts(context, view.footer, width))

    def say_jobs(self, context: Context) -> None:
        """The operations that run, the most urgent first."""
        lines = job_lines(context)
        for place, line in enumerate(self.jobs):
            line.set_class(place < len(lines), "on")
            line.say(*(lines[place] if place < len(lines) else ([], [])))
