"""What a BMC answers with when it does an order later: 202 and a task (DMTF DSP0266, "Asynchronous operations")."""

from __future__ import annotations

import asyncio
from typing import Final

from plasmatui.bmc import redfish_parse as parse
from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.redfish_http import Answer, RedfishHttp, RefusedError
from plasmatui.text import clean_line

TASK_LIMIT: Final = 20.0
TASK_POLL: Final = 0.5
"""Seconds: how long a task is waited for, and between two looks at it. One that waits for the machine's next start does
not end before that."""

_FAILED: Final = frozenset({"Exception", "Killed", "Cancelled"})
_ENDED: Final = frozenset({"Completed", *_FAILED})


async def task_done(http: RedfishHttp, answer: Answer, what: str) -> None:
    """Wait until what was accepted is done, or until it takes too long to wait for.

    Raises:
        BmcError: "rejected": the task failed, in the BMC's words; else as `RedfishHttp.call`.
    """
    place = parse.local(answer.header("location")) or parse.link(answer.body)
    if answer.status != 202 or not place:
        return
    loop = asyncio.get_running_loop()
    end = loop.time() + TASK_LIMIT
    while loop.time() < end:
        try:
            seen = await http.get(place)
        except RefusedError as error:
            if error.status in (404, 405, 410):  # a monitor is gone once the end was told
                return
            raise
        state = parse.text(seen.body, "TaskState")
        if state in _FAILED:
            raise BmcError("rejected", f"{http.where}: {what}: the BMC's task failed: {_told(seen.body) or state}")
        if state in _ENDED or (seen.status != 202 and not state):
            return
        await asyncio.sleep(TASK_POLL)


def _told(body: parse.Json) -> str:
    told = (parse.text(message, "Message", limit=parse.TEXT_LIMIT) for message in parse.parts(body, "Messages"))
    return clean_line(" ".join(text for text in told if text), parse.TEXT_LIMIT)
