"""Small facts that outlive an engine, by key: nodes' lifecycles, raft groups that were seen, when an engine ran."""

from __future__ import annotations

import sqlite3

from plasmatui.journal.sqlite import SqliteJournal

_PUT = "INSERT OR REPLACE INTO memory VALUES (?,?)"


class Memory:
    """The table of facts of a journal. Keys are words with colons ("lifecycle:node01")."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._known: dict[str, bytes] = {}

    async def recall(self) -> None:
        """Read what former engines knew."""

        def read(connection: sqlite3.Connection) -> dict[str, bytes]:
            return dict(connection.execute("SELECT key, value FROM memory"))

        self._known = await self._journal.read(read, dict[str, bytes]())

    def get(self, key: str) -> bytes | None:
        """The value of `key`, None when there is none."""
        return self._known.get(key)

    def under(self, prefix: str) -> dict[str, bytes]:
        """All facts whose key begins with `prefix`, by the rest of the key."""
        return {key[len(prefix) :]: value for key, value in self._known.items() if key.startswith(prefix)}

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`; nothing is written when it is known already."""
        if self._known.get(key) != value:
            self._known[key] = value
            self._journal.put_rows([(_PUT, (key, value))])
