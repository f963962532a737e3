"""What was seen of one boot: bounded counts and first and last sightings, recorded in constant time per signal.

Meaning is made of it when somebody looks (`stages`, `diagnosis`), so that the order in which sources are heard matters
little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from operator import attrgetter

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.watch.names import Role, name_of, role_of

MARKS_KEPT = 160
HOST_KEYS_KEPT = 16
EXCHANGES_KEPT = 24
ANSWERS_KEPT = 8
ALSO_ANSWERS = 5.0
"""Seconds within which another server answers the same question."""

STALLED = "stalled"
"""The code of an `IPXE_FETCH` that stands still."""

DHCP = frozenset(
    {
        SignalKind.DHCP_DISCOVER,
        SignalKind.DHCP_OFFER,
        SignalKind.DHCP_PROXY,
        SignalKind.DHCP_REQUEST,
        SignalKind.DHCP_ACK,
        SignalKind.DHCP_NAK,
        SignalKind.DHCP_IGNORED,
        SignalKind.DHCP_RELEASE,
    }
)
LOGS = DHCP | {
    SignalKind.SERVER_UP,
    SignalKind.SERVER_DOWN,
    SignalKind.TFTP_REQUEST,
    SignalKind.TFTP_DONE,
    SignalKind.TFTP_ERROR,
    SignalKind.HTTP_REQUEST,
    SignalKind.HTTP_PROGRESS,
    SignalKind.HTTP_ERROR,
}
_FILES = frozenset(
    {
        SignalKind.TFTP_REQUEST,
        SignalKind.TFTP_DONE,
        SignalKind.TFTP_ERROR,
        SignalKind.HTTP_REQUEST,
        SignalKind.HTTP_PROGRESS,
        SignalKind.HTTP_ERROR,
        SignalKind.IPXE_FETCH,
        SignalKind.IPXE_FETCHED,
        SignalKind.IPXE_ERROR,
        SignalKind.PXE_FILE,
        SignalKind.PXE_LOADED,
    }
)

_PROGRESS = frozenset({SignalKind.IPXE_FETCH, SignalKind.HTTP_PROGRESS})
_ANSWERS = frozenset({SignalKind.DHCP_OFFER, SignalKind.DHCP_ACK, SignalKind.DHCP_NAK})
_BOOT_AGENT = re.compile(r"^(UefiHttpBoot|[ig]PXE|GRUB|Syslinux|PXE|U-Boot|plasmatui-sim)", re.I)


def is_boot_client(signal: Signal) -> bool:
    """Whether an HTTP line is of a loader: not of curl, Nix or a browser, which a running system has."""
    return signal.ipxe is not False or not signal.text or _is_boot_agent(signal.text)


@lru_cache(256)
def _is_boot_agent(agent: str) -> bool:
    return _BOOT_AGENT.match(agent) is not None


def is_aside(signal: Signal) -> bool:
    """Whether a line is about what a running system fetches by HTTP, packages for one: of any number of such lines it
    matters only that they were."""
    if signal.kind is SignalKind.HTTP_PROGRESS:
        return not is_boot_client(signal)
    good = signal.kind is SignalKind.HTTP_REQUEST and signal.status is not None and signal.status < 400
    return good and not is_boot_client(signal) and role_of(signal.file) is Role.UNKNOWN


@dataclass(slots=True)
class Mark:
    """Signals of one kind about one thing: the first, the last, how many. `order` counts the signals of a boot."""

    first: Signal
    last: Signal
    first_order: int
    last_order: int
    count: int = 1
    bytes: int = 0  # of partial answers together

    @property
    def kind(self) -> SignalKind:
        return self.first.kind


_first_order = attrgetter("first_order")


@dataclass(slots=True)
class Exchange:
    """One DHCP conversation, from the first question to the answer."""

    order: int
    first: Signal
    last_order: int
    asked: int = 0
    offer: Signal | None = None
    proxy: Signal | None = None
    ack: Signal | None = None
    ack_order: int = 0
    refused: Signal | None = None
    ipxe: bool | None = None
    arch: int | None = None
    vendor: str = ""
    file: str = ""
    xid: str = ""
    ips: set[str] = field(default_factory=set)
    taken: Signal | None = None  # the question that takes an offer: it names the server (RFC 2131 section 4.3.2)
    declined: Signal | None = None  # the machine found that its address is another's (RFC 2131 section 3.1)
    answers: list[Signal] = field(default_factory=list)  # the first offer, acknowledgement and refusal of each log

    @property
    def by_firmware(self) -> bool:
        """A PXE ROM or UEFI asks (RFC 4578 section 2.1 and 3: option 60 and 93), not iPXE and no system."""
        return self.ipxe is not True and (self.vendor.startswith(("PXEClient", "HTTPClient")) or self.arch is not None)

    def absorb(self, signal: Signal, order: int) -> None:
        """Take one more signal of this conversation."""
        self.last_order = order
        kind = signal.kind
        if signal.ipxe is not None and self.ipxe is not True:
            self.ipxe = signal.ipxe
        self.arch = signal.arch if signal.arch is not None else self.arch
        self.vendor = signal.vendor or self.vendor
        self.file = signal.file or self.file
        self.xid = signal.xid or self.xid
        if signal.ip and len(self.ips) < 8:
            self.ips.add(signal.ip)
        if kind in _ANSWERS:
            told = any(a.kind is kind and a.evidence.file == signal.evidence.file for a in self.answers)
            if not told and len(self.answers) < ANSWERS_KEPT:
                self.answers.append(signal)
        if kind is SignalKind.DHCP_REQUEST and signal.server:
            self.taken = signal
        if kind is SignalKind.DHCP_OFFER:
            self.offer = self.offer or signal
        elif kind is SignalKind.DHCP_PROXY:
            self.proxy = self.proxy or signal
        elif kind is SignalKind.DHCP_ACK:
            if self.ack is None:
                self.ack, self.ack_order = signal, order
        elif kind in (SignalKind.DHCP_NAK, SignalKind.DHCP_IGNORED):
            self.refused = signal
        elif kind is SignalKind.DHCP_RELEASE and signal.code == "declined":
            self.declined = signal
        elif kind in (SignalKind.DHCP_DISCOVER, SignalKind.DHCP_REQUEST):
            self.asked += 1

    def continues(self, signal: Signal) -> bool:
        """Whether a signal belongs to this conversation rather than to a new one."""
        if signal.xid and self.xid:
            return signal.xid == self.xid
        if signal.ipxe is not None and self.ipxe is not None and signal.ipxe != self.ipxe:
            return False
        if self.ack is None:
            return True
        return signal.kind is SignalKind.DHCP_RELEASE or self._also_answers(self.ack, signal)

    @staticmethod
    def _also_answers(ack: Signal, signal: Signal) -> bool:
        """Whether another server's log tells its own answer to the question that is answered already."""
        if signal.kind not in _ANSWERS or signal.evidence.file == ack.evidence.file:
            return False
        return signal.wall is None or ack.wall is None or abs(signal.wall - ack.wall) < ALSO_ANSWERS


class BootFacts:
    """One boot of one node as it was seen. `number` counts from 1."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.order = 0
        self.marks: dict[tuple[SignalKind, str, str], Mark] = {}
        self._by_kind: dict[SignalKind, list[Mark]] = {}  # in order of first sighting
        self.exchanges: list[Exchange] = []
        self.begin: float | None = None
        self.last_wall: float | None = None
        self.heard_at = 0.0  # the engine's clock when something was last heard
        self.skew = 0.0  # seconds that a line was ahead of the engine's clock
        self.skew_line: Signal | None = None
        self.loader_rounds = 0
        self._loader_file = ""
        self._exchange_of_round = -1
        self._answered = 0
        self.http_script: Mark | None = None
        self.fetched = 0  # how far servers' logs saw it come: 1 script, 2 kernel, 3 initrd
        self.fetched_wall: float | None = None
        self.fetched_order = 0
        self.console = 0  # how far its console saw it come: 1 PXE or iPXE, 2 kernel, 3 userspace
        self.console_wall: float | None = None
        self.beside_logs = False  # something was seen that no server's log tells: on its console, or by ourselves
        self.ended = False  # its console saw a reboot, power-off or panic
        self.off_wall: float | None = None  # when it had no power any more
        self.host_keys: set[str] = set()  # fingerprints that its console showed

    def record(self, signal: Signal, now: float) -> bool:
        """Take a signal; whether it says something new."""
        self.order += 1
        self.heard_at = max(self.heard_at, now)
        wall = signal.wall
        if wall is not None:
            if self.begin is None or wall < self.begin:
                self.begin = wall
            if self.last_wall is None or wall > self.last_wall:
                self.last_wall = wall
        if signal.kind in DHCP:
            return self._dhcp(signal)
        if signal.kind in (SignalKind.TFTP_REQUEST, SignalKind.TFTP_DONE):
            self._loader(signal)
        elif signal.kind is SignalKind.HTTP_REQUEST:
            self._http(signal)
        elif signal.kind not in LOGS:
            self._console(signal)
        return self._mark(signal)

    def find(self, *kinds: SignalKind) -> list[Mark]:
        """The marks of these kinds, in order of first sighting."""
        by_kind = self._by_kind
        found = [by_kind[kind] for kind in kinds if kind in by_kind]
        if len(found) < 2:  # most kinds are not there
            return found[0][:] if found else []
        return sorted(chain.from_iterable(found), key=_first_order)

    def has(self, *kinds: SignalKind) -> bool:
        return not self._by_kind.keys().isdisjoint(kinds)

    def kinds(self) -> frozenset[SignalKind]:
        """The kinds that there are marks of."""
        return frozenset(self._by_kind)

    def take_last_question(self) -> Exchange | None:
        """Give away the last conversation, when it turns out to be the first of the next boot."""
        if self.exchanges and self.exchanges[-1].order > self.fetched_order and not self.exchanges[-1].by_firmware:
            return self.exchanges.pop()
        return None

    def give_question(self, exchange: Exchange) -> None:
        """Take what `take_last_question` of the previous boot gave away."""
        exchange.order = exchange.last_order = exchange.ack_order = self.order
        self.exchanges.append(exchange)
        if exchange.first.wall is not None:
            self.begin = exchange.first.wall

    def _mark(self, signal: Signal) -> bool:
        kind = signal.kind
        aside = False
        if kind in _FILES:
            status = "" if signal.status is None else str(signal.status)
            aside = is_aside(signal)
            key = (kind, "", "aside") if aside else (kind, signal.file, f"{signal.code}{status}")
        else:
            key = (kind, "", signal.code)
        mark = self.marks.get(key)
        if mark is None and len(self.marks) >= MARKS_KEPT:
            key = (kind, "", "")
            mark = self.marks.get(key)
        if mark is None:
            mark = self.marks[key] = Mark(signal, signal, self.order, self.order, 1, signal.bytes or 0)
            self._by_kind.setdefault(kind, []).append(mark)
            return True
        changed = not aside and (kind not in _PROGRESS or signal.percent != mark.last.percent)
        mark.last, mark.last_order = signal, self.order
        mark.count += 1
        mark.bytes = mark.bytes + (signal.bytes or 0) if signal.status == 206 else max(mark.bytes, signal.bytes or 0)
        return changed

    def _dhcp(self, signal: Signal) -> bool:
        exchange = self.exchanges[-1] if self.exchanges else None
        if exchange is not None and not exchange.continues(signal):
            exchange = next((e for e in self.exchanges[-4:] if e.xid and e.xid == signal.xid), None)
        if signal.kind is SignalKind.DHCP_RELEASE and signal.ip:  # a transaction of its own, about an earlier one
            given = (e for e in reversed(self.exchanges) if e.ack is not None and e.ack.ip == signal.ip)
            exchange = next(given, exchange)
        if exchange is None:
            exchange = Exchange(self.order, signal, self.order)
            self.exchanges.append(exchange)
            if len(self.exchanges) > EXCHANGES_KEPT:
                del self.exchanges[EXCHANGES_KEPT // 3]
        before = (exchange.ack, exchange.offer, exchange.refused, exchange.asked > 3)
        exchange.absorb(signal, self.order)
        self._answered += before[0] is None and exchange.ack is not None
        return before != (exchange.ack, exchange.offer, exchange.refused, exchange.asked > 4) or exchange.asked <= 1

    def _loader(self, signal: Signal) -> None:
        """Count how often the loader is asked for anew: a size probe and the download are one round."""
        if role_of(signal.file) is not Role.LOADER:
            return
        answered, name = self._answered, name_of(signal.file)
        if name != self._loader_file or answered != self._exchange_of_round:
            self.loader_rounds = 1 if name != self._loader_file else self.loader_rounds + 1
            self._loader_file = name
            self._exchange_of_round = answered

    def _http(self, signal: Signal) -> None:
        if not is_boot_client(signal) or (signal.status is not None and signal.status >= 400):
            return
        role = role_of(signal.file)
        if role is Role.LOADER and signal.code != "HEAD":
            self._loader(signal)
        level = {Role.SCRIPT: 1, Role.KERNEL: 2, Role.INITRD: 3}.get(role, 0)
        if level > self.fetched:
            self.fetched = level
        if level:
            self.fetched_order = self.order
            if signal.wall is not None:
                self.fetched_wall = max(self.fetched_wall or signal.wall, signal.wall)

    def _console(self, signal: Signal) -> None:
        self.beside_logs = True
        level = _CONSOLE_LEVEL.get(signal.kind, 0)
        if level >= self.console and level:
            self.console = level
            self.console_wall = signal.wall
        if signal.kind is SignalKind.HOST_KEY and len(self.host_keys) < HOST_KEYS_KEPT:
            self.host_keys.add(signal.text)
        if signal.kind in (SignalKind.REBOOT, SignalKind.POWER_OFF, SignalKind.PANIC):
            self.ended = True
        if signal.kind is SignalKind.POWER_OFF:
            self.off_wall = signal.wall


_CONSOLE_LEVEL = {
    SignalKind.PXE_START: 1,
    SignalKind.IPXE_START: 1,
    SignalKind.KERNEL: 2,
    SignalKind.INITRD: 2,
    SignalKind.PANIC: 2,
    SignalKind.STAGE2: 3,
    SignalKind.SYSTEMD: 3,
    SignalKind.LOGIN: 3,
    SignalKind.SSH_UP: 3,
}
