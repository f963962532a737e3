"""Which cure is the smallest that may do, for every condition of a node."""

from __future__ import annotations

import pytest

from plasmatui.model.words import Power
from plasmatui.operations.condition import Condition, Cure, next_cure

ON = Condition(power=Power.ON)
UNITS = ("chainfire.service",)
ILL = ("chainfire unknown: no answer",)
GONE = ("chainfire: it is no member",)


@pytest.mark.parametrize(
    ("now", "tried", "cure"),
    [
        (ON, (), None),
        (Condition(power=Power.OFF, ssh="no answer", ill=ILL), (), Cure.POWER_ON),
        (Condition(power=Power.OFF, ssh="no answer", ill=ILL), (Cure.POWER_ON,), Cure.PERSON),
        (Condition(power=Power.ON, units=UNITS, ill=ILL), (), Cure.RESTART),
        (Condition(power=Power.ON, units=UNITS, ill=ILL), (Cure.RESTART,), Cure.REBOOT),
        (Condition(power=Power.ON, ill=ILL), (), Cure.REBOOT),
        (Condition(power=Power.ON, ssh="no answer", ill=ILL), (), Cure.REBOOT),
        (Condition(power=Power.ON, ssh="no answer", ill=ILL), (Cure.REBOOT,), Cure.REPLACE),
        (Condition(power=Power.ON, ill=ILL), (Cure.REBOOT,), Cure.ROLLBACK),
        (Condition(power=Power.ON, ill=ILL), (Cure.REBOOT, Cure.ROLLBACK), Cure.REPLACE),
        (Condition(power=Power.ON, ssh="refused"), (), Cure.PERSON),
        (Condition(power=Power.ON, missed=GONE, lost=True), (), Cure.REPLACE),
        (Condition(power=Power.ON, units=UNITS, missed=GONE, lost=True), (), Cure.RESTART),
        (Condition(bmc="no answer", ssh="no answer", ill=ILL), (), Cure.PERSON),
        (Condition(bmc="no answer", ill=ILL), (), Cure.REBOOT),
    ],
)
def test_the_smallest_cure_that_may_do(now: Condition, tried: tuple[Cure, ...], cure: Cure | None) -> None:
    assert next_cure(now, frozenset(tried)) is cure


def test_what_is_well_is_not_cured_whatever_was_tried() -> None:
    assert next_cure(ON, frozenset(Cure)) is None


def test_a_condition_is_told_in_lines() -> None:
    now = Condition(bmc="n1: no answer", boot="stopped after kernel-start: panic", ssh="refused", units=UNITS, ill=ILL)
    assert now.lines() == (
        "power: unknown (n1: no answer)",
        "boot: stopped after kernel-start: panic",
        "SSH: refused",
        "units that do not run: chainfire.service",
        *ILL,
        "raft groups: nothing against it",
    )
