"""What is kept, as an interface: events, audit, operations. SQLite keeps it here; another store may be shared."""

from __future__ import annotations

from typing import Protocol

from plasmatui.model.event import AuditLine, Event, EventLine
from plasmatui.model.operation import OperationRecord


class Journal(Protocol):
    """Keeps what happened. Writing never blocks and never fails: what cannot be written waits in memory, bounded.

    Attributes:
        problem: why the journal is not being kept, "" when it is.
        lost: lines that were given up because memory was full of unwritten ones.
    """

    problem: str
    lost: int

    async def open(self) -> None:
        """Begin. Never raises: a journal that cannot be opened says so in `problem` and is tried again."""

    async def close(self) -> None:
        """Write what is left, within a limit, and end."""

    def add_event(self, line: EventLine, event: Event) -> None: ...

    def add_audit(self, line: AuditLine) -> None: ...

    def put_operation(self, record: OperationRecord) -> None:
        """Keep the latest record of an operation."""

    async def flush(self) -> bool:
        """Wait until all that was given so far is written; False when it cannot be written now."""

    async def last_numbers(self) -> Numbers:
        """The highest numbers in use, so that a new engine goes on from there."""

    async def events(self, node: str, before: int, limit: int) -> tuple[EventLine, ...]:
        """Those with a text, newest first; of one node or of all (""); older than number `before` (0: the newest)."""

    async def audit(
        self, limit: int, nodes: tuple[str, ...] = (), since: float = 0.0, user: str = ""
    ) -> tuple[AuditLine, ...]:
        """Newest first; only lines about `nodes` (none: all), since Unix seconds, by `user` ("": everybody)."""

    async def operations(self, limit: int, number: int = 0) -> tuple[OperationRecord, ...]:
        """Newest first; `number` picks one."""

    async def unfinished(self) -> tuple[OperationRecord, ...]:
        """Operations that had not ended when they were last written, oldest first."""


class Numbers:
    """Highest number of an event, an audit line, an operation; 0 where there is none."""

    def __init__(self, event: int = 0, audit: int = 0, operation: int = 0) -> None:
        self.event = event
        self.audit = audit
        self.operation = operation
