"""What happened, kept: events, operations, audit (SQLite)."""
