"""journalctl of a simulated host. Forms and times as of systemd 257."""

from __future__ import annotations

import json
import re
import time

from plasmatui.sim.arguments import Options
from plasmatui.sim.nodejournal import JournalEntry
from plasmatui.sim.nodeshell import Call, Command
from plasmatui.sim.units import full_name


async def _journalctl(call: Call) -> int:
    aliases = {"unit": "u", "follow": "f", "lines": "n", "output": "o", "since": "S", "boot": "b", "priority": "p",
               "reverse": "r", "dmesg": "k", "until": "U"}  # fmt: skip
    values = ("u", "n", "o", "S", "U", "p", "t", "output-fields", "after-cursor", "cursor", "g", "grep")
    options = Options(call.arguments, values, aliases=aliases)
    units = {full_name(name) for name in options.each("u")}
    priority = int(options.get("p", "7")) if options.get("p", "7").isdigit() else 7
    since = _moment(options["S"], call.host.clock.wall()) if "S" in options else 0.0
    after = re.search(r"i=([0-9a-f]+)", options.get("after-cursor"))
    if since is None:
        return call.fail(f"Failed to parse timestamp: {options['S']}")

    def wanted(entry: JournalEntry) -> bool:
        if (units and entry.unit not in units) or entry.priority > priority or entry.wall < since:
            return False
        if "b" in options and entry.boot_id != call.host.journal.boot_id:
            return False
        return after is None or entry.number > int(after[1], 16)

    def show(entry: JournalEntry) -> None:
        call.say(_shown(entry, options.get("o", "short"), call.host.hostname))

    found = [entry for entry in call.host.journal.entries if wanted(entry)]
    count = options.get("n", "10" if "f" in options and after is None else "all")
    if count.lstrip("+").isdigit():
        found = found[len(found) - int(count) :] if int(count) < len(found) else found
    for entry in reversed(found) if "r" in options else found:
        show(entry)
    if not found and "f" not in options and "q" not in options:
        call.say("-- No entries --")
    if "f" in options:
        stop = call.host.journal.follow(lambda entry: show(entry) if wanted(entry) else None)
        try:
            await call.over.wait()
        finally:
            stop()
    return 0


def _moment(text: str, now: float) -> float | None:
    """Unix seconds of `@SECONDS`, a date and time (UTC), `-5min`, `10 minutes ago`, today; None when it is none."""
    if text.startswith("@"):
        return float(text[1:])
    if text in ("today", "yesterday", "now"):
        return now if text == "now" else now - now % 86400 - (86400 if text == "yesterday" else 0)
    found = re.fullmatch(r"-?(\d+)\s*(s|sec|second|m|min|minute|h|hour|d|day)s?( ago)?", text)
    if found is not None:
        return now - int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2][0]]
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"):
        try:
            stamp = time.strptime(text.removesuffix("Z").removesuffix(" UTC").partition(".")[0], form)
        except ValueError:
            continue
        return float(time.mktime(stamp) - time.timezone)
    return None


def _shown(entry: JournalEntry, form: str, host: str) -> str:
    if form in ("json", "json-pretty"):
        return json.dumps(entry.fields(host))
    return entry.message if form == "cat" else short_form(entry, host, iso=form.startswith("short-iso"))


def short_form(entry: JournalEntry, host: str, *, iso: bool = False) -> str:
    """As in a log file."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00" if iso else "%b %d %H:%M:%S", time.gmtime(entry.wall))
    return f"{at} {host} {entry.identifier}[{entry.pid}]: {entry.message}"


COMMANDS: dict[str, Command] = {"journalctl": _journalctl}
