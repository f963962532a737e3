"""The tables of the SQLite journal."""

from __future__ import annotations

import sqlite3

VERSION = 4
"""Kept in `PRAGMA user_version`. A higher one was written by a newer program, which this one must not touch."""

KEPT_EVENTS = 200_000
KEPT_AUDIT = 200_000
KEPT_OPERATIONS = 10_000
"""The newest of each are kept, together about 200 MB at most; older ones make room."""

KEPT_BOOTS = 10_000
KEPT_DURATIONS = 50_000

_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY,
    wall REAL NOT NULL,
    node TEXT NOT NULL,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,            -- for people; empty: only what is known of the node changed
    payload BLOB NOT NULL          -- msgpack of model.event.Event
);
CREATE INDEX IF NOT EXISTS events_of_node ON events (node, number);
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY,
    wall REAL NOT NULL,
    actor TEXT NOT NULL,
    node TEXT NOT NULL,
    text TEXT NOT NULL,
    result TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS operations (
    number INTEGER PRIMARY KEY,
    begin REAL NOT NULL,
    ended INTEGER NOT NULL,
    record BLOB NOT NULL           -- msgpack of model.operation.OperationRecord
);
CREATE INDEX IF NOT EXISTS operations_unfinished ON operations (number) WHERE NOT ended;
-- since version 2:
CREATE TABLE IF NOT EXISTS positions (
    source TEXT PRIMARY KEY,
    position BLOB NOT NULL         -- how far a log source was read, in its own words
);
CREATE TABLE IF NOT EXISTS signals (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    boot INTEGER NOT NULL,
    heard REAL NOT NULL,
    signal BLOB NOT NULL           -- msgpack of model.boot.Signal
);
CREATE INDEX IF NOT EXISTS signals_of_boot ON signals (node, boot);
CREATE TABLE IF NOT EXISTS boots (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    boot INTEGER NOT NULL,
    timeline BLOB NOT NULL,        -- msgpack of model.boot.BootTimeline
    UNIQUE (node, boot)
);
CREATE TABLE IF NOT EXISTS durations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    boot INTEGER NOT NULL,
    profile TEXT NOT NULL,
    stage TEXT NOT NULL,
    seconds REAL NOT NULL,
    UNIQUE (node, boot, stage)
);
-- since version 3:
CREATE TABLE IF NOT EXISTS memory (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL            -- see journal.memory
);
"""

_SINCE_4 = """
ALTER TABLE audit ADD COLUMN uid INTEGER NOT NULL DEFAULT -1;
ALTER TABLE audit ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN operation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN before TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN after TEXT NOT NULL DEFAULT '';
-- lines are added and, when they are the oldest, dropped, but never changed
CREATE TRIGGER IF NOT EXISTS audit_is_kept BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'lines of the audit are never changed'); END;
CREATE INDEX IF NOT EXISTS audit_of_node ON audit (node, number);
"""


class NewerSchemaError(Exception):
    """The journal was written by a newer version of the program."""


def prepare(connection: sqlite3.Connection) -> None:
    """Set the pragmas and make the tables that are missing.

    Raises:
        NewerSchemaError: see there.
        sqlite3.Error: the file cannot be written, or is no journal.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise NewerSchemaError(f"it has version {version}, this program knows {VERSION}: update plasmatui")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=2000")
    if version < VERSION:
        since = _SINCE_4 if version < 4 else ""
        # All of it or nothing: a table that was half changed could not be changed again.
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {since} PRAGMA user_version={VERSION}; COMMIT;")


def prune(connection: sqlite3.Connection) -> None:
    """Delete what is older than the newest that are kept. An operation that has not ended is never deleted.

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    for table, kept, which in (
        ("events", KEPT_EVENTS, ""),
        ("audit", KEPT_AUDIT, ""),
        ("operations", KEPT_OPERATIONS, " AND ended"),
        ("boots", KEPT_BOOTS, ""),
        ("durations", KEPT_DURATIONS, ""),
    ):
        # Counted, for numbers may leap. Without so many rows the inner query is NULL, and nothing matches.
        oldest = f"SELECT number FROM {table} ORDER BY number DESC LIMIT 1 OFFSET {kept - 1}"  # noqa: S608
        connection.execute(f"DELETE FROM {table} WHERE number < ({oldest}){which}")  # noqa: S608
