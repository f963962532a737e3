"""The boot that follows an order is told from the one before, however long the order took."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from plasmatui.model.boot import BootTimeline, StageSpan
from plasmatui.model.operation import StepRecord
from plasmatui.model.words import Stage, StepResult
from plasmatui.operations.bootafter import boot_after
from plasmatui.operations.history import History
from plasmatui.operations.work import NodeWork

ORDERED = 1000.0


def seen(boot: BootTimeline | None, *steps: str, former: int | None = None) -> bool:
    """Whether `boot` follows a power order of 1000 s, which ended boot number `former`."""
    record = StepRecord("power-up", "", "", ORDERED, ORDERED + 1, StepResult.DONE, "")
    boots = SimpleNamespace(current=lambda _: boot)
    history = History({}, lambda: (record,))
    work = cast(
        "NodeWork", SimpleNamespace(node="n1", history=history, former_boot=former, site=SimpleNamespace(boots=boots))
    )
    return boot_after(work, *(steps or ("power-up",))) is not None


def boot(**begins: float | None) -> BootTimeline:
    """One whose stages begin so; the whole begins with the first."""
    spans = tuple(StageSpan(Stage(name.replace("_", "-")), begin, begin, "done") for name, begin in begins.items())
    whole = min((begin for begin in begins.values() if begin is not None), default=None)
    return BootTimeline("n1", 2, whole, spans[-1].stage if spans else None, "running", spans)


@pytest.mark.parametrize("override", [ORDERED - 3, ORDERED - 3000, ORDERED])
def test_an_override_that_was_set_long_before_does_not_make_a_boot_old(override: float) -> None:
    assert seen(boot(override_set=override, powering_on=ORDERED + 1, firmware=ORDERED + 2))
    assert not seen(boot(override_set=override, powering_on=ORDERED - 30, firmware=ORDERED - 29)), "the one before"


def test_an_override_alone_is_no_boot() -> None:
    assert not seen(boot(override_set=ORDERED + 1))


def test_a_server_whose_clock_is_behind_does_not_hide_what_the_console_shows() -> None:
    assert seen(boot(firmware=ORDERED + 5, dhcp_loader=ORDERED - 60, tftp_loader=ORDERED - 59))
    assert not seen(boot(dhcp_loader=ORDERED - 60, tftp_loader=ORDERED - 59))
    assert seen(boot(dhcp_loader=ORDERED + 3, tftp_loader=ORDERED + 4))


def test_the_last_of_several_orders_counts() -> None:
    assert seen(boot(firmware=ORDERED + 5), "reboot", "power-up")
    assert not seen(boot(firmware=ORDERED - 5), "reboot", "power-up")


def test_what_had_begun_just_before_is_the_boot_before() -> None:
    assert not seen(boot(firmware=ORDERED - 1), former=2)
    assert seen(boot(firmware=ORDERED - 1), former=1), "clocks differ"


def test_nothing_known_is_no_boot() -> None:
    assert not seen(None)
    assert not seen(boot(kernel_start=None))
