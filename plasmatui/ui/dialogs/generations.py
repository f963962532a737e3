"""The generations of nodes' systems, asked of the nodes, to pick one of."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widget import Widget

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.system import Generation
from plasmatui.ui.dialogs.lists import KeyDialog
from plasmatui.ui.lines import Line, Part, TextLine, text_line

BEFORE = "0"
"""Key of the line that stands for the generation before the current one of each node."""


class GenerationsDialog(KeyDialog):
    """Gives back the number of the generation that was picked as text; "0" is the one before the current."""

    def __init__(self, targets: tuple[str, ...]) -> None:
        names = targets[0] if len(targets) == 1 else f"{len(targets)} nodes"
        super().__init__(f"Roll back {names}: pick a generation   enter picks, esc cancels")
        self.targets = targets
        self.found: dict[str, tuple[Generation, ...]] = {}
        self.problems: dict[str, str] = {}
        self._said = Line(id="said")

    def contents(self) -> Sequence[Widget]:
        return (self._said, self.pane)

    def on_mount(self) -> None:
        self.pane.focus()
        self.run_worker(self._ask(), name="generations")  # ends with the dialog
        self._show()

    async def _ask(self) -> None:
        try:
            async for answer in self.context.link.stream(wire.Query("generations", self.targets)):
                if answer.problem is not None:
                    self.problems[answer.node] = answer.problem.message
                else:
                    self.found[answer.node] = answer.generations or ()
                self._show()
        except EngineError as error:
            self.problems |= {name: error.problem.message for name in self.targets if name not in self.found}
        except EngineUnreachableError as error:
            self.problems |= {name: str(error) for name in self.targets if name not in self.found}
        self._show()

    def _show(self) -> None:
        heard = len(self.found) + len(self.problems)
        if heard < len(self.targets):
            self._said.say([(f"asking over SSH: {heard} of {len(self.targets)} nodes answered", "role-busy")])
        else:
            self._said.say([("nothing is done yet: the next question shows the plan", "role-muted")])
        self.pane.set_lines(self.lines())
        if not self.pane.cursor:
            self.pane.choose(BEFORE)

    def lines(self) -> list[TextLine]:
        head = f"   {'NUMBER':<8}{'DATE':<18}{'VERSION':<24}{'KERNEL':<12}{'REVISION':<14}"
        lines = [
            text_line((" the generation before the current one, on each node", "bold"), key=BEFORE),
            text_line((head, "role-muted")),
        ]
        numbers = sorted({each.number for found in self.found.values() for each in found}, reverse=True)
        lines += [self._line(number) for number in numbers]
        glyph = self.context.glyphs
        lines += [text_line((f" {glyph['error']} {text}", "role-error")) for text in self.problems.values()]
        return lines

    def _line(self, number: int) -> TextLine:
        holders = [each for found in self.found.values() for each in found if each.number == number]
        first = holders[0]
        parts: list[Part] = [
            (f"   {number:<8}", "bold"),
            (f"{first.date[:16]:<18}{first.version[:22]:<24}{first.kernel[:10]:<12}{first.revision[:12]:<14}", ""),
        ]
        for mark, count, role in (
            ("current", sum(each.current for each in holders), "ok"),
            ("booted", sum(each.booted for each in holders), "busy"),
            ("active", sum(each.active for each in holders), "busy"),
        ):
            if count:
                on = f" on {count}" if len(self.targets) > 1 and count < len(self.targets) else ""
                parts.append((f" {mark}{on}", f"role-{role}"))
        if len(holders) < len(self.found):
            parts.append((f"  only on {len(holders)} of {len(self.found)} nodes", "role-warning"))
        elif len({(each.version, each.revision) for each in holders}) > 1:
            parts.append(("  versions differ between nodes", "role-warning"))
        return text_line(*parts, key=str(number))
