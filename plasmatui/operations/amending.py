"""Changes of the inventory file by an operation: a diff in the plan, made anew when their turn comes."""

from __future__ import annotations

import asyncio

import msgspec

from plasmatui.inventory.edit import EditError, Editor
from plasmatui.model.operation import NodePlan, Step
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.site import Change, Site
from plasmatui.operations.work import NodeWork

LIMIT = 60.0

STEP = "edit-inventory"


def amend_step(text: str) -> Step:
    """The step that writes the change."""
    return Step(STEP, text, "the inventory file, comments kept; the engine reads it again", LIMIT, proof="the file")


async def previewed(plan: NodePlan, change: Change, site: Site) -> NodePlan:
    """The plan with the change as a diff, or left out where the change cannot be made."""
    try:
        diff = await asyncio.to_thread(_diff, change, site)
    except EditError as error:
        return NodePlan(plan.node, skipped=f"{plan.node}: the inventory cannot be changed: {error}")
    return msgspec.structs.replace(plan, diff=diff)


def _diff(change: Change, site: Site) -> str:
    editor = Editor(site.inventory().path)
    change(editor)
    return editor.edit().diff()


async def amend(work: NodeWork, change: Change) -> None:
    """Do the step. The change is made anew with the file as it is now: what is in it already is not written again.

    Raises:
        NodeFailedError: "inventory".
    """
    await work.act(STEP, lambda: _amend(work, change), seen=_may_be_repeated)


async def _may_be_repeated() -> bool:
    return False


async def _amend(work: NodeWork, change: Change) -> None:
    try:
        diff = await work.site.amend(change)
    except EditError as error:
        raise NodeFailedError("inventory", f"{work.node}: {error}; edit the inventory by hand") from error
    for line in diff.splitlines() or ["the inventory says so already"]:
        work.log(line)
