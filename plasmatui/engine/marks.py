"""What people say about machines: notes, and locks that keep everybody else's acts from them. Kept in the journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from plasmatui.engine.ports import ProblemError, known_nodes
from plasmatui.engine.session import Session
from plasmatui.engine.store import Store
from plasmatui.journal.memory import Memory
from plasmatui.model import wire
from plasmatui.model.event import LockChanged, NotesChanged
from plasmatui.model.node import NodeLock, NodeNote
from plasmatui.model.words import Role
from plasmatui.text import clean_line

LOCK = "lock:"
NOTES = "notes:"
"""Keys of the journal's memory, before a node's name."""

LONGEST = 500
"""Characters of a note, and of the reason of a lock."""

MOST_NOTES = 20
"""Notes of one node."""

_lock = msgspec.msgpack.Decoder(NodeLock | None)
_notes = msgspec.msgpack.Decoder(tuple[NodeNote, ...])
_encode = msgspec.msgpack.Encoder().encode


class MarksDesk:
    """Notes and locks of all nodes, and the requests about them."""

    def __init__(self, store: Store, memory: Memory) -> None:
        self._store = store
        self._memory = memory
        self._timer: asyncio.TimerHandle | None = None
        self.handlers: dict[type, Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]] = {
            wire.PutNote: self._note,
            wire.LockNodes: self._lock,
            wire.UnlockNodes: self._unlock,
        }

    def recall(self) -> None:
        """What former engines were told, once the journal's memory is there; also for nodes that came since."""
        for node, value in self._memory.under(LOCK).items():
            lock = _lock.decode(value)
            if node in self._store.states and lock is not None:
                self._store.tell(node, "journal", LockChanged(lock))
        for node, value in self._memory.under(NOTES).items():
            if node in self._store.states:
                self._store.tell(node, "journal", NotesChanged(_notes.decode(value)))
        self._expire()

    def close(self) -> None:
        """Let no lock end any more."""
        if self._timer is not None:
            self._timer.cancel()

    # --- for orders -----------------------------------------------------------------------------------------------

    def lock_of(self, node: str) -> NodeLock | None:
        """The lock that holds now."""
        state = self._store.states.get(node)
        lock = state.lock if state is not None else None
        return lock if lock is not None and (not lock.until or lock.until > time.time()) else None

    def against(self, nodes: Iterable[str], uid: int) -> str:
        """Which of `nodes` others than `uid` have locked, who and why; "" when none."""
        found = [locked_words(node, lock) for node in nodes if (lock := self.lock_of(node)) and lock.uid != uid]
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return "; ".join(found[:3]) + more

    def refuse(self, session: Session, nodes: tuple[str, ...], *, break_lock: bool = False) -> None:
        """Let an act on `nodes` pass, or not.

        Raises:
            ProblemError: "locked": somebody else has locked one of them, and it is not broken by an admin.
        """
        locked = self.against(nodes, session.peer.uid)
        if locked and not break_lock:
            for node in nodes:
                self._store.audit(session.id.user, node, "an act on it", f"refused: {locked}", origin=session.id.origin)
            may = "--break-lock goes on all the same" if session.role is Role.ADMIN else "an admin may break it"
            raise ProblemError("locked", f"{locked}; {may}, and who locked it may unlock it: plasmatui unlock")

    # --- requests -------------------------------------------------------------------------------------------------

    async def _note(self, session: Session, _: int, body: wire.PutNote) -> wire.ReplyBody:
        (node,) = known_nodes((body.node,), self._store.nodes)
        before = self._store.states[node].notes
        text = clean_line(body.text).strip()
        if body.clear:
            after: tuple[NodeNote, ...] = ()
        elif not text or len(text) > LONGEST:
            raise ProblemError("refused", f"a note has from 1 to {LONGEST} characters, this one {len(text)}")
        elif len(before) >= MOST_NOTES:
            raise ProblemError("refused", f"{node} has {MOST_NOTES} notes already: plasmatui note {node} --clear")
        else:
            after = (*before, NodeNote(clean_line(session.id.user), time.time(), text))
        self._memory.put(NOTES + node, _encode(after))
        self._store.tell(node, "operator", NotesChanged(after, session.id.user))
        self._audit(session, node, "clear the notes" if body.clear else "add a note", _joined(before), _joined(after))
        return wire.Done()

    async def _lock(self, session: Session, _: int, body: wire.LockNodes) -> wire.ReplyBody:
        nodes = known_nodes(body.nodes, self._store.nodes)
        reason = clean_line(body.reason).strip()
        if not reason or len(reason) > LONGEST:
            raise ProblemError("refused", f"say why, in 1 to {LONGEST} characters: --reason TEXT")
        if body.until and body.until <= time.time():
            raise ProblemError("refused", "the time at which the lock would end is over already")
        self.refuse(session, nodes)
        lock = NodeLock(clean_line(session.id.user), session.peer.uid, reason, time.time(), body.until)
        for node in nodes:
            before = self.lock_of(node)
            self._put(node, lock, session.id.user)
            self._audit(session, node, "lock", lock_words(before), lock_words(lock))
        self._expire()
        return wire.Done()

    async def _unlock(self, session: Session, _: int, body: wire.UnlockNodes) -> wire.ReplyBody:
        nodes = known_nodes(body.nodes, self._store.nodes)
        self.refuse(session, nodes, break_lock=body.break_lock)
        for node in nodes:
            before = self.lock_of(node)
            if before is not None:
                self._put(node, None, session.id.user)
                told = "break the lock" if before.uid != session.peer.uid else "unlock"
                self._audit(session, node, told, lock_words(before), lock_words(None))
        return wire.Done()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _put(self, node: str, lock: NodeLock | None, by: str) -> None:
        self._memory.put(LOCK + node, _encode(lock))
        self._store.tell(node, "operator" if by else "engine", LockChanged(lock, by))

    def _audit(self, session: Session, node: str, text: str, before: str, after: str) -> None:
        self._store.audit(session.id.user, node, text, "done", origin=session.id.origin, before=before, after=after)

    def _expire(self) -> None:
        """End the locks whose time is over, and come back when the next one's is."""
        self.close()
        now, ends = time.time(), []
        for node, state in list(self._store.states.items()):
            if state.lock is None or not state.lock.until:
                continue
            if state.lock.until <= now:
                self._store.audit("", node, "the lock ended", "done", before=lock_words(state.lock), after="unlocked")
                self._put(node, None, "")
            else:
                ends.append(state.lock.until)
        if ends:
            # Looked at again once a day at least: the clock may be set meanwhile.
            delay = min(max(0.05, min(ends) - now), 86400.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._expire)


def lock_words(lock: NodeLock | None) -> str:
    """A lock in words: "locked by anna: new disk"."""
    return "unlocked" if lock is None else f"locked by {lock.by}: {lock.reason}"


def locked_words(node: str, lock: NodeLock) -> str:
    """What is said of a node that is locked."""
    clock = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(lock.since))
    until = f" until {time.strftime('%Y-%m-%d %H:%MZ', time.gmtime(lock.until))}" if lock.until else ""
    return f"{node} is locked by {lock.by} since {clock}{until}: {lock.reason}"


def _joined(notes: tuple[NodeNote, ...]) -> str:
    return " / ".join(f"{note.by}: {note.text}" for note in notes)
