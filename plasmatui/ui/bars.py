"""The one-line bars around every view: standing of the cluster, running operations, keys."""

from __future__ import annotations

import time
from collections import Counter

from plasmatui.model.words import Power, Role
from plasmatui.text import clean_line
from plasmatui.ui import glyphs
from plasmatui.ui.actions import ACTIONS
from plasmatui.ui.context import Context
from plasmatui.ui.jobs import held_chip
from plasmatui.ui.lines import Part

WIDE = 100
"""Columns from which on there is room for words that one can do without."""


def age(seconds: float) -> str:
    """A span as people say it: 35s, 4m, 3h, 9d."""
    seconds = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def clock_text(wall: float, *, seconds: bool = True) -> str:
    """A time of day in UTC."""
    return time.strftime("%H:%M:%S" if seconds else "%H:%MZ", time.gmtime(wall))


def status_parts(context: Context, fresh: int, width: int) -> tuple[list[Part], list[Part]]:
    """The top line: cluster, environment, RW or RO, counts, findings; link and clock at the right."""
    store, glyph = context.store, context.glyphs
    welcome = store.welcome
    left: list[Part] = [(" plasmatui ", "bold role-busy")] if width >= WIDE else [(" ", "")]
    if welcome is not None:
        left.append((f"{clean_line(welcome.cluster, 32)} ", "bold"))
        if welcome.environment:
            left.append((f"({clean_line(welcome.environment, 16)}) ", "role-warning"))
    left.append((" RO ", "reverse role-warning") if context.read_only else (" RW ", "role-ok"))
    if context.role is not Role.ADMIN:
        left.append((f" {context.role} ", "reverse role-busy"))
    if width >= WIDE:
        left.append((f" {len(store.nodes)} nodes ", ""))
    powers = Counter(store.state(name).power.value for name in store.nodes)
    for power in Power:
        if powers[power]:
            name, role = glyphs.POWER[power]
            left.append((f" {glyph[name]} {powers[power]} {power}", f"role-{role}"))
    severities = Counter(finding.severity for state in store.states.values() for finding in state.findings)
    for severity in reversed(glyphs.SEVERITY):
        if severities[severity]:
            name, role = glyphs.SEVERITY[severity]
            left.append((f"  {glyph[name]} {severities[severity]} {severity}", f"role-{role}"))
    right: list[Part] = held_chip(context)
    if others := len(store.others):
        right.append((f" {others} other{'s' if others > 1 else ''} here ", "role-busy"))
    if context.frozen:
        right.append((f" FROZEN +{fresh} ", "reverse role-warning"))
    if store.link.online:
        right.append((" link ok ", "role-ok"))
    else:
        gone = store.clock() - (store.link.seen or store.link.since)
        right.append((f" STALE {age(gone)} ", "reverse role-error"))
    right.append((f" {clock_text(context.clock(), seconds=False)} ", ""))
    return left, right


def banner_parts(context: Context, width: int) -> tuple[list[Part], list[Part]]:
    """Why the engine is not there, and the keys that help; while it is, the past moment that is shown, if any. What
    does not fit of the reason is cut, and one of the keys shows all of it."""
    link = context.store.link
    if link.online:
        return past_parts(context, width)
    wait = max(0, int(link.retry_at - context.store.clock() + 0.999)) if link.retry_at else 0
    wide = width >= WIDE
    then = f"{'next ' if wide else ''}try in {wait}s" if wait else "trying now"
    keys = "(ctrl+r: now, and start one; !: all) " if wide else "ctrl+r: now  !: all "
    return (
        [(f" {context.glyphs['error']} engine not connected, {then} ", "bold role-error"), (link.reason, "role-error")],
        [(f" {keys}", "role-warning")],
    )


def past_parts(context: Context, width: int) -> tuple[list[Part], list[Part]]:
    """The moment that is shown, how long ago it was, and the keys that lead away; nothing in the present."""
    past = context.store.past
    if past is None:
        return [], []
    ago = context.store.clock() - past.at
    day = time.strftime("%Y-%m-%d ", time.gmtime(past.at)) if ago >= 43200 else ""
    left: list[Part] = [
        (f" AT {day}{clock_text(past.at)} ", "reverse role-warning"),
        (f" {age(ago)} ago ", "bold role-warning"),
    ]
    if past.silent:
        left.append((f" no engine ran; known until {clock_text(past.silent)} ", "role-error"))
    first = context.keymap.first
    minute = f"{first('global.earlier')} {first('global.later')} a minute"
    event = f"{first('global.event_before')} {first('global.event_after')} an event"
    keys = f" {minute}  {event}  :now " if width >= WIDE else f" {minute}  :now "
    return left, [(keys, "role-busy")]


VIEWS = {"nodes": "nodes", "consoles": "consoles", "logs": "logs", "operations": "ops", "health": "health",
         "boot": "boot"}  # fmt: skip
"""The views that have digits, with what the second line calls them."""


def view_parts(context: Context, shown: str, room: int) -> list[Part]:
    """The views with their keys, the one in sight marked; in short where there is little room, else nothing."""
    parts: list[Part] = []
    for name, word in VIEWS.items():
        here = name == shown
        parts.append((f" {context.keymap.first(f'global.{name}')}", "bold role-busy"))
        parts.append((f"[{word}]" if here else f" {word}", "bold" if here else "role-muted"))
    if sum(len(text) for text, _ in parts) + 3 > room:
        keys = [context.keymap.first(f"global.{name}") for name in VIEWS]
        parts = [(f" {keys[0]}-{keys[-1]}", "bold role-busy"), (" views", "role-muted")]
        if sum(len(text) for text, _ in parts) + 3 > room:
            return []
    return [*parts, (" ", "")]


def key_parts(context: Context, scope: str, width: int) -> list[Part]:
    """The footer: keys of the scope, as many as fit whole, then the global ones; what cannot be done now is dim. While
    somebody writes: the keys after the prefix, and the one that lists them all."""
    parts: list[Part] = []
    last = _keys_of(context, "global")
    entries = _keys_of(context, scope)
    if scope == "writing":
        parts = [(" WRITE ", "reverse role-write"), (" ctrl+e, then ", "bold role-write")]
        *entries, help_entry = _keys_of(context, scope)
        last = [help_entry]
    room = width - sum(len(text) for entry in [parts, *last] for text, _ in entry)
    for entry in entries:
        size = sum(len(text) for text, _ in entry)
        if size <= room:
            room -= size
            parts += entry
    return [*parts, *(part for entry in last for part in entry)]


def _keys_of(context: Context, scope: str) -> list[list[Part]]:
    entries: list[list[Part]] = []
    for action in ACTIONS:
        key = context.keymap.first(action.id)
        if action.footer and action.scope == scope and key:
            off = bool(context.disabled(action))
            style = "dim role-muted" if off else "bold role-write" if action.acts else "bold role-busy"
            entries.append([(f" {key}", style), (f" {action.footer} ", "dim role-muted" if off else "")])
    return entries
