"""One order for the signals of one node from several recordings, of which some have no clock.

Lines with a time are ordered by it. What has none is fitted in between by what both sides speak of: a file that iPXE
fetches and the web server's line about it, an address on the console and the lease that gave it. No times are made up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.watch.facts import DHCP, LOGS
from plasmatui.watch.names import Role, name_of, path_of, role_of

K = SignalKind
_FETCHES = frozenset({K.IPXE_FETCH, K.IPXE_FETCHED, K.IPXE_ERROR})
_ADDRESSES = frozenset({K.PXE_ADDRESS, K.IPXE_ADDRESS})
_LOADED = frozenset({K.PXE_LOADED, K.PXE_ERROR, K.IPXE_START})
_TRANSFERS = frozenset({K.TFTP_REQUEST, K.TFTP_DONE, K.TFTP_ERROR})
_TRANSFER_SECONDS = 30.0
_WHOLE = 1.0
"""Seconds that a clock of whole seconds hides."""
_ANCHORS = _FETCHES | _ADDRESSES | {K.PXE_FILE, K.PXE_LOADED, K.IPXE_START, K.KERNEL}
_IN_SECOND = {"dhcp": 0.0, "tftp": 0.99, "http": 0.998}
"""Where in its second a line without fractions is put."""
_STARTS = frozenset({K.FIRMWARE, K.PXE_START, K.IPXE_START})


def merge(sequences: Iterable[Sequence[Signal]]) -> list[Signal]:
    """The signals of several recordings of one node, in one order. Each recording's own order is kept."""
    placed: list[tuple[float, Signal]] = []
    loose: list[Sequence[Signal]] = []
    for sequence in sequences:
        if any(signal.wall is not None for signal in sequence) and not _is_console(sequence):
            placed += moments(sequence)
        elif sequence:
            loose.append(sequence)
    placed.sort(key=lambda item: item[0])
    timed = [signal for _, signal in placed]
    loose.sort(key=lambda sequence: not _is_console(sequence))
    for sequence in loose:
        timed = _Weaver(timed).insert(sequence) if timed else list(sequence)
    return timed


def moments(sequence: Sequence[Signal]) -> Iterator[tuple[float, Signal]]:
    """The signals of a log that have a time, each with the moment that it is sorted by.

    A log of whole seconds does not say when in its second a thing happened: what comes later in a boot is taken to
    come later in the second. Lines of one log that share a second keep their order.
    """
    timed = [(signal.wall, signal) for signal in sequence if signal.wall is not None]
    whole = all(wall == int(wall) for wall, _ in timed)
    last = 0.0
    for moment, signal in timed:
        if whole:
            moment += _IN_SECOND.get(signal.kind.partition("-")[0], 0.0)
        if int(moment) == int(last):
            moment = max(moment, last)
        last = moment
        yield moment, signal


def _is_console(sequence: Sequence[Signal]) -> bool:
    return bool(sequence) and sequence[0].kind not in LOGS


def _key(signal: Signal) -> tuple[str, str] | None:
    """What a signal can be recognised by in another recording."""
    kind = signal.kind
    if kind is K.HTTP_REQUEST or (kind in _FETCHES and signal.file.startswith("http")):
        return ("http", path_of(signal.file))
    if kind in (K.TFTP_REQUEST, K.TFTP_DONE, K.PXE_FILE, K.PXE_LOADED):
        return ("tftp", name_of(signal.file)) if signal.file else None
    if kind is K.DHCP_ACK or kind in _ADDRESSES:
        return ("lease", signal.ip)
    return None


def _same(one: Signal, other: Signal) -> bool:
    """Two recordings of one event: a server's line and a console's."""
    if (one.kind in _ADDRESSES) == (other.kind in _ADDRESSES) and _key(one) != ("http", path_of(one.file)):
        return one.kind is not other.kind and K.DHCP_ACK not in (one.kind, other.kind)
    for ack, address in ((one, other), (other, one)):
        if ack.kind is K.DHCP_ACK and address.kind in _ADDRESSES and ack.ipxe is not None:
            return ack.ipxe == (address.kind is K.IPXE_ADDRESS)
    return True


class _Weaver:
    """Fits one recording into the order of the others."""

    def __init__(self, base: list[Signal]) -> None:
        self._base = base
        self._places: dict[tuple[str, str], list[int]] = {}
        for index, signal in enumerate(base):
            key = _key(signal)
            if key is not None:
                self._places.setdefault(key, []).append(index)
        self._at = 0  # nothing may go before this index of the base
        self._system = False
        self._ahead: float | None = None
        self._answers = 0  # in this boot, as far as gates tell

    def insert(self, sequence: Sequence[Signal]) -> list[Signal]:
        """The base with `sequence` in it."""
        slots: list[int | None] = []
        self._ahead = self._skew(sequence)
        anchor = max((i for i, signal in enumerate(sequence) if signal.kind in _ANCHORS), default=-1)
        for place, signal in enumerate(sequence):
            final = signal.kind is K.PXE_ERROR and place > anchor
            slots.append(self._after_questions() if final else self._slot(signal))
        self._fill(sequence, slots)
        merged: list[tuple[int, int, Signal]] = [(2 * i + 1, i, signal) for i, signal in enumerate(self._base)]
        merged += [(slot or 0, i, signal) for i, (slot, signal) in enumerate(zip(slots, sequence, strict=True))]
        merged.sort(key=lambda item: item[:2])
        return [signal for _, _, signal in merged]

    def _slot(self, signal: Signal) -> int | None:
        """Even numbers lie between the base's signals: `2 * i` before the one at `i`. None: with a neighbour."""
        if signal.kind in _STARTS and self._pass_earlier(signal):
            return 2 * self._at
        key = _key(signal)
        index = self._find(signal, key) if key is not None else None
        if index is None and signal.kind in _ADDRESSES:
            index = self._proxied(signal)
        if index is not None:
            if signal.kind in _ADDRESSES:
                index = self._end_of_exchange(index)
            self._at = index
            if signal.kind is K.PXE_LOADED and (after := self._after_transfers()) is not None:
                return after
            before = signal.kind in (K.DHCP_ACK, K.IPXE_FETCH, K.TFTP_REQUEST, K.TFTP_DONE)
            if signal.kind is K.DHCP_ACK or signal.kind in _ADDRESSES:
                self._at = index + 1  # each lease explains one answer
            return 2 * index if before else 2 * index + 2
        if signal.kind in _LOADED:
            return self._after_transfers()
        if signal.kind is K.KERNEL:
            return self._after_loaders()
        return self._gate() if signal.kind is K.DHCP_ACK else None

    def _skew(self, sequence: Sequence[Signal]) -> float | None:
        """Seconds that the base's clock is ahead of this recording's, None where nothing tells."""
        apart: list[float] = []
        turns: dict[tuple[str, str], int] = {}
        for signal in sequence:
            key = _key(signal)
            if signal.kind is not K.IPXE_FETCHED or key is None or signal.wall is None:
                continue
            turn = turns[key] = turns.get(key, -1) + 1
            walls = [self._base[place].wall for place in self._places.get(key, [])]
            wall = walls[turn] if turn < len(walls) else None
            if wall is not None:
                apart.append(wall - signal.wall)
        return median(apart) if apart else None

    def _pass_earlier(self, signal: Signal) -> bool:
        """A machine that begins anew: what the base has of long before goes before, though no console shows it.
        Whether there was such."""
        if self._ahead is None or signal.wall is None:
            return False
        start = self._at
        # A card's question is logged in the second in which its ROM begins; before it, firmware takes its time.
        limit = signal.wall + self._ahead - (0.0 if signal.kind is K.FIRMWARE else _WHOLE)
        while self._at < len(self._base):
            wall = self._base[self._at].wall
            if wall is None or wall >= limit:
                break
            self._at += 1
        return self._at > start

    def _after_transfers(self) -> int | None:
        """A loader that runs, or failed, was transferred: its size probe and the transfer itself lie before."""
        start = self._at
        while self._at < len(self._base) and self._base[self._at].kind in _TRANSFERS:
            apart = (self._base[self._at].wall or 0.0) - (self._base[start].wall or 0.0)
            if apart > _TRANSFER_SECONDS:
                break
            self._at += 1
        return 2 * self._at if self._at > start else None

    def _after_questions(self) -> int:
        """The firmware gave up: what it asked lies before."""
        while self._at < len(self._base):
            signal = self._base[self._at]
            if signal.ipxe is True or (signal.kind not in DHCP and signal.kind not in _TRANSFERS):
                break
            self._at += 1
        return 2 * self._at

    def _after_loaders(self) -> int | None:
        """When a kernel runs, what iPXE asked and fetched lies before."""
        start = self._at
        while self._at < len(self._base):
            signal = self._base[self._at]
            own = signal.ipxe is True or role_of(signal.file) in (Role.KERNEL, Role.INITRD)
            if not own and signal.kind not in _TRANSFERS:
                break
            self._at += 1
        return 2 * self._at if self._at > start else None

    def _proxied(self, signal: Signal) -> int | None:
        """The proxy-DHCP answer of the exchange that a console's address ends, where the lease itself is in no log."""
        ipxe = signal.kind is K.IPXE_ADDRESS
        for index in range(self._at, len(self._base)):
            other = self._base[index]
            if other.kind is K.DHCP_PROXY and (other.ipxe is True) == ipxe:
                return index
            if other.kind not in DHCP and other.kind not in _TRANSFERS:
                return None
        return None

    def _end_of_exchange(self, index: int) -> int:
        """The last answer of an exchange: a client may repeat its question, and several answers come."""
        first, last = self._base[index], index
        for place in range(index + 1, len(self._base)):
            signal = self._base[place]
            same = bool(signal.xid) and signal.xid == first.xid
            anew = signal.kind is K.DHCP_DISCOVER and not same
            other = bool(signal.xid and first.xid) and not same
            if signal.kind not in DHCP or anew or other:
                break
            if signal.kind is first.kind:
                last = place
        return last

    def _find(self, signal: Signal, key: tuple[str, str]) -> int | None:
        places = self._places.get(key)
        if places is None:
            return None
        for place in places[bisect_left(places, self._at) :]:
            if _same(signal, self._base[place]):
                return place
        return None

    def _gate(self) -> int:
        """For an answer that no console shows: before the next thing that needs an address."""
        gate = None if self._system else self._next_gate(self._at)
        if gate is None or ("lease" in {key[0] for key in self._places}):
            self._system = False
            self._answers = 0
            return 2 * self._end_of_chain()
        loader = self._base[gate].kind is K.TFTP_REQUEST
        self._answers += 1
        if not loader and self._answers == 1:
            return 2 * gate  # the firmware's answer, or iPXE's own: only a third is surely the system's
        self._at = gate + 1
        while loader and self._at < len(self._base) and self._base[self._at].kind is K.TFTP_REQUEST:
            self._at += 1
        self._system = not loader
        return 2 * gate

    def _next_gate(self, start: int) -> int | None:
        for index in range(start, len(self._base)):
            signal = self._base[index]
            role = role_of(signal.file)
            if signal.kind is K.TFTP_REQUEST and role is not Role.SCRIPT:
                return index
            if signal.kind in (K.HTTP_REQUEST, K.IPXE_FETCH) and role is Role.SCRIPT:
                return index
        return None

    def _end_of_chain(self) -> int:
        """Where this boot ends: before the next start."""
        fetched = False
        for index in range(self._at, len(self._base)):
            signal = self._base[index]
            role = role_of(signal.file) if signal.file else Role.UNKNOWN
            loader = signal.kind is K.TFTP_REQUEST and role is Role.LOADER
            again = fetched and role is Role.SCRIPT and signal.kind in (K.HTTP_REQUEST, K.IPXE_FETCH)
            if signal.kind in _STARTS or loader or again:
                self._at = index
                return index
            fetched = fetched or role in (Role.KERNEL, Role.INITRD)
        self._at = len(self._base)
        return self._at

    def _fill(self, sequence: Sequence[Signal], slots: list[int | None]) -> None:
        """What has no counterpart goes with its neighbour: questions with the answer that follows, the rest with what
        went before."""
        following: int | None = None
        for index in range(len(sequence) - 1, -1, -1):
            slot, kind = slots[index], sequence[index].kind
            if slot is not None:
                following = slot if kind is K.DHCP_ACK else None
            elif following is not None and kind in DHCP:
                slots[index] = following
        last = 0
        for index, slot in enumerate(slots):
            last = max(last, slot if slot is not None else last)
            slots[index] = last
