"""When a frame may go: a terminal and a link of arithmetic, no real time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from plasmatui.ui.pacing import LONGEST_LIMIT, SHORTEST_LIMIT, Pacer


class Link:
    """A terminal behind a link: a frame occupies it for `service` seconds, an answer needs `delay` more."""

    def __init__(self, service: float, delay: float, lose: frozenset[int] = frozenset(), starting: bool = True) -> None:
        self.now = 0.0
        self.pacer = Pacer(lambda: self.now)
        self.service, self.delay, self.lose = service, delay, lose
        self.free = 0.0
        self.answers: list[float] = []
        self.frames: list[float] = []
        self.behind: list[float] = []
        if starting:
            self.pacer.answered()  # Textual's own question

    def run(self, seconds: float, answers: bool = True) -> None:
        """A program that wants to draw every 10 ms."""
        end = self.now + seconds
        while self.now < end:
            while self.answers and self.answers[0] <= self.now:
                self.answers.pop(0)
                self.pacer.answered()
            if self.pacer.wait() == 0:
                self.free = max(self.free, self.now) + self.service
                self.behind.append(self.free - self.now)
                if self.pacer.asks:
                    if answers and len(self.frames) not in self.lose:
                        self.answers.append(self.free + self.delay)
                    self.pacer.sent()
                self.frames.append(self.now)
            self.now = round(self.now + 0.01, 6)

    def gaps(self) -> list[float]:
        return [b - a for a, b in pairwise(self.frames)]


def test_a_quick_terminal_is_never_waited_for() -> None:
    link = Link(service=0.001, delay=0.001)
    link.run(5)
    assert max(link.gaps()) == pytest.approx(0.01)


def test_a_long_but_wide_link_keeps_several_frames_on_their_way() -> None:
    link = Link(service=0.002, delay=0.06)
    link.run(5)
    assert len(link.frames) > 5 / 0.06 * 2


@pytest.mark.parametrize("service", [0.05, 0.08, 0.2, 0.4, 0.8])
def test_a_slow_link_never_falls_behind(service: float) -> None:
    link = Link(service=service, delay=0.06)
    link.run(60)
    assert max(link.behind[10:]) <= 2.5 * service + 0.1
    assert len(link.frames) >= 60 / (service + 0.08) * 0.8


def test_a_link_that_becomes_slow_is_noticed() -> None:
    link = Link(service=0.001, delay=0.03)
    link.run(5)
    link.service = 0.3
    count = len(link.frames)
    link.run(60)
    assert max(link.behind[count:]) <= 8 * 0.3
    assert max(link.behind[-20:]) <= 3 * 0.3


@pytest.mark.parametrize("lost", [{50}, {50, 51}, {50, 60, 70, 80}, set(range(50, 1000, 25))])
@pytest.mark.parametrize(("service", "delay"), [(0.001, 0.001), (0.002, 0.06), (0.05, 0.06)])
def test_a_lost_answer_costs_little_and_is_forgotten(lost: set[int], service: float, delay: float) -> None:
    link = Link(service, delay, frozenset(lost))
    link.run(60)
    assert max(link.gaps()) <= max(2 * SHORTEST_LIMIT, 8 * (service + delay)) + 0.1
    later = Link(service, delay, frozenset({50}))
    later.run(30)
    count = len(later.frames)
    later.run(30)
    assert max(later.gaps()[count:]) <= 0.02 + 4 * service + delay


def test_a_terminal_that_never_answers_is_never_waited_for() -> None:
    link = Link(service=0.001, delay=0.0, starting=False)
    link.run(5, answers=False)
    assert max(link.gaps()) == pytest.approx(0.01)
    assert not link.pacer.asks


def test_a_terminal_that_stops_answering_is_given_up() -> None:
    link = Link(service=0.001, delay=0.01)
    link.run(1)
    link.run(20, answers=False)
    assert max(link.gaps()) <= LONGEST_LIMIT + 0.05
    count = len(link.frames)
    link.run(1, answers=False)
    assert len(link.frames) - count >= 99
