"""Dialogs that give an order to machines: every target, the exact commands, the guard's verdict, Cancel in focus."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.widget import Widget

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.operation import BootDeviceOrder, IdentifyOrder, NodePlan, Order, Pace, Plan, PowerOrder
from plasmatui.model.words import PowerAction, Role
from plasmatui.ui import glyphs
from plasmatui.ui.columns import boot_text
from plasmatui.ui.dialogs.base import Confirm
from plasmatui.ui.dialogs.planlines import plan_head, refusal, step_lines
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.paragraph import Paragraph, Unit

PARALLEL = (0, 1, 4, 16, 64)
"""Nodes at once; 0 leaves it to the inventory's policy."""

STAGGER = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Seconds between two starts."""

PER_RACK = (0, 1, 2, 4)
"""Nodes of one rack at once; 0 leaves it to the inventory's policy."""

BREAK = "L"
"""The key that breaks others' locks, for admins."""

OVERRIDE = "v"
"""The key that asks for the guard to be overridden."""

SAME = "="
"""The key that copies the command line that does the same."""

Request = wire.StartOrder | wire.RetryOperation


@dataclass
class Option:
    """One of several values, chosen by its letter, or one value that a letter changes."""

    name: str
    values: tuple[str, ...]
    letters: str
    chosen: int = 0

    def press(self, key: str) -> bool:
        """Take a key; False when it is not one of ours."""
        if key not in self.letters or not key:
            return False
        if len(self.letters) == 1:
            self.chosen = (self.chosen + 1) % len(self.values)
        else:
            self.chosen = self.letters.index(key)
        return True

    def units(self) -> list[Unit]:
        """How it is shown: each value with its letter."""
        if len(self.letters) == 1:
            name: Part = (f" {self.name}: ", "")
            return [((f" {self.letters}", "bold role-busy"), name, (self.values[self.chosen], "bold"), ("  ", ""))]
        units: list[Unit] = [((f"{self.name}: ", ""),)] if self.name else []
        for place, value in enumerate(self.values):
            here = place == self.chosen
            shown: Part = (f"({value})", "reverse") if here else (f" {value} ", "")
            units.append(((f" {self.letters[place]} ", "bold role-busy"), shown))
        return units


class OrderDialog(Confirm[Request]):
    """Asks the engine for the plan of what is chosen, shows it, and gives back the request that starts it.

    A plan that the guard refuses can be accepted only after the cluster's name was typed, which is asked for by a key
    of its own.
    """

    PACED: ClassVar[bool] = True
    """Whether the pace can be chosen."""

    def __init__(self, title: str, targets: tuple[str, ...], hidden: frozenset[str]) -> None:
        count = f"{len(targets)} node" + ("s" if len(targets) != 1 else "")
        gone = len(hidden & set(targets))
        super().__init__(f"{title}: {count}" + (f" ({gone} hidden by the filter)" if gone else ""))
        self.targets = targets
        self.hidden_marks = hidden
        self.plan: Plan | None = None
        self.parallel = Option("at once", tuple("policy" if n == 0 else str(n) for n in PARALLEL), "a")
        self.stagger = Option("apart", tuple(f"{s:g}s" for s in STAGGER), "t")
        self.per_rack = Option("per rack", tuple("policy" if n == 0 else str(n) for n in PER_RACK), "k")
        self._option_lines = [Paragraph(id="options"), Paragraph(id="pace")]
        self._planning: asyncio.Task[None] | None = None
        self._overriding = False
        self._override = ""
        self._break_lock = False

    def contents(self) -> Sequence[Widget]:
        return (*self._option_lines, *super().contents())

    def paragraphs(self) -> Sequence[Paragraph]:
        return (*self._option_lines, *super().paragraphs())

    def on_mount(self) -> None:
        for line, options in zip(self._option_lines, (self.options(), self._paces()), strict=True):
            line.display = bool(options)
        self._changed()

    async def on_unmount(self) -> None:
        if self._planning is not None:
            self._planning.cancel()
            await asyncio.gather(self._planning, return_exceptions=True)

    def options(self) -> list[Option]:
        """What can be chosen, without the pace."""
        return []

    def _paces(self) -> list[Option]:
        """What can be chosen of the pace; racks matter where there are several nodes of one."""
        if not self.PACED:
            return []
        racks = [node.rack for name in self.targets if (node := self.context.store.nodes.get(name)) and node.rack]
        return [self.parallel, self.stagger, *([self.per_rack] if len(set(racks)) < len(racks) else [])]

    def order(self) -> Order | None:
        """The order that is chosen, None while nothing is."""
        return None

    def request(self, plan: Plan, override: str) -> Request:
        """What is asked of the engine when the plan is accepted."""
        taking = tuple(node.node for node in plan.nodes if not node.skipped)
        return wire.StartOrder(plan.order, taking, self.pace(), override, self._break_lock)

    def now(self, name: str) -> Part:
        """What the order would change, as it is now."""
        power = self.context.store.state(name).power.value
        glyph, role = glyphs.POWER[power]
        return (f"{self.context.glyphs[glyph]} {power}", f"role-{role}")

    def pace(self) -> Pace | None:
        """The pace that is chosen; None is the inventory's."""
        parallel, stagger = PARALLEL[self.parallel.chosen], STAGGER[self.stagger.chosen]
        per_rack = PER_RACK[self.per_rack.chosen]
        if not parallel and not stagger and not per_rack:
            return None
        return Pace(parallel or Pace().parallel, stagger, per_rack)

    async def pressed(self, key: str) -> bool:
        if any(option.press(key) for option in (*self.options(), *self._paces())):
            self._changed()
            return True
        if key == OVERRIDE and self.plan is not None and self._may_override(self.plan):
            self._overriding = True
            self._show_plan(self.plan)
            return True
        if key == SAME and self.plan is not None:
            self.copy_command(self.plan.cli)
            return True
        if key == BREAK and self.plan is not None and self._may_break(self.plan):
            self._break_lock = True
            self._show_plan(self.plan)
            return True
        return await super().pressed(key)

    def copy_command(self, command: str) -> None:
        """Give the command line to the clipboard."""
        from plasmatui.ui import clipboard

        self.notify(clipboard.copy(self.app, self.context.same_as(command)), markup=False)

    def _may_override(self, plan: Plan) -> bool:
        return bool(plan.refused) and not self._override and self.context.role is Role.ADMIN

    def _may_break(self, plan: Plan) -> bool:
        return bool(plan.locked) and not self._break_lock and self.context.role is Role.ADMIN

    def _changed(self) -> None:
        """Another choice: what is shown is no longer what would be done."""
        for line, options in zip(self._option_lines, (self.options(), self._paces()), strict=True):
            line.say_units([unit for option in options for unit in option.units()])
        self.plan, self._overriding, self._override, self._break_lock = None, False, "", False
        order = self.order()
        if self._planning is not None:
            self._planning.cancel()
        if order is None:
            self.question(self._targets(), 1, blocked="choose by its letter what is to be done")
            return
        self.question(self._targets(), 1, blocked="asking the engine for the plan ...")
        self._planning = asyncio.create_task(self._ask(order, self.pace()), name="plan")

    async def _ask(self, order: Order, pace: Pace | None) -> None:
        try:
            reply = await self.context.link.ask(wire.PlanOrder(order, self.targets, pace))
        except EngineError as error:
            self.question(self._targets(), 1, blocked=error.problem.message)
            return
        except EngineUnreachableError as error:
            self.question(self._targets(), 1, blocked=str(error))
            return
        assert isinstance(reply, wire.PlanReply)
        self.plan = self.seen(reply.plan)
        self._show_plan(self.plan)

    def seen(self, plan: Plan) -> Plan:
        """The plan as it is shown and asked about."""
        return plan

    def _show_plan(self, plan: Plan) -> None:
        """Ask for what the plan needs: a key, its phrase, or first the cluster's name where the guard refuses it."""
        lines = self._plan_lines(plan)
        welcome = self.context.store.welcome
        cluster = welcome.cluster if welcome is not None else ""
        if all(node.skipped for node in plan.nodes):
            reasons = {node.skipped for node in plan.nodes if node.skipped}
            why = f": {reasons.pop()}" if len(reasons) == 1 else ""
            self.question(lines, plan.confirm, blocked=f"nothing can be done on any of these nodes{why}")
        elif plan.locked and not self._break_lock:
            way = f"{BREAK}: break the lock; " if self._may_break(plan) else ""
            self.question(lines, plan.confirm, blocked=f"{way}{plan.locked}")
        elif plan.refused and not self._override and not self._overriding:
            way = f"{OVERRIDE}: override; " if cluster and self.context.role is Role.ADMIN else ""
            self.question(lines, plan.confirm, blocked=f"{way}the guard refuses it: {refusal(plan)}")
        elif plan.refused and not self._override:
            self.question(lines, 3, phrase=cluster)
            self.verdict.say([("the cluster's name overrides the guard: the cluster may stop", "bold role-error")])
        else:
            self.question(lines, plan.confirm, phrase=plan.phrase or self._phrase())

    def _phrase(self) -> str:
        """What must be typed on level 3 when the plan does not say it."""
        if len(self.targets) == 1:
            return self.targets[0]
        order = self.order()
        verb = order.action if isinstance(order, PowerOrder) else "set"
        return f"{verb} {len(self.targets)}"

    def _targets(self) -> list[TextLine]:
        return [self._target(name) for name in self.targets]

    def _target(self, name: str, note: Part = ("", "")) -> TextLine:
        hidden: Part = ("  (hidden by the filter)", "role-warning") if name in self.hidden_marks else ("", "")
        return text_line((f"{name:<16} ", "bold"), self.now(name), hidden, note)

    def _plan_lines(self, plan: Plan) -> list[TextLine]:
        lines = [*plan_head(self.context, plan), text_line(("", ""))]
        for node in plan.nodes:
            lines += [self._target(node.node, self._note(node)), *step_lines(node)]
        return [*lines, text_line(("", "")), text_line(*self._same_as(plan.cli))]

    def _same_as(self, command: str) -> tuple[Part, ...]:
        shown = self.context.same_as(command)
        return ("same as: ", "role-muted"), (shown, "role-muted"), (f"  {SAME} copies it", "role-busy")

    @staticmethod
    def _note(node: NodePlan) -> Part:
        return (f"  left out: {node.skipped}", "role-warning") if node.skipped else ("", "")

    def accepted(self) -> None:
        plan = self.plan
        if plan is None:
            return
        if self._overriding and not self._override:
            self._override = self.phrase
            if plan.confirm == 3:  # what is wiped wants its own phrase
                self.phrase_input.value = ""
                self._show_plan(plan)
                return
        self.dismiss(self.request(plan, self._override))


class PowerDialog(OrderDialog):
    """Change the power of nodes."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], action: PowerAction | None = None) -> None:
        super().__init__("Power", targets, hidden)
        values = tuple(PowerAction)
        self.action = Option(
            "power", tuple(str(value) for value in values), "ofscr", values.index(action) if action else -1
        )

    def options(self) -> list[Option]:
        return [self.action]

    def order(self) -> Order | None:
        return PowerOrder(tuple(PowerAction)[self.action.chosen]) if self.action.chosen >= 0 else None


DEVICES = (Device.PXE, Device.DISK, Device.BIOS, Device.NONE)


class BootDeviceDialog(OrderDialog):
    """Set the boot override of nodes."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], boot: BootDevice | None = None) -> None:
        super().__init__("Boot device", targets, hidden)
        place = DEVICES.index(boot.device) if boot else -1
        self.device = Option("boot from", tuple(str(device) for device in DEVICES), "pdbx", place)
        self.persistent = Option("for", ("once", "always"), "o", int(boot is not None and boot.persistent))
        modes = (None, True, False)
        self.firmware = Option("firmware", ("as it is", "uefi", "bios"), "u", modes.index(boot.uefi if boot else None))

    def options(self) -> list[Option]:
        return [self.device, self.persistent, self.firmware]

    def now(self, name: str) -> Part:
        power, role = super().now(name)
        boot = boot_text(self.context.store.state(name))
        return (f"{power}  boot: {boot or 'not read yet'}", role)

    def order(self) -> Order | None:
        if self.device.chosen < 0:
            return None
        device = DEVICES[self.device.chosen]
        if device is Device.NONE:
            return BootDeviceOrder(BootDevice(device))
        uefi = (None, True, False)[self.firmware.chosen]
        return BootDeviceOrder(BootDevice(device, bool(self.persistent.chosen), uefi))


SECONDS = (15, -1, 0)


class IdentifyDialog(OrderDialog):
    """Switch the identify light."""

    def __init__(self, targets: tuple[str, ...], hidden: frozenset[str], chosen: int = -1) -> None:
        super().__init__("Identify", targets, hidden)
        self.light = Option("light", ("15 seconds", "on", "off"), "lof", chosen)

    def options(self) -> list[Option]:
        return [self.light]

    def now(self, name: str) -> Part:
        return ("light on", "role-mark") if self.context.store.state(name).identify else ("light off", "role-muted")

    def order(self) -> Order | None:
        return IdentifyOrder(SECONDS[self.light.chosen]) if self.light.chosen >= 0 else None
