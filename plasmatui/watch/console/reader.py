"""A serial console read as evidence: bytes in, signals out."""

from __future__ import annotations

import re
from typing import Any, Final

from plasmatui.model.boot import Evidence, Signal, SignalKind
from plasmatui.text import clean_line, decode
from plasmatui.watch.console.screen import SerialScreen
from plasmatui.watch.console.table import LITERALS, PRINTK, RULES, UNLOADABLE, Phase, Rule
from plasmatui.watch.facts import STALLED

K = SignalKind

_WORTH: Final = re.compile(LITERALS.encode())
_PRINTK_WORTH: Final = re.compile(PRINTK.encode())
_STAMPED: Final = frozenset(bytes([digit]) for digit in b" 0123456789FDT")
_EARLY: Final = tuple(rule for rule in RULES if rule.early)
_CLOCK: Final = re.compile(
    rb"\[?(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    rb"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)\]?:? "
)
"""The time that a console server or `ts` writes before a line; the machine itself does not."""
_WIDTH: Final = 80
"""Columns at which BIOS serial redirection breaks lines."""
_SEEN_CAP: Final = 4096
_JOINED_CAP: Final = 4096

_ATTEMPTS: Final = frozenset({K.PXE_START, K.IPXE_START, K.IPXE_FETCH, K.KERNEL})
"""What a machine may do again within one boot. Each time counts, and what follows it counts again."""
_PHASE: Final = {
    K.FIRMWARE: Phase.FIRMWARE,
    K.PXE_START: Phase.FIRMWARE,
    K.NO_BOOT_DEVICE: Phase.FIRMWARE,
    K.IPXE_START: Phase.IPXE,
    K.DISK_LOADER: Phase.LOADER,
    K.KERNEL: Phase.KERNEL,
    K.INITRD: Phase.USER,
    K.STAGE2: Phase.USER,
    K.SYSTEMD: Phase.USER,
    K.LOGIN: Phase.USER,
    K.REBOOT: Phase.FIRMWARE,
    K.POWER_OFF: Phase.FIRMWARE,
}
_STARTS: Final = frozenset({K.FIRMWARE, K.PXE_START, K.IPXE_START, K.DISK_LOADER, K.KERNEL})
STANDSTILL: Final = 60
"""Times that iPXE draws the same percentage, which it does every second, until a transfer is said to stand still."""
OVER_IPV6: Final = "(over IPv6)"
"""Stands behind what an error of the firmware says of an attempt over IPv6."""
_CARRY: Final = {
    K.PXE_FILE: ("file", "total", "server"),
    K.PXE_LOADED: ("file", "total"),
    K.PXE_ERROR: ("file", "server"),
    K.IPXE_ADDRESS: ("mac", "server"),
    K.IPXE_NO_ADDRESS: ("mac",),
}
"""Fields that a signal takes from earlier lines of the same attempt."""


class ConsoleReader:
    """The console of one node. `source` names it in the evidence. Never raises; memory is bounded.

    Signals depend on the bytes alone, not on how they are cut into chunks: what is seen early, before its line ends,
    is what the whole line says, too.
    """

    def __init__(self, node: str, source: str) -> None:
        self._node = node
        self._source = source
        self._screen = SerialScreen(self)
        self._wall: float | None = None
        self._out: list[Signal] = []
        self._phase: int = Phase.FIRMWARE
        self._system = False
        self._seen: set[tuple[object, ...]] = set()
        self._seen_line = 0
        self._line_seen: set[tuple[object, ...]] = set()
        self._carry = ""
        self._carry_line = 0
        self._memory: dict[str, str] = {}
        self._drawn = b""
        self._redrawn = 0
        self._announced = False
        self._loaded = False
        self._ipv4_tried = False
        self._ipv6 = False
        self._installer = False
        self._trouble = False

    def feed(self, data: bytes, wall: float | None) -> tuple[Signal, ...]:
        """The signals of a chunk; `wall` is its time in Unix seconds, None when it has none."""
        self._wall = wall
        self._screen.feed(data)
        return self._take()

    def flush(self) -> tuple[Signal, ...]:
        """The signals of what stands on an unfinished line; the stream has ended."""
        self._screen.finish()
        self._end_join()
        return self._take()

    def _take(self) -> tuple[Signal, ...]:
        out, self._out = tuple(self._out), []
        return out

    def on_line(self, raw: bytes, line: int) -> None:
        """A whole line (for the screen)."""
        raw = _own(raw)
        if self._carry:
            self._joined(raw, line)
        elif not self._system and len(raw) == _WIDTH:
            self._match(clean_line(decode(raw)), line, _EARLY)
            self._carry, self._carry_line = clean_line(decode(raw)), line
        elif _is_worth(raw):
            self._match(clean_line(decode(raw)).rstrip(), line, RULES)

    def on_glance(self, raw: bytes, line: int) -> None:
        """Text that is about to be erased or overwritten (for the screen)."""
        raw = _own(raw)
        self._whole(raw, line)
        if raw.endswith(b"%") and self._phase == Phase.IPXE:
            self._progress(raw, line)

    def _progress(self, raw: bytes, line: int) -> None:
        """iPXE draws its percentage once a second (src/core/monojob.c): the same one for long is a transfer that
        stands still."""
        if raw != self._drawn:
            self._drawn, self._redrawn = raw, 0
            return
        self._redrawn += 1
        percent = raw[-4:-1].strip()
        if self._redrawn == STANDSTILL and percent.isdigit() and int(percent) < 100:
            self._out.append(
                Signal(
                    kind=K.IPXE_FETCH,
                    evidence=Evidence(self._source, line, clean_line(decode(raw)).strip()),
                    wall=self._wall,
                    node=self._node,
                    file=self._memory.get("file", ""),
                    percent=float(percent),
                    code=STALLED,
                )
            )

    def on_pause(self, raw: bytes, line: int) -> None:
        """Text that stands on an unfinished line (for the screen)."""
        raw = _own(raw)
        if not self._carry and _is_worth(raw):
            self._match(clean_line(decode(raw)), line, _EARLY)

    def _whole(self, raw: bytes, line: int) -> bool:
        if not _is_worth(raw):
            return False
        return self._match(clean_line(decode(raw)).rstrip(), line, RULES)

    def _end_join(self) -> None:
        """What waited for its rest is all there is."""
        carry, self._carry = self._carry, ""
        if carry:
            self._match(carry.rstrip(), self._carry_line, RULES)

    def _joined(self, raw: bytes, line: int) -> None:
        """A line that firmware broke at the right margin is read together with its rest, at the line where it began."""
        text = clean_line(decode(raw))
        joined, began = self._carry + text, self._carry_line
        if len(raw) == _WIDTH and len(joined) < _JOINED_CAP:
            self._carry = joined
            return
        if self._match(joined.rstrip(), began, RULES):
            self._carry = ""
            return
        self._end_join()
        self._whole(raw, line)

    def _match(self, text: str, line: int, rules: tuple[Rule, ...]) -> bool:
        """Whether the text said something new."""
        new = False
        # A prompt that was cleaned of its last space is still a prompt.
        subject = text if text.endswith(" ") else text + " "
        for rule in rules:
            if not rule.phases & self._phase:
                continue
            found = rule.pattern.search(subject if rule.early else text)
            if found is None:
                continue
            new = self._said(rule, found, text, line) or new
            if not rule.more:
                break
        return new

    def _said(self, rule: Rule, found: re.Match[str], text: str, line: int) -> bool:
        fields: dict[str, Any] = {name: value for name, value in found.groupdict().items() if value is not None}
        if "mac" in fields:
            fields["mac"] = _mac(fields["mac"])
        if "uuid" in fields:
            fields["uuid"] = _uuid(fields["uuid"])
        for name in rule.remember:
            if name in fields:
                self._memory[name] = fields[name]
        if rule.kind is None:
            return False
        fields.setdefault("text", rule.text)
        fields.setdefault("code", rule.code)
        fields["text"] = fields["text"].strip()
        if rule.kind is K.PXE_ERROR:
            fields["code"] = fields["code"].upper()
        evidence = found.group().strip() if rule.early else text.strip()
        if not self._wanted(rule, fields) or not self._fresh(rule, fields, evidence, line):
            return False
        self._emit(rule, fields, Evidence(self._source, line, evidence))
        return True

    def _wanted(self, rule: Rule, fields: dict[str, Any]) -> bool:
        """What the state of the boot says of a line; completes its fields."""
        kind = rule.kind
        if kind is K.IPXE_START:
            if not rule.hard and self._announced:
                return False  # the banner of an iPXE that already said that it begins
        elif kind is K.PXE_ERROR:
            if self._ipv6 and self._ipv4_tried:
                return False  # IPv6 after IPv4: nobody answers, and nobody minds
            if self._ipv6:
                fields["text"] = f"{fields['text']} {OVER_IPV6}".strip()
        elif kind is K.PXE_LOADED:
            return not self._loaded
        elif kind is K.BOOT_REFUSED and rule.text == UNLOADABLE:
            return self._loaded and self._phase == Phase.FIRMWARE
        elif kind is K.IPXE_FETCHED and "name" in fields:
            name = fields.pop("name")
            url = self._memory.get("file", "")
            fields["file"] = url if url.split("?")[0].rsplit("/", 1)[-1] == name else name
        elif kind is K.IPXE_ERROR and fields["text"].startswith("Could not start download") and "named" in self._memory:
            fields["file"] = fields.get("file") or self._memory["named"]
        elif kind is K.LOGIN:
            if fields["code"] == "shell":
                if self._trouble:
                    return False  # a shell of last resort
                fields["code"] = "installer"
            self._installer = self._installer or fields["code"] == "installer"
            if self._installer and not fields["code"] and fields.get("host") in ("(none)", "installer", "localhost"):
                fields["code"] = "installer"
        return True

    def _fresh(self, rule: Rule, fields: dict[str, Any], evidence: str, line: int) -> bool:
        """Whether this was not said before: not at all in this boot, or, for attempts, not on this line."""
        kind = rule.kind
        says = fields["text"] or ("" if fields["code"] and kind is K.LOGIN else evidence)
        if kind in (K.IPXE_FETCH, K.PXE_FILE, K.IPXE_FETCHED):
            says = ""
        key = (
            kind,
            fields["code"],
            says,
            *(fields.get(n) for n in ("file", "ip", "host", "mac", "percent", "bytes", "total")),
        )
        if line != self._seen_line:
            self._seen_line = line
            self._line_seen.clear()
        attempt = kind in _ATTEMPTS or rule.hard
        if key in self._line_seen or (not attempt and key in self._seen):
            return False
        if len(self._line_seen) >= _SEEN_CAP:
            self._line_seen.clear()
        if len(self._seen) >= _SEEN_CAP:
            self._seen.clear()
        if attempt and "percent" not in fields:
            self._seen.clear()
        self._line_seen.add(key)
        self._seen.add(key)
        return True

    def _emit(self, rule: Rule, fields: dict[str, Any], evidence: Evidence) -> None:
        kind = rule.kind
        if kind is None:
            return
        self._advance(kind, rule, fields)
        for name in _CARRY.get(kind, ()):
            if not fields.get(name) and name in self._memory:
                fields[name] = self._memory[name]
        for name in ("total", "bytes"):
            if name in fields:
                fields[name] = int(str(fields[name])[:18])
        if "percent" in fields:
            fields["percent"] = float(min(100, int(fields["percent"])))
        fields.pop("name", None)
        self._out.append(Signal(kind=kind, evidence=evidence, wall=self._wall, node=self._node, **fields))

    def _advance(self, kind: SignalKind, rule: Rule, fields: dict[str, Any]) -> None:
        """What a signal says of where the machine is."""
        phase = _PHASE.get(kind)
        self._announced = kind is K.IPXE_START and rule.hard
        if kind in _STARTS and phase is not None and phase < self._phase:
            self._restart()  # it runs something that comes before what ran
        if kind is K.FIRMWARE and rule.hard:
            self._restart()
        if kind is K.PXE_START:
            self._loaded = False
            self._ipv6 = fields["text"].endswith("6")
            self._ipv4_tried = self._ipv4_tried or not self._ipv6
            for name in ("file", "total", "server"):
                self._memory.pop(name, None)
        elif kind is K.PXE_LOADED:
            self._loaded = True
        elif kind is K.IPXE_START:
            self._memory.pop("file", None)
        elif kind is K.KERNEL:
            self._installer = self._trouble = False
        elif kind is K.EMERGENCY:
            self._trouble = True
        if phase is not None:
            self._phase = phase
            self._system = phase in (Phase.KERNEL, Phase.USER)

    def _restart(self) -> None:
        """The machine begins anew: nothing that was said before counts."""
        self._seen.clear()
        self._memory.clear()
        self._loaded = self._ipv4_tried = self._ipv6 = self._installer = self._trouble = False


def _own(raw: bytes) -> bytes:
    """What the machine wrote of a line."""
    if raw[4:5] != b"-" and raw[5:6] != b"-" and raw[9:10] != b":" and raw[10:11] != b":":
        return raw
    stamp = _CLOCK.match(raw)
    return raw if stamp is None else raw[stamp.end() :]


def _is_worth(raw: bytes) -> bool:
    """Whether a line may say something, at little cost."""
    worth = _PRINTK_WORTH if raw[:1] == b"[" and raw[1:2] in _STAMPED else _WORTH
    return worth.search(raw) is not None


def _mac(text: str) -> str:
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def _uuid(text: str) -> str:
    """Lower case with hyphens; empty when it is not one of 32 digits."""
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    if len(digits) != 32:
        return ""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
