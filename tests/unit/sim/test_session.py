"""Session rules: who gets in, with which rights, how many, for how long, and that nothing is accepted twice."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.sim import rmcp
from plasmatui.sim.session import (
    IDLE_LIMIT,
    OPENING_LIMIT,
    WINDOW,
    Privilege,
    ReplayWindow,
    Session,
    SessionTable,
    Status,
    User,
)

GUID = bytes(range(16))
HERE = ("127.0.0.1", 40000)


class Bench:
    """A table with a clock that stands still until it is moved, and the client's half of RAKP."""

    def __init__(self, slots: int = 2) -> None:
        self.now = 1000.0
        self.ended: list[Session] = []
        self.full = False
        users = {b"admin": User(b"secret"), b"oper": User(b"secret", Privilege.OPERATOR, 3)}
        self.table = SessionTable(GUID, users, slots, lambda: self.now, self.ended.append, lambda: self.full)

    def open(self, suite: rmcp.Suite = rmcp.SUITE_17, proposal: bytes | None = None) -> tuple[int, int]:
        """Status and the BMC's session id."""
        if proposal is None:
            proposal = b"".join(
                bytes([kind, 0, 0, 8, value, 0, 0, 0])
                for kind, value in ((0, suite.auth), (1, suite.integrity), (2, 1))
            )
        answer = self.table.open(bytes(4) + b"\xa4\xa3\xa2\xa0" + proposal, HERE)
        assert answer is not None
        payload = answer[1]
        return payload[1], struct.unpack_from("<I", payload, 8)[0] if len(payload) >= 12 else 0

    def rakp1(self, number: int, user: bytes = b"admin", role: int = 0x14) -> bytes:
        request = bytes(4) + struct.pack("<I", number) + bytes(16) + bytes([role, 0, 0, len(user)]) + user
        answer = self.table.rakp1(request)
        assert answer is not None
        return answer[1]

    def rakp3(self, number: int, answer: bytes, password: bytes, user: bytes = b"admin", role: int = 0x14) -> bytes:
        code = rmcp.rakp3_code(rmcp.SUITE_17, password, answer[8:24], 0xA0A2A3A4, role, user)
        result = self.table.rakp3(bytes(4) + struct.pack("<I", number) + code)
        assert result is not None
        return result[1]

    def log_in(self, user: bytes = b"admin", role: int = 0x14) -> Session:
        status, number = self.open()
        assert status == Status.OK
        answer = self.rakp1(number, user, role)
        assert answer[1] == Status.OK
        assert self.rakp3(number, answer, b"secret", user, role)[1] == Status.OK
        session = self.table.get(number)
        assert session is not None
        return session


def test_a_known_user_gets_in() -> None:
    bench = Bench()
    session = bench.log_in()
    assert session.opened
    assert (session.privilege, session.limit) == (Privilege.USER, Privilege.ADMIN)
    assert len(bench.table) == 1


def test_unknown_user_and_wrong_password() -> None:
    bench = Bench()
    _, number = bench.open()
    assert bench.rakp1(number, b"nobody")[1] == Status.UNAUTHORIZED_NAME == 0x0D
    _, number = bench.open()
    answer = bench.rakp1(number)
    assert bench.rakp3(number, answer, b"wrong")[1] == Status.INVALID_CHECK_VALUE == 0x0F
    assert len(bench.table) == 0
    assert len(bench.ended) == 2
    bench.log_in()


def test_operator_is_limited() -> None:
    bench = Bench()
    assert bench.log_in(b"oper").limit == Privilege.OPERATOR
    _, number = bench.open()
    assert bench.rakp1(number, b"oper", role=0x04)[1] == Status.UNAUTHORIZED_NAME  # looked up by name and privilege
    assert bench.log_in(b"oper", role=0x03).limit == Privilege.OPERATOR


@pytest.mark.parametrize("role", [0x10, 0x15, 0x1F])
def test_roles_that_do_not_exist(role: int) -> None:
    bench = Bench()
    _, number = bench.open()
    assert bench.rakp1(number, role=role)[1] == Status.INVALID_ROLE


def test_slots_are_limited_and_come_back() -> None:
    bench = Bench(slots=2)
    first = bench.log_in()
    bench.log_in()
    assert bench.open()[0] == Status.NO_RESOURCES == 0x01
    bench.table.drop(first)
    assert bench.open()[0] == Status.OK


def test_the_fault_of_full_slots() -> None:
    bench = Bench()
    bench.full = True
    assert bench.open()[0] == Status.NO_RESOURCES


def test_idle_sessions_end_and_busy_ones_stay() -> None:
    bench = Bench()
    idle, busy = bench.log_in(), bench.log_in()
    bench.now += IDLE_LIMIT - 1
    busy.last = bench.now
    bench.now += 2
    bench.table.expire()
    assert bench.table.get(idle.id) is None
    assert bench.table.get(busy.id) is busy
    assert bench.ended == [idle]


def test_unfinished_openings_free_their_slot() -> None:
    bench = Bench(slots=1)
    bench.open()
    assert bench.open()[0] == Status.NO_RESOURCES
    bench.now += OPENING_LIMIT + 1
    assert bench.open()[0] == Status.OK


def test_repeated_opening_messages_get_the_same_answer() -> None:
    bench = Bench()
    _, number = bench.open()
    answer = bench.rakp1(number)
    assert bench.rakp1(number) == answer
    last = bench.rakp3(number, answer, b"secret")
    assert bench.rakp3(number, answer, b"secret") == last


@pytest.mark.parametrize(
    ("algorithms", "status"),
    [
        ((0, 1, 1), Status.INVALID_AUTHENTICATION),
        ((2, 1, 1), Status.INVALID_AUTHENTICATION),
        ((1, 2, 1), Status.INVALID_INTEGRITY),
        ((1, 1, 0), Status.INVALID_CONFIDENTIALITY),
        ((1, 4, 1), Status.NO_SUITE),
        ((3, 1, 1), Status.NO_SUITE),
    ],
)
def test_other_suites_are_refused(algorithms: tuple[int, int, int], status: Status) -> None:
    proposal = b"".join(bytes([kind, 0, 0, 8, value, 0, 0, 0]) for kind, value in enumerate(algorithms))
    assert Bench().open(proposal=proposal)[0] == status


def test_empty_proposal_leaves_the_choice_to_the_bmc() -> None:
    proposal = b"".join(bytes([kind, 0, 0, 0, 0, 0, 0, 0]) for kind in range(3))
    assert Bench().open(proposal=proposal)[0] == Status.OK


def test_packets_are_accepted_once() -> None:
    bench = Bench()
    session = bench.log_in()
    assert session.keys is not None
    packet = rmcp.parse(rmcp.seal(session.keys, 0, session.id, 1, b"hello"))
    assert isinstance(packet, rmcp.Packet20)
    assert bench.table.receive(session, packet, HERE) == b"hello"
    assert bench.table.receive(session, packet, HERE) is None


def test_forged_packets_do_not_keep_a_session_alive() -> None:
    bench = Bench()
    session = bench.log_in()
    other = rmcp.session_keys(rmcp.SUITE_17, b"guess", bytes(16), bytes(16), 4, b"admin")
    packet = rmcp.parse(rmcp.seal(other, 0, session.id, 1, b"hello"))
    assert isinstance(packet, rmcp.Packet20)
    bench.now += 30
    before = session.last
    assert bench.table.receive(session, packet, ("127.0.0.9", 1)) is None
    assert (session.last, session.address) == (before, HERE)


@given(st.lists(st.integers(0, 120), max_size=200))
def test_the_window_agrees_with_a_simple_model(numbers: list[int]) -> None:
    window, seen, highest = ReplayWindow(), set[int](), 0
    for number in numbers:
        expected = number > 0 and number not in seen and number > highest - WINDOW
        assert window.accept(number) is expected
        if expected:
            seen.add(number)
            highest = max(highest, number)
