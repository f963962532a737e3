"""What may be asked while the screen shows a moment that is over: what the engine can tell of it, and nothing else.

Every request of the screen goes through here, so that no act leaves it and nothing of today is shown as of then.
"""

from __future__ import annotations

import time

import msgspec

from plasmatui.client import EngineError
from plasmatui.model import wire

_ANYWAY = (
    wire.AskPast,
    wire.AskTimelineAt,
    wire.AskOperationLog,
    wire.ConsoleAt,
    wire.ConsoleHistory,
    wire.ConsoleClose,
    wire.Here,
    wire.Watch,
    wire.ListAudit,
)
"""What tells of no other moment, or is narrowed to this one where it arrives."""

FLEETING = (wire.AskTimeline, wire.ListEvents, wire.ListOperations, wire.ListAudit)
"""Questions whose answers belong to the moment at which they were asked."""


def dated(body: wire.RequestBody, past: wire.Past | None) -> wire.RequestBody:
    """A request as of the moment that is shown.

    Raises:
        EngineError: it changes something, or asks what is not known of the past.
    """
    if past is None or isinstance(body, _ANYWAY):
        return body
    match body:
        case wire.AskTimeline():
            return wire.AskTimelineAt(body.node, past.at, body.limit)
        case wire.ListEvents():
            return msgspec.structs.replace(body, before=min(body.before or past.last + 1, past.last + 1))
        case wire.ListLogs() | wire.SearchLogs():
            until = min(past.at, body.filter.until or past.at)
            return msgspec.structs.replace(body, filter=msgspec.structs.replace(body.filter, until=until))
        case wire.FollowLogs():
            return wire.FollowLogs(None)
        case _:
            raise EngineError(wire.Problem("past", not_of_the_past(past)))


def not_of_the_past(past: wire.Past) -> str:
    """Why something cannot be done or told."""
    moment = time.strftime("%H:%M:%S", time.gmtime(past.at))
    return f"the screen shows {moment} UTC of the past; :now goes back to the present"
