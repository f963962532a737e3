"""How a node's part of an operation may end before it is done, and what a person may answer."""

from __future__ import annotations

EVIDENCE = 8
"""Lines of evidence that a record keeps."""

AGAIN, DONE, STOP = "again", "done", "stop"
"""What a person may answer when it is not known whether an interrupted step took effect."""


class NodeFailedError(Exception):
    """The node's part failed: `id` for programs, `message` for people, with the lines that show it."""

    def __init__(self, id: str, message: str, evidence: tuple[str, ...] = ()) -> None:  # noqa: A002 - the record's name
        super().__init__(message)
        self.id = id
        self.message = message
        self.evidence = evidence[-EVIDENCE:]


class NodeLeftError(Exception):
    """The node's part was cancelled; the message says what had been done."""
