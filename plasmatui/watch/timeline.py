"""Signals of all sources, put together to one timeline per boot and node."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from itertools import takewhile

from plasmatui.model.boot import BootTimeline, Signal, SignalKind, UnknownClient
from plasmatui.model.words import Severity, Stage
from plasmatui.watch.boots import is_late, starts_boot
from plasmatui.watch.diagnosis import Case, diagnose
from plasmatui.watch.facts import BootFacts
from plasmatui.watch.identity import Identity, NodeIdentity
from plasmatui.watch.names import path_of
from plasmatui.watch.rules import RULES
from plasmatui.watch.stages import ORDER, Reading, spans_of

HISTORY_KEPT = 8
"""Boots of a node that are kept as they ended."""

SIZES_KEPT = 1024
QUIET = 10.0
"""Seconds of silence after which what is not answered counts as not answered."""

Usual = Callable[[str, Stage], float | None]
_NOBODY: frozenset[str] = frozenset()
_WAITS = SignalKind.CONSOLE_WAITS
_ENDS = (SignalKind.POWER_OFF, SignalKind.REBOOT, SignalKind.PANIC, SignalKind.NO_BOOT_DEVICE, SignalKind.IPXE_SHELL)


class _Ended:
    """A boot that is over. What it means is made when somebody asks: a rack that starts at once leaves no time."""

    def __init__(self, node: str, facts: BootFacts) -> None:
        self.node = node
        self.facts = facts

    @cached_property
    def installer_from_network(self) -> bool:
        """Whether it came from the network to the installer; too many of these in a row are an install loop."""
        if not self.facts.beside_logs:
            return False  # no server sees an installer that is up
        reading = Reading(self.node, self.facts)
        installer = reading.reached is not None and ORDER[reading.reached] >= ORDER[Stage.INSTALLER_UP]
        return installer and any(
            ORDER[Stage.DHCP_LOADER] <= ORDER[stage] <= ORDER[Stage.HTTP_INITRD] for stage in reading.spans
        )

    @cached_property
    def broke_off(self) -> Signal | None:
        """What is last known of it when its kernel ran, its system did not come up, and the machine began anew without
        being switched off; None otherwise."""
        if not self.facts.beside_logs or self.facts.has(SignalKind.POWER_OFF):
            return None
        position = Reading(self.node, self.facts).position()
        ran = ORDER[Stage.HTTP_KERNEL] if self.facts.has(SignalKind.REBOOT) else ORDER[Stage.KERNEL_START]
        if not ran <= position < ORDER[Stage.INSTALLER_UP]:
            return None  # a kernel that is told to be quiet says that it restarts, if nothing else
        last = max(self.facts.marks.values(), key=lambda m: (m.kind in _ENDS, m.last_order))
        return last.last


class _Track:
    """The boots of one node: the current one, and those before, the latest last."""

    def __init__(self) -> None:
        self.current = BootFacts(1)
        self.ended: deque[_Ended] = deque(maxlen=HISTORY_KEPT)

    @property
    def previous(self) -> BootFacts | None:
        """The boot before, to which late lines may belong."""
        return self.ended[-1].facts if self.ended else None

    def network_boots(self, number: int) -> int:
        """How many boots in a row before boot `number` came from the network to the installer and ended by themselves:
        who switches a machine off and on again wants another boot."""
        count = 0
        for ended in reversed(self.ended):
            if ended.facts.number >= number:
                continue
            if not ended.installer_from_network or ended.facts.has(SignalKind.POWER_OFF):
                break
            count += 1
        return count

    def restarts(self, number: int) -> tuple[Signal, ...]:
        """The last of each of the boots in a row before boot `number` that broke off with the kernel running, the
        latest first."""
        before = [ended for ended in reversed(self.ended) if ended.facts.number < number]
        return tuple(each for each in takewhile(bool, (ended.broke_off for ended in before)) if each is not None)


class Correlator:
    """One timeline per node and boot. `usual` gives the seconds that a stage usually takes.

    `feed` costs the same however much was seen; memory is bounded per node and in whole. Meaning is made in
    `timeline`, which whoever shows it calls for what changed.
    """

    def __init__(self, nodes: Iterable[NodeIdentity], usual: Usual | None = None) -> None:
        self._identity = Identity(nodes)
        self._usual = usual
        self._tracks: dict[str, _Track] = {}
        self._largest: OrderedDict[str, int] = OrderedDict()
        self._quiet: set[str] = set()
        self._told: dict[str, tuple[str, ...]] = {}

    def feed(self, signal: Signal, now: float, node: str = "") -> frozenset[str]:
        """Take a signal that arrived at `now` (Unix seconds); the nodes whose timeline changed. `node`: whose it is, of
        a caller that knows."""
        self.note_size(signal)
        if node:
            self._identity.learn(signal, node)
        else:
            node = self._identity.node_of(signal)
        if node not in self._identity.nodes:
            return _NOBODY
        track = self._tracks.get(node)
        if track is None:
            track = self._tracks[node] = _Track()
        facts = track.current
        if starts_boot(facts, signal):
            facts = self._next_boot(node, track, signal)
        elif (previous := track.previous) is not None and is_late(facts, signal):
            facts = previous
        if signal.wall is not None and signal.wall - now > facts.skew:
            facts.skew, facts.skew_line = signal.wall - now, signal
        changed = facts.record(signal, now)
        self._quiet.discard(node)
        return frozenset((node,)) if changed else _NOBODY

    def timeline(self, node: str, now: float | None = None, *, at_end: bool = False) -> BootTimeline | None:
        """The current boot of a node, None when nothing was seen of it. `at_end`: no evidence will follow."""
        track = self._tracks.get(node)
        if track is None or (not track.current.order and not track.current.exchanges):
            return None
        return self._read(node, track, track.current, now, at_end=at_end)

    def history(self, node: str, after: int = 0) -> tuple[BootTimeline, ...]:
        """The boots before the current one and after boot number `after`, as they ended, the latest last."""
        track = self._tracks.get(node)
        if track is None:
            return ()
        return tuple(
            self._read(node, track, ended.facts, None, at_end=True)
            for ended in track.ended
            if ended.facts.number > after
        )

    def tick(self, now: float) -> frozenset[str]:
        """Look at who fell silent; the nodes whose findings changed by time alone. For once in a second or so."""
        changed: set[str] = set()
        for node, track in self._tracks.items():
            if node in self._quiet or now - track.current.heard_at < QUIET:
                continue
            timeline = self._read(node, track, track.current, now, at_end=False)
            ids = tuple(finding.id for finding in timeline.findings)
            if self._told.get(node) != ids:
                self._told[node] = ids
                changed.add(node)
            if timeline.outcome != "running":
                self._quiet.add(node)  # nothing that time alone changes
        return frozenset(changed)

    def host_keys(self, node: str) -> frozenset[str]:
        """Fingerprints of SSH host keys that the node's console showed in its current boot."""
        track = self._tracks.get(node)
        return frozenset(track.current.host_keys) if track is not None else frozenset()

    def unknown_clients(self) -> tuple[UnknownClient, ...]:
        """Machines that ask and that no inventory names."""
        return self._identity.unknown_clients()

    def note_size(self, signal: Signal) -> None:
        """Remember how large a file is that was served to anybody; `feed` does so by itself."""
        if not signal.bytes or signal.kind is not SignalKind.HTTP_REQUEST or signal.status != 200:
            return
        path = path_of(signal.file)
        if signal.bytes > self._largest.get(path, 0):
            self._largest[path] = signal.bytes
            if len(self._largest) > SIZES_KEPT:
                self._largest.popitem(last=False)

    def _next_boot(self, node: str, track: _Track, signal: Signal) -> BootFacts:
        old = track.current
        question = (
            old.take_last_question() if signal.kind in (SignalKind.TFTP_REQUEST, SignalKind.HTTP_REQUEST) else None
        )
        track.ended.append(_Ended(node, old))
        track.current = BootFacts(old.number + 1)
        if question is not None:
            track.current.give_question(question)
        return track.current

    def _read(self, node: str, track: _Track, facts: BootFacts, now: float | None, *, at_end: bool) -> BootTimeline:
        reading = Reading(node, facts)
        waited = max(0.0, now - facts.heard_at) if now is not None and facts.heard_at else 0.0
        case = Case(
            reading,
            at_end,
            self._largest,
            partial(track.network_boots, facts.number),
            waited,
            self._usual,
            partial(track.restarts, facts.number),
            self._identity.nodes[node].macs,
        )
        findings = diagnose(case, RULES)
        return BootTimeline(
            node=node,
            number=facts.number,
            begin=facts.begin,
            reached=reading.reached,
            outcome=_outcome(reading, findings_stop=any(f.severity is Severity.ERROR for f in findings), at_end=at_end),
            stages=spans_of(reading, self._usual),
            findings=findings,
        )


def _outcome(reading: Reading, *, findings_stop: bool, at_end: bool) -> str:
    """How a boot stands. An installed system is called healthy when it came up to its prompt without an error; a boot
    that its end says nothing of, and that no error explains, still counts as running."""
    if findings_stop:
        return "stopped"
    done = {stage for stage, span in reading.spans.items() if span.done}
    if Stage.FIRST_BOOT in done:
        return "healthy"
    if Stage.INSTALLER_UP in done or Stage.SSH_READY in done:
        return "installer-up"
    facts = reading.facts
    ends = facts.find(*_ENDS, *((_WAITS,) if at_end else ()))
    if ends and ends[-1].last_order >= max((m.last_order for m in facts.marks.values() if m not in ends), default=0):
        return "stopped"
    failed = at_end and any(not reading.overcome(m, Stage.TFTP_LOADER) for m in facts.find(SignalKind.PXE_ERROR))
    return "stopped" if facts.ended or failed else "running"
