"""What the requests about operations do: plan, start, cancel, hold, release, retry, and what their steps printed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from plasmatui.engine.marks import MarksDesk
from plasmatui.engine.oplogs import OperationLogs
from plasmatui.engine.ports import ProblemError, known_nodes
from plasmatui.engine.session import Session
from plasmatui.engine.store import Store
from plasmatui.journal.journal import Journal
from plasmatui.model import wire
from plasmatui.model.access import role_of_order
from plasmatui.model.operation import OperationRecord
from plasmatui.operations.runner import Runner, StoppingError, UnknownOperationError

MAX_RECORDS = 10_000
"""Operations that one answer carries at most."""

ACTING = (
    wire.StartOrder,
    wire.CancelOperation,
    wire.HoldOperation,
    wire.ReleaseOperation,
    wire.RetryOperation,
)

Handler = Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]


class OperationsDesk:
    """Answers the requests about operations.

    Args:
        cluster: the cluster's name, which overrides the quorum guard when it is typed.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        journal: Journal,
        logs: OperationLogs,
        marks: MarksDesk,
        cluster: Callable[[], str],
    ) -> None:
        self._store = store
        self._runner = runner
        self._journal = journal
        self._logs = logs
        self._marks = marks
        self._cluster = cluster
        self.handlers: dict[type, Handler] = {
            wire.PlanOrder: self._plan,
            wire.StartOrder: self._start,
            wire.CancelOperation: self._cancel,
            wire.HoldOperation: self._hold,
            wire.ReleaseOperation: self._release,
            wire.RetryOperation: self._retry,
            wire.ListOperations: self._operations,
            wire.AskOperationLog: self._log,
        }

    async def _plan(self, session: Session, _: int, body: wire.PlanOrder) -> wire.ReplyBody:
        nodes = self._known(body.nodes)
        plan = await self._runner.plan(body.order, nodes, body.pace)
        return wire.PlanReply(msgspec.structs.replace(plan, locked=self._marks.against(nodes, session.peer.uid)))

    async def _start(self, session: Session, _: int, body: wire.StartOrder) -> wire.ReplyBody:
        nodes = self._known(body.nodes)
        override = self._overridden(body.override_quorum)
        self._marks.refuse(session, nodes, break_lock=body.break_lock)
        try:
            record = self._runner.start(
                body.order,
                nodes,
                session.id.user,
                body.pace,
                override=override,
                origin=session.id.origin,
                break_lock=body.break_lock,
            )
        except StoppingError:
            raise _stopping() from None
        return wire.OperationReply(record)

    async def _cancel(self, session: Session, _: int, body: wire.CancelOperation) -> wire.ReplyBody:
        try:
            return wire.OperationReply(self._runner.cancel(body.number, session.id.user, session.id.origin))
        except UnknownOperationError:
            raise _not_running(body.number) from None

    async def _hold(self, session: Session, _: int, body: wire.HoldOperation) -> wire.ReplyBody:
        try:
            return wire.OperationReply(self._runner.hold(body.number, session.id.user, session.id.origin))
        except UnknownOperationError:
            raise _not_running(body.number) from None

    async def _release(self, session: Session, _: int, body: wire.ReleaseOperation) -> wire.ReplyBody:
        self._check_order(session, await self._record(body.number))
        try:
            record = self._runner.release(body.number, session.id.user, body.node, body.answer, session.id.origin)
        except UnknownOperationError:
            raise _not_running(body.number) from None
        if record is None:
            raise ProblemError("refused", self._why_not(body))
        return wire.OperationReply(record)

    def _check_order(self, session: Session, record: OperationRecord) -> None:
        """To let an operation go on, or try it again, is to order it.

        Raises:
            ProblemError: "role": this user may not order it.
        """
        needed = role_of_order(record.order)
        if not session.role.covers(needed):
            text = f"operation {record.number}: {record.cli}"
            self._store.audit(
                session.id.user,
                "",
                text,
                f"refused: needs the role {needed}",
                origin=session.id.origin,
                operation=record.number,
            )
            raise ProblemError("role", f"{text}: needs the role {needed}; {session.id.user} is {session.role} here")

    def _known(self, nodes: tuple[str, ...]) -> tuple[str, ...]:
        return known_nodes(nodes, self._store.nodes)

    def _why_not(self, body: wire.ReleaseOperation) -> str:
        record = self._store.operations.get(body.number)
        nodes = {node.node: node for node in record.nodes} if record is not None else {}
        node = nodes.get(body.node)
        if node is None:
            return f"operation {body.number} has no node {body.node}"
        if not node.answers:
            return f"{body.node} waits for no answer in operation {body.number}"
        return f"{body.node} takes one of these answers: {', '.join(node.answers)}. {node.question}"

    async def _retry(self, session: Session, _: int, body: wire.RetryOperation) -> wire.ReplyBody:
        override = self._overridden(body.override_quorum)
        record = await self._record(body.number)
        self._check_order(session, record)
        nodes = self._known(tuple(node.node for node in record.nodes if node.state.ended))
        self._marks.refuse(session, nodes, break_lock=body.break_lock)
        try:
            again = self._runner.retry(
                record,
                session.id.user,
                override=override,
                origin=session.id.origin,
                break_lock=body.break_lock,
            )
            return wire.OperationReply(again)
        except UnknownOperationError:
            text = "has not ended" if not record.state.ended else "has no failed node to try again"
            raise ProblemError("refused", f"operation {body.number} {text}") from None
        except StoppingError:
            raise _stopping() from None

    async def _operations(self, _: Session, __: int, body: wire.ListOperations) -> wire.ReplyBody:
        limit = max(1, min(body.limit, MAX_RECORDS))
        kept = await self._journal.operations(limit, body.number)
        records = {record.number: record for record in kept}
        for number, record in self._store.operations.items():
            if body.number in (0, number):
                records[number] = record
        newest = sorted(records.values(), key=lambda record: record.number, reverse=True)
        return wire.Operations(tuple(newest[:limit]))

    async def _log(self, _: Session, __: int, body: wire.AskOperationLog) -> wire.ReplyBody:
        record = await self._record(body.number)
        if body.node not in {node.node for node in record.nodes}:
            raise ProblemError("unknown-node", f"operation {body.number} has no node {body.node}")
        return wire.OperationLog(*await self._logs.read(body.number, body.node, body.offset))

    async def _record(self, number: int) -> OperationRecord:
        record = self._store.operations.get(number)
        if record is None:
            record = next(iter(await self._journal.operations(1, number)), None)
        if record is None:
            raise ProblemError("refused", f"there is no operation {number}; plasmatui ops list shows them")
        return record

    def _overridden(self, typed: str) -> bool:
        if typed and typed != self._cluster():
            raise ProblemError(
                "refused",
                f"the quorum guard is overridden by the cluster's name only: {typed!r} is not {self._cluster()!r}",
            )
        return bool(typed)


def _not_running(number: int) -> ProblemError:
    return ProblemError("refused", f"operation {number} is not running; plasmatui ops list shows what does")


def _stopping() -> ProblemError:
    return ProblemError("refused", "the engine is being stopped: nothing is begun any more")
