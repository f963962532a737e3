"""SOL's state machine against a small BMC on a network that loses, repeats and reorders packets, in virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.bmc.sol import NACK_LIMIT, RETRY_AFTER, TRIES, SolLink, _chunk_size

Action = Callable[[], None]


class Handle:
    def __init__(self, action: Action) -> None:
        self.action: Action | None = action

    def cancel(self) -> None:
        self.action = None


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Handle]] = []
        self._count = 0

    def call_later(self, delay: float, action: Action) -> Handle:
        self._count += 1
        handle = Handle(action)
        heapq.heappush(self._queue, (self.now + delay, self._count, handle))
        return handle

    def run(self, until: float) -> None:
        while self._queue and self._queue[0][0] <= until:
            self.now, _, handle = heapq.heappop(self._queue)
            if handle.action is not None:
                handle.action()
        self.now = until


class Wire:
    """One direction. The session's sequence numbers drop what is older than the newest, as RMCP+ does."""

    def __init__(self, time: Time, fates: list[str]) -> None:
        self.time = time
        self.fates = fates
        self.deliver: Callable[[bytes], None] = lambda _payload: None
        self._sent = self._newest = 0

    def send(self, payload: bytes) -> None:
        self._sent += 1
        number = self._sent
        fate = self.fates.pop() if self.fates else "ok"
        for delay in {"ok": (0.01,), "lost": (), "twice": (0.01, 0.02), "late": (0.3,), "very late": (0.9,)}[fate]:
            self.time.call_later(delay, lambda: self._arrive(number, payload))

    def _arrive(self, number: int, payload: bytes) -> None:
        if number >= self._newest:
            self._newest = number
            self.deliver(payload)


class FakeBmc:
    """The other end (IPMI 2.0, section 15.9 to 15.11): one packet in flight, which may grow when it is sent again."""

    def __init__(self, time: Time, send: Callable[[bytes], None], accepts: int) -> None:
        self.time, self.send, self.accepts = time, send, accepts
        self.typed = b""
        self.breaks = 0
        self.output = b""
        self.flying = b""
        self.sequence = 0
        self.timer: Handle | None = None
        self.theirs = 0
        self.answer = b""

    def say(self, data: bytes) -> None:
        self.output += data
        self._next()

    def _next(self) -> None:
        if self.flying or not self.output:
            return
        self.sequence = self.sequence % 15 + 1
        self.flying, self.output = self.output[:20], self.output[20:]
        self._transmit()

    def _transmit(self) -> None:
        self.send(bytes((self.sequence, 0, 0, 0)) + self.flying)
        self.timer = self.time.call_later(0.5, self._again)

    def _again(self) -> None:
        more = self.output[:5]
        self.flying, self.output = self.flying + more, self.output[5:]
        self._transmit()

    def receive(self, payload: bytes) -> None:
        sequence, acknowledged, count, status = payload[:4]
        if sequence:
            if sequence != self.theirs:
                self.theirs = sequence
                data = payload[4:]
                taken = data[: self.accepts]
                self.typed += taken
                self.breaks += bool(status & 0x10)
                self.answer = bytes((0, sequence, len(taken), 0x40 if len(taken) < len(data) else 0))
            self.send(self.answer)
        # A smaller count is of an earlier sending: our side always takes everything.
        if acknowledged == self.sequence and self.flying and count == len(self.flying):
            assert self.timer is not None
            self.timer.cancel()
            self.flying = b""
            self._next()


class Rig:
    def __init__(self, up: list[str], down: list[str], accepts: int = 255, chunk: int = 16) -> None:
        self.time = Time()
        to_bmc, to_us = Wire(self.time, up), Wire(self.time, down)
        self.heard = b""
        self.ends: list[str] = []
        self.link = SolLink(to_bmc.send, self._hear, self.ends.append, self.time.call_later, chunk)
        self.bmc = FakeBmc(self.time, to_us.send, accepts)
        to_bmc.deliver, to_us.deliver = self.bmc.receive, self.link.received

    def _hear(self, data: bytes) -> None:
        self.heard += data


FATES = st.lists(st.sampled_from(["ok", "ok", "ok", "lost", "twice", "late", "very late"]), max_size=60)


@settings(deadline=None, max_examples=300)
@given(up=FATES, down=FATES, typed=st.lists(st.binary(min_size=1, max_size=70), max_size=6), accepts=st.integers(1, 20))
def test_nothing_is_lost_doubled_or_reordered(up: list[str], down: list[str], typed: list[bytes], accepts: int) -> None:
    rig = Rig(up, down, accepts)
    said = bytes(range(256)) * 2
    for index, data in enumerate(typed):
        rig.time.call_later(index * 0.05, lambda data=data: rig.link.write(data))
    for index in range(0, len(said), 64):
        rig.time.call_later(index * 0.001, lambda index=index: rig.bmc.say(said[index : index + 64]))
    rig.time.run(400)
    everything = b"".join(typed)
    assert len(rig.ends) <= 1
    assert everything.startswith(rig.bmc.typed)
    assert said.startswith(rig.heard)
    if not rig.ends:
        assert rig.bmc.typed == everything
        assert rig.heard == said
        assert rig.link.queued == 0


def test_a_paste_is_cut_into_packets_and_needs_no_recursion() -> None:
    rig = Rig([], [], chunk=8)
    paste = bytes(i % 251 for i in range(40_000))
    rig.link.write(paste)
    rig.time.run(1000)
    assert rig.bmc.typed == paste


def test_small_writes_share_a_packet() -> None:
    rig = Rig([], [], chunk=16)
    sent: list[bytes] = []
    receive = rig.bmc.receive
    rig.link._send = lambda payload: (sent.append(payload), receive(payload))[1]  # type: ignore[assignment]
    rig.bmc.send = lambda payload: rig.time.call_later(0.01, lambda: rig.link.received(payload))  # type: ignore[assignment]
    for character in b"abcdefgh":
        rig.link.write(bytes([character]))
    rig.time.run(1)
    assert [payload[4:] for payload in sent] == [b"a", b"bcdefgh"]


def test_a_break_keeps_its_place_between_characters() -> None:
    rig = Rig([], [])
    rig.link.write(b"before")
    rig.link.send_break()
    rig.link.write(b"after")
    rig.time.run(1)
    assert rig.bmc.typed == b"beforeafter"
    assert rig.bmc.breaks == 1


def test_a_silent_bmc_ends_the_link_once_and_in_time() -> None:
    rig = Rig(["lost"] * 50, [])
    rig.link.write(b"hello")
    rig.time.run(RETRY_AFTER * TRIES - 0.1)
    assert not rig.ends
    rig.time.run(60)
    assert rig.ends == ["what was written is not acknowledged after 7 tries"]
    rig.link.write(b"more")
    rig.link.send_break()
    rig.link.received(b"\x01\x00\x00\x00late")
    assert rig.heard == b""
    assert len(rig.ends) == 1


def test_a_deactivation_ends_the_link_after_its_data() -> None:
    rig = Rig([], [])
    rig.link.received(b"\x01\x00\x00\x50bye")
    rig.link.received(b"\x00\x00\x00\x50")
    assert rig.heard == b"bye"
    assert len(rig.ends) == 1


def test_what_a_machine_never_takes_is_dropped_and_the_link_stays() -> None:
    rig = Rig([], [], accepts=0)
    rig.link.write(b"x" * 100)
    rig.time.run(NACK_LIMIT * 4)
    assert rig.link.queued == 0
    assert not rig.ends
    rig.bmc.accepts = 255
    rig.link.write(b"now")
    rig.time.run(NACK_LIMIT * 8)
    assert rig.bmc.typed == b"now"


def test_a_count_of_zero_without_nack_means_everything() -> None:
    rig = Rig([], [])
    receive = rig.link.received
    rig.bmc.send = lambda payload: receive(bytes((payload[0], payload[1], 0, payload[3])) + payload[4:])
    rig.link.write(b"all of it")
    rig.time.run(5)
    assert rig.bmc.typed == b"all of it"
    assert rig.link.queued == 0


def test_packets_that_are_too_short_are_ignored() -> None:
    rig = Rig([], [])
    for payload in (b"", b"\x01", b"\x01\x00\x00"):
        rig.link.received(payload)
    assert rig.heard == b""


def test_packet_sizes_that_make_no_sense_are_not_believed() -> None:
    def answer(size: int) -> bytes:
        return bytes(4) + size.to_bytes(2, "little") + bytes(6)

    assert _chunk_size(answer(224)) == 220
    assert _chunk_size(answer(32)) == 28
    assert _chunk_size(answer(1)) == 1
    assert _chunk_size(answer(0)) == 32
    assert _chunk_size(answer(0xE000)) == 32
    assert _chunk_size(answer(1000)) == 240
    assert _chunk_size(b"") == 32
