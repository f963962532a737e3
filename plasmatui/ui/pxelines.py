"""The PXE side as lines to read: services, logs, images, drift, unknown machines. What can be chosen has a key."""

from __future__ import annotations

from collections.abc import Sequence

from plasmatui.inventory.nodesets import fold
from plasmatui.model import wire
from plasmatui.model.boot import UnknownClient
from plasmatui.model.checks import CheckState
from plasmatui.ui.bars import age
from plasmatui.ui.checklines import state_parts
from plasmatui.ui.context import Context
from plasmatui.ui.dialogs.sources import source_parts
from plasmatui.ui.lines import Part, TextLine, text_line
from plasmatui.ui.pxeside import Look
from plasmatui.ui.spans import bytes_text

SERVICE, SOURCE, IMAGE, FILE, CLIENT, NOTHING = "service", "source", "image", "file", "client", "nothing"
"""What a line's key begins with."""

_IMAGE = {
    wire.ImageState.WHOLE: ("ok", "role-ok"),
    wire.ImageState.VERIFIED: ("ok", "role-ok"),
    wire.ImageState.DAMAGED: ("error", "bold role-error"),
}
_DRIFT = {
    wire.DriftState.SAME: ("ok", "role-ok"),
    wire.DriftState.DIFFERS: ("warning", "bold role-warning"),
    wire.DriftState.UNREADABLE: ("unknown", "bold role-unknown"),
    wire.DriftState.MISSING: ("off", "role-muted"),
}
_OK = {True: ("ok", "role-ok"), False: ("error", "bold role-error"), None: ("warning", "role-warning")}
_ARCHITECTURES = {0: "BIOS", 6: "UEFI IA-32", 7: "UEFI x64", 9: "UEFI x64", 11: "UEFI arm64", 16: "UEFI x64 HTTP"}
"""RFC 4578 section 2.1 with the registry that it opened; 7 is what x64 firmware sends in practice."""


def key_of(kind: str, name: str) -> str:
    """The key of a line."""
    return f"{kind} {name}"


def parse_key(key: str) -> tuple[str, str]:
    """What a line is about, and its name."""
    kind, _, name = key.partition(" ")
    return kind, name


def section_lines(context: Context) -> list[list[TextLine]]:
    """The sections from top to bottom: each a heading and lines, at least one of which can be chosen."""
    if context.store.past is not None:
        text = "services, their logs, images, drift and unknown machines are not kept of the past"
        return [[text_line((" the PXE side", "bold")), _nothing("past", text)]]
    return [_services(context), _images(context), _drift(context), _unknown(context)]


def wrong_parts(context: Context) -> list[Part]:
    """How much is wrong, for the line above the view."""
    store, side = context.store, context.store.pxe
    if store.past is not None:
        return []
    services = side.services.services if side.services is not None else ()
    images = side.images.versions if side.images is not None else ()
    files = side.drift.files if side.drift is not None else ()
    failed = sum(service.state is CheckState.FAILED for service in services)
    damaged = sum(image.state is wire.ImageState.DAMAGED for image in images)
    differ = sum(file.state is wire.DriftState.DIFFERS for file in files)
    unknown = len(store.unknown)
    counted = (
        (failed, "service failed", "services failed", "error"),
        (damaged, "image damaged", "images damaged", "error"),
        (differ, "file differs", "files differ", "warning"),
        (unknown, "unknown machine", "unknown machines", "warning"),
    )
    return [(f"  {n} {one if n == 1 else many}", f"bold role-{role}") for n, one, many, role in counted if n]


def _heading(context: Context, title: str, kind: type[Look], at: float | None, *more: Part) -> TextLine:
    problem = context.store.pxe.problems.get(kind, "")
    when = f"  looked at {age(context.clock() - at)} ago" if at else "" if problem else "  looking ..."
    trouble: Part = (f"  {context.glyphs['error']} {problem}", "role-error") if problem else ("", "")
    return text_line((f" {title}", "bold"), *more, (when, "role-muted"), trouble)


def _nothing(name: str, text: str, role: str = "role-muted") -> TextLine:
    return text_line((f"   {text}", role), key=key_of(NOTHING, name))


def _services(context: Context) -> list[TextLine]:
    told = context.store.pxe.services
    lines = [_heading(context, "services", wire.AskPxeServices, told.at if told is not None else None)]
    if told is None:
        lines.append(_nothing("services", "not known yet"))
    for service in told.services if told is not None else ():
        head: list[Part] = [("   ", ""), state_parts(context, service.state)]
        head += [(f"{service.name:<12} ", "bold"), (f"{service.software:<10} ", "role-muted")]
        lines.append(text_line(*head, (service.reason, ""), key=key_of(SERVICE, service.name)))
        if service.fix and service.state is not CheckState.OK:
            lines.append(text_line(("      fix ", "role-muted"), (service.fix, "role-busy")))
    if told is not None and not told.services:
        lines.append(_nothing("services", "the inventory names no PXE server (pxe.server)"))
    lines.append(text_line((" logs of the services", "bold")))
    for name, source in sorted(context.store.sources.items()):
        lines.append(text_line(("   ", ""), *source_parts(context, source), key=key_of(SOURCE, name)))
    if not context.store.sources:
        lines.append(_nothing("logs", "none: the inventory names no `logs:`"))
    return lines


def _images(context: Context) -> list[TextLine]:
    told = context.store.pxe.images
    if told is None:
        return [_heading(context, "images", wire.AskImages, None), _nothing("images", "not known yet")]
    lines = [_heading(context, "images", wire.AskImages, told.at, (f"  {told.root}", "role-muted"))]
    if told.problem:
        return [*lines, _nothing("images", f"{context.glyphs['error']} {told.problem}", "role-error")]
    for version in told.versions:
        lines += _version(context, version, told.versions)
    if not told.versions:
        lines.append(_nothing("images", "no version is published: plasmatui images build, then deploy"))
    for profile in told.unmanaged:
        text = f"   {context.glyphs['none']} nixos/{profile} is a directory of your own, no version: left alone"
        lines.append(text_line((text, "role-muted")))
    for check in told.script:
        glyph, role = _OK[check.ok]
        lines.append(text_line((f"   {context.glyphs[glyph]} {check.name}: ", role), (check.message, "")))
    if told.unknown and told.versions:
        lines.append(text_line(("   not known what they booted last: ", "role-muted"), (fold(told.unknown), "")))
    return lines


def _version(context: Context, version: wire.ImageVersion, versions: Sequence[wire.ImageVersion]) -> list[TextLine]:
    glyph, role = _IMAGE[version.state]
    state: Part = (f"   {context.glyphs[glyph]} {version.state:<8} ", role)
    if version.name in context.store.pxe.reading:
        read = bytes_text(context.store.pxe.reading[version.name])
        state = (f"   {context.glyphs['busy']} read {read:<7}", "bold role-busy")
    size = bytes_text(version.size) if version.files else "?"
    since = age(context.clock() - version.deployed) if version.deployed else "?"
    by = f"booted by {fold(version.nodes)}" if version.nodes else ""
    width = max(len(each.name) for each in versions)
    lines = [
        text_line(
            state,
            ("active " if version.active else "-      ", "bold role-ok" if version.active else "role-muted"),
            (f"{version.name:<{width}}  ", "bold"),
            (f"{size:>7}  {since:>4}  ", "role-muted"),
            (by, ""),
            key=key_of(IMAGE, version.name),
        )
    ]
    if version.reason:
        lines.append(text_line((f"      {version.reason}", role)))
        lines.append(text_line(("      fix ", "role-muted"), (version.fix, "role-busy")))
    return lines


def _drift(context: Context) -> list[TextLine]:
    told = context.store.pxe.drift
    title = "drift of rendered files"
    if told is None:
        return [_heading(context, title, wire.AskDrift, None), _nothing("drift", "not known yet")]
    lines = [_heading(context, title, wire.AskDrift, told.at, (f"  {told.directory}", "role-muted"))]
    if told.problem:
        return [*lines, _nothing("drift", f"{context.glyphs['unknown']} {told.problem}", "role-unknown")]
    for file in told.files:
        glyph, role = _DRIFT[file.state]
        reason = f"  {file.reason}" if file.reason else ""
        parts: tuple[Part, ...] = (
            (f"   {context.glyphs[glyph]} {file.state:<10} ", role),
            (f"{file.output:<10} ", "role-muted"),
            (file.path, "" if file.state is wire.DriftState.MISSING else "bold"),
            (reason, role),
        )
        lines.append(text_line(*parts, key=key_of(FILE, file.relative)))
    hidden = sum(told.counts.values()) - told.counts.get(wire.DriftState.SAME, 0) - len(told.files)
    if hidden > 0:
        lines.append(text_line((f"   and {hidden} more", "role-muted")))
    same = told.counts.get(wire.DriftState.SAME, 0)
    with_images = ", the boot script with the active images" if told.images else ""
    text = f"{context.glyphs['ok']} {same} {'file' if same == 1 else 'files'} as rendered now{with_images}"
    lines.append(_nothing("drift", text, "role-ok" if same else "role-muted"))
    return lines


def _unknown(context: Context) -> list[TextLine]:
    lines = [text_line((" machines that ask and that the inventory does not name", "bold"))]
    for client in sorted(context.store.unknown, key=lambda each: each.mac):  # who asks does not jump to the end
        lines.append(_client(client, context.clock()))
    return lines if len(lines) > 1 else [*lines, _nothing("unknown", "none")]


def _client(client: UnknownClient, now: float) -> TextLine:
    arch = "" if client.arch is None else _ARCHITECTURES.get(client.arch, f"architecture {client.arch}")
    last = f", last {age(now - client.last)} ago" if client.last is not None else ""
    return text_line(
        (f"   {client.mac}  ", "bold role-warning"),
        (f"{client.ip or '-':<16} {arch:<13} ", ""),
        (f"{client.vendor}  {client.hostname}  ", ""),
        (f"{client.requests} requests{last}", "role-muted"),
        key=key_of(CLIENT, client.mac),
    )


def version_lines(context: Context, version: wire.ImageVersion) -> list[TextLine]:
    """A version in full: what is known of it, who boots it, its files, its checks, what can be done with it."""
    now, side = context.clock(), context.store.pxe
    glyph, role = _IMAGE[version.state]
    seen = f", read {age(now - version.verified)} ago" if version.verified else ", by sizes; v reads it"
    dirty = " with changes that are not committed" if version.dirty else ""
    facts: list[tuple[str, list[Part]]] = [
        ("state", [(f"{context.glyphs[glyph]} {version.state}", role), (seen, "role-muted")]),
        ("", [(version.reason, role)]),
        ("profile", [(version.profile, "bold"), (", machines boot it now" if version.active else ", not active", "")]),
        ("booted by", [(fold(version.nodes) if version.nodes else "no node that is known", "")]),
        ("deployed", [(f"{age(now - version.deployed)} ago" if version.deployed else "not known", "")]),
        ("built", [(f"{age(now - version.built)} ago" if version.built else "not known", "")]),
        ("revision", [(f"{version.revision or 'not known'}{dirty}", "")]),
        ("kernel", [(version.architecture or "not known", "")]),
        ("init", [(version.init or "not known", "")]),
    ]
    lines = [text_line((f" {word:<10} ", "role-muted"), *parts) for word, parts in facts if parts[0][0]]
    lines.append(text_line((" manifest", "bold")))
    for file in version.files:
        lines.append(text_line((f"   {file.name:<14} {bytes_text(file.size):>8}  ", ""), (file.sha256, "role-muted")))
    if not version.files:
        lines.append(text_line(("   none that can be read", "role-error")))
    verified = side.verified.get(version.name)
    if verified is not None and version.verified:
        lines.append(text_line((" checks", "bold")))
        for check in verified.checks:
            sign, part = _OK[check.ok]
            lines.append(text_line((f"   {context.glyphs[sign]} {check.name}: ", part), (check.message, "")))
    lines.append(text_line((" commands", "bold")))
    previous = side.images.previous.get(version.profile, "") if side.images is not None else ""
    commands = [f"plasmatui images verify {version.name}"]
    if version.active and previous:
        commands.append(f"plasmatui images rollback {version.profile}")
    elif not version.active:
        commands.append(f"plasmatui images activate {version.name}")
    commands.append(f"plasmatui images deploy {version.profile}")
    return [*lines, *(text_line((f"   {command}", "role-busy")) for command in commands)]


def diff_lines(context: Context, diff: wire.DriftDiff) -> list[TextLine]:
    """A diff: from what is deployed to what is rendered."""
    glyph, role = _DRIFT[diff.file.state]
    state = f" {context.glyphs[glyph]} {diff.file.state} "
    lines = [
        text_line((state, role), (f"{diff.file.reason}  ", ""), ("fix ", "role-muted"), (diff.file.fix, "role-busy"))
    ]
    roles = {"+": "role-ok", "-": "role-error", "@": "role-busy"}
    lines += [text_line((line, roles.get(line[:1], ""))) for line in diff.lines]
    if diff.more:
        lines.append(text_line((f" and {diff.more} more lines: plasmatui render --diff", "role-muted")))
    if not diff.lines and not diff.file.reason:
        lines.append(text_line((" there is no difference any more", "role-ok")))
    return lines
