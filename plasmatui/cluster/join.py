"""How far a node's first boot is: from the journal of its join units and from the members (runbook, 5.4 and 8.3).

`chainfire-cluster-join.service` and `flaredb-cluster-join.service` log JSON lines with `level` and `message`. They are
read as they are, behind a journal's prefix, or inside `journalctl -o json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import msgspec

from plasmatui.cluster.members import GROUPS, RaftGroup
from plasmatui.cluster.services import joined
from plasmatui.cluster.shapes import cleaned, mapping, text
from plasmatui.text import clean_line

UNITS: Final = {group: f"{group}-cluster-join.service" for group in GROUPS}
LINE_LIMIT: Final = 64 * 1024
_UNIT: Final = re.compile(r"(chainfire|flaredb)-cluster-join")
_OWNERS: Final = ("UNIT", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER")
_STAMP: Final = "__REALTIME_TIMESTAMP"
_ERRORS: Final = frozenset({"error", "fatal", "critical"})


class JoinState(StrEnum):
    """How far a node is into a group. `unknown`: nothing was heard; `refused`: it gave up, or was refused."""

    UNKNOWN = "unknown"
    WAITING = "waiting"
    JOINING = "joining"
    JOINED = "joined"
    VOTER = "voter"
    REFUSED = "refused"


@dataclass(frozen=True)
class JoinLine:
    """One line of a join unit. `group`: "" when the line does not say; `at`: Unix seconds, None without a time."""

    message: str
    level: str = ""
    group: str = ""
    at: float | None = None


@dataclass(frozen=True)
class JoinProgress:
    """How far a node is into one group.

    Attributes:
        message: the newest line that says so. reason, remedy: of a refusal.
        finding: "join-refused" or "first-boot-timeout" for a refusal, else "".
        bootstrap: it was one of those that formed the cluster.
    """

    group: str
    state: JoinState = JoinState.UNKNOWN
    message: str = ""
    reason: str = ""
    remedy: str = ""
    finding: str = ""
    bootstrap: bool = False
    at: float | None = None


@dataclass(frozen=True)
class _Refusal:
    """A reason to give up. `documented`: its words mean that at any level, not only in an error."""

    pattern: re.Pattern[str]
    finding: str
    reason: str
    remedy: str
    documented: bool = True


# Runbook, section 8.3: the errors and their causes.
_REFUSALS: Final = (
    _Refusal(
        re.compile(r"health check timeout", re.IGNORECASE),
        "first-boot-timeout",
        "its own {group} did not become healthy in time",
        "Look at `systemctl status {group}.service` and `journalctl -u {group}.service` on the node: "
        "certificates, port, permissions of its secrets.",
    ),
    _Refusal(
        re.compile(r"configuration file not found", re.IGNORECASE),
        "join-refused",
        "its cluster-config.json is missing",
        "Put cluster-config.json into /etc/nixos/secrets (`secrets/` of the node's configuration) and install again, "
        "or restart {group}-cluster-join.service.",
    ),
    _Refusal(
        re.compile(r"certificate|tls|x509", re.IGNORECASE),
        "join-refused",
        "a TLS certificate is not accepted",
        "Check that node and leader have certificates of the same CA that are valid, and the node's clock.",
        documented=False,
    ),
    _Refusal(
        re.compile(r"already (?:a )?member|already exists|duplicate", re.IGNORECASE),
        "join-refused",
        "the cluster has a member of this name already",
        "Remove the old member first, then restart {group}-cluster-join.service on the node.",
        documented=False,
    ),
    _Refusal(
        re.compile(r"join request failed", re.IGNORECASE),
        "join-refused",
        "the leader cannot be reached or refuses it",
        "Check `leader_url` in the node's cluster-config.json, that the leader runs, and the firewall; "
        "then restart {group}-cluster-join.service on the node.",
    ),
)
_COMPLETE: Final = re.compile(r"cluster join complete", re.IGNORECASE)
_FORMED: Final = re.compile(r"cluster initialized|bootstrap", re.IGNORECASE)
_LOCAL: Final = re.compile(r"local \w+ healthy", re.IGNORECASE)
_WAITING: Final = re.compile(r"waiting for", re.IGNORECASE)


def parse_line(line: str) -> JoinLine | None:
    """A line of a join unit, clean; None for any other line. Never raises."""
    if len(line) > LINE_LIMIT or "{" not in line:
        return None
    prefix, _, rest = line.partition("{")
    record = _json("{" + rest)
    if "MESSAGE" in record:
        return _from_journal(record)
    named = _UNIT.search(prefix)
    if prefix.strip() and named is None:
        return None
    return _told(record, named.group(1) if named else "")


def _from_journal(record: Mapping[str, object]) -> JoinLine | None:
    """An entry of `journalctl -o json`: `__REALTIME_TIMESTAMP` is in microseconds (systemd.journal-fields(7))."""
    fields = mapping(cleaned({key: record.get(key) for key in (*_OWNERS, _STAMP)}))
    named = next(filter(None, (_UNIT.match(text(fields, owner)) for owner in _OWNERS)), None)
    message = record["MESSAGE"]
    if isinstance(message, list):  # bytes that are no UTF-8, or hold control characters
        data = bytes(byte for byte in message if isinstance(byte, int) and 0 <= byte < 256)
        message = data.decode("utf-8", "replace")
    if named is None or not isinstance(message, str):
        return None
    stamp = text(fields, _STAMP)
    at = int(stamp) / 1e6 if stamp.isascii() and stamp.isdigit() and len(stamp) < 19 else None
    told = _told(_json(message), named.group(1), at)
    shown = clean_line(message)
    return told or (JoinLine(shown, "", named.group(1), at) if shown else None)


def _told(record: Mapping[str, object], group: str, at: float | None = None) -> JoinLine | None:
    fields = mapping(cleaned(record))
    message = text(fields, "message", "msg")
    return JoinLine(message, text(fields, "level").lower(), group, at) if message else None


def _json(line: str) -> Mapping[str, object]:
    """The object that a text is in JSON; an empty one for anything else."""
    try:
        found: object = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def follow(progress: JoinProgress, line: JoinLine) -> JoinProgress:
    """The progress after one more line. Pure; a line of another group changes nothing."""
    if line.group and line.group != progress.group:
        return progress
    base = replace(progress, message=line.message, at=line.at if line.at is not None else progress.at)
    said = line.message
    for refusal in _REFUSALS:
        if (refusal.documented or line.level in _ERRORS) and refusal.pattern.search(said):
            reason, remedy = (each.format(group=progress.group) for each in (refusal.reason, refusal.remedy))
            return replace(base, state=JoinState.REFUSED, reason=reason, remedy=remedy, finding=refusal.finding)
    if line.level in _ERRORS:
        return replace(base, state=JoinState.REFUSED, reason=said, remedy="", finding="join-refused")
    quiet = replace(base, reason="", remedy="", finding="")
    if _COMPLETE.search(said):
        return replace(quiet, state=JoinState.JOINED)
    if _LOCAL.search(said):
        return replace(quiet, state=JoinState.JOINING)
    if _FORMED.search(said):
        return replace(quiet, state=JoinState.JOINING, bootstrap=True)
    if _WAITING.search(said):
        return replace(quiet, state=JoinState.WAITING)
    return replace(base, state=JoinState.JOINING) if base.state is JoinState.UNKNOWN else base


def progress(group: str, lines: Iterable[str]) -> JoinProgress:
    """How far a node is into a group by the lines of its journal, oldest first."""
    found = JoinProgress(group)
    for line in lines:
        parsed = parse_line(line)
        if parsed is not None:
            found = follow(found, parsed)
    return found


def confirmed(found: JoinProgress, group: RaftGroup, node: str) -> JoinProgress:
    """The progress beside what the members say: only they make a node a voter.

    A node that says it joined, and that a readable group does not list, is still joining; a refusal of an earlier try
    is over when the group lists the node as healthy.
    """
    shown = joined(group, node)
    member = group.member(node)
    if shown.ok and member is not None:
        state = JoinState.VOTER if member.voter else JoinState.JOINED
        return replace(found, state=state, message=shown.message, reason="", remedy="", finding="")
    if found.state is JoinState.JOINED and group.readable:
        return replace(found, state=JoinState.JOINING, message=shown.message)
    return found
