"""Output paced by the terminal instead of the clock.

On a link slower than the screen changes, frames pile up in every buffer on the way, and a key press waits behind
seconds of stale ones. So each frame ends with a question that a terminal answers in order (DECRQM of mode 2026, which
Textual asks at start as well), and the next frame waits while answers are late. What changes meanwhile is merged into
one frame.

Answers look alike, so a lost one can only be told from a late one by what follows. A wait therefore has a limit that
starts at a quarter of a second; see `Pacer`. A terminal that has never answered is never waited for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from rich.console import RenderableType
from textual.app import App, ReturnType
from textual.screen import Screen, ScreenResultType
from textual.timer import Timer

QUERY: Final = "\x1b[?2026$p"

SHORTEST_LIMIT: Final = 0.25  # seconds that a frame waits for a lost answer on a good link
LONGEST_LIMIT: Final = 2.0
_FIRST_LIMIT: Final = 1.0  # before it is known how long answers take
_WINDOW: Final = 4  # frames on their way while answers are prompt
_LATE: Final = 1.5  # an answer is late past this multiple of the quickest one ...
_SLACK: Final = 0.03  # ... and this many seconds
_NEVER_PROMPT: Final = 0.2  # seconds
_RECENT: Final = 4  # answers that the limit is taken from
_GIVE_UP: Final = 6  # frames or limits in a row without any answer


class Pacer:
    """Decides whether a frame may be sent: pure bookkeeping, with the clock given.

    While answers are prompt, several frames may be on their way; once they are late, one. A frame without an answer is
    given up after a limit of twice what recent answers took. If that was wrong, its answer is taken for the next
    frame's and one frame too many stays on its way; so after the next answer there is a pause in which surplus answers
    come in, and the limit is doubled for a while.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: deque[float] = deque()  # when the frames without an answer were sent
        self._took: deque[float] = deque(maxlen=_RECENT)
        self._answers = False
        self._silence = 0
        self._quickest = LONGEST_LIMIT
        self._limit = _FIRST_LIMIT
        self._settling = False
        self._answered = 0.0  # when the last answer came
        self._doubted = 0  # answers that may not shorten the limit
        self._deadline = 0.0

    @property
    def asks(self) -> bool:
        """Whether to put a question behind the next frame: not to a terminal that never answers."""
        return self._answers or self._silence < _GIVE_UP

    def sent(self) -> None:
        """A frame with a question was sent."""
        now = self._clock()
        if not self._sent:
            self._deadline = now + self._limit
        self._sent.append(now)
        if not self._answers:
            self._silence += 1

    def answered(self) -> None:
        """An answer came."""
        now = self._answered = self._clock()
        self._silence = 0
        if not self._answers:  # the first is for the question that Textual asked before the first frame
            self._answers = True
        elif self._sent:
            took = now - self._sent.popleft()
            self._took.append(took)
            self._quickest = min(self._quickest, took)
            if self._doubted:
                self._doubted -= 1
            else:
                self._limit = _between(2 * max(self._took))
            self._deadline = now + self._limit

    def wait(self) -> float:
        """Seconds to hold the next frame at most; 0 when it may go now. An answer may allow it earlier."""
        now = self._clock()
        if not self._answers:
            return 0.0
        if not self._sent:
            rest = self._answered + 2 * max(self._took, default=0.0) - now if self._settling else 0.0
            self._settling = rest > 0
            return max(0.0, rest)
        if now >= self._deadline:
            self._give_up()
            return 0.0
        prompt = min(self._quickest * _LATE + _SLACK, _NEVER_PROMPT)
        if self._took and len(self._sent) < _WINDOW and max(self._took[-1], now - self._sent[0]) <= prompt:
            return 0.0
        return self._deadline - now

    def _give_up(self) -> None:
        """No answer in time."""
        self._sent.clear()
        self._limit = _between(2 * self._limit)
        self._doubted = _RECENT
        self._settling = True
        self._silence += 1
        if self._silence >= _GIVE_UP:
            self._answers = False


def _between(limit: float) -> float:
    return min(max(limit, SHORTEST_LIMIT), LONGEST_LIMIT)


class PacedApp(App[ReturnType]):
    """An app that asks the terminal after each frame; its screens must be `PacedScreen`s."""

    _pacer: Pacer | None = None

    @property
    def pacer(self) -> Pacer:
        """The bookkeeping of frames and answers."""
        if self._pacer is None:
            self._pacer = Pacer()
        return self._pacer

    def get_default_screen(self) -> Screen[object]:
        """The screen below all others is paced as well."""
        return PacedScreen(id="_default")

    def on_terminal_supports_synchronized_output(self) -> None:
        """The terminal answered."""
        self.pacer.answered()
        if self.screen_stack and isinstance(self.screen, PacedScreen):
            self.screen.release()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, renderable)
        driver = self._driver
        if renderable is None or driver is None or self._batch_count or self.is_headless or driver.is_inline:
            return
        if self._running and not self._closed and self.pacer.asks:
            driver.write(QUERY)
            self.pacer.sent()


class PacedScreen(Screen[ScreenResultType]):
    """A screen that draws its next frame when the terminal has taken the one before.

    For a dialog: `class Confirm(PacedScreen[bool], ModalScreen[bool])`.
    """

    _held: Timer | None = None

    def _on_timer_update(self) -> None:
        app = self.app
        wait = app.pacer.wait() if isinstance(app, PacedApp) else 0.0
        if wait <= 0:
            self.release()
            if self._repaint_required:
                self._forget_regions()
            super()._on_timer_update()
            return
        self._update_timer.pause()
        if self._held is None:
            self._held = self.set_timer(wait, self.release, name="pacing-limit")

    def _forget_regions(self) -> None:
        """All is about to be drawn. Textual would keep what its widgets wanted drawn, and draw it again with the next
        change of each: a whole grid for one cell."""
        for widget in self._dirty_widgets:
            widget._exchange_repaint_regions()

    def release(self) -> None:
        """Look again whether a frame may be sent."""
        if self._held is not None:
            self._held.stop()
            self._held = None
            self._update_timer.resume()
