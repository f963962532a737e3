"""One raft group of the simulated cluster: members, elections, majorities and what was written, as a state machine.

It knows no sockets and no tasks: callers say what happens to replicas, give the time with each call, and call `advance`
when `due` has come. Safety is raft's (Ongaro, "Consensus: bridging theory and practice", sections 3.6 and 4.2): a write
is acknowledged when a majority of voters holds it, only a reachable voter with the longest log of a majority is
elected, and the configuration changes by one voter at a time.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field

ELECTION = (0.3, 1.5)
"""Machine seconds from the loss of a leader to the next one."""
OWN = -1
"""Incarnation of a cluster that a node began for itself while this one lived."""
CATCH_UP = (0.5, 2.0)
"""Machine seconds that a restarted replica needs to copy what it missed."""


class RaftError(Exception):
    """A request that the group does not obey; the text says why."""


class NoQuorumError(RaftError):
    """No majority of voters is healthy, or there is no leader."""


class NoMemberError(RaftError):
    """There is no member of this id."""


class MemberExistsError(RaftError):
    """The id is a member already."""


@dataclass
class Member:
    """An entry of the configuration.

    Attributes:
        voting: it shall vote; voter: it does, having caught up once.
        started: a replica has held data under this id.
    """

    id: str
    raft_addr: str
    voting: bool
    voter: bool = False
    started: bool = False


@dataclass
class Replica:
    """What one node holds of the group.

    Attributes:
        running: its process runs.
        incarnation: of the group whose data it has; 0: none; `OWN`: of one that it began for itself.
        applied: how many entries it has.
        ready: it has caught up; ready_at: when it will have.
        lagging: it cannot keep up, for whatever reason.
    """

    running: bool = False
    incarnation: int = 0
    applied: int = 0
    ready: bool = False
    ready_at: float | None = None
    lagging: bool = False


@dataclass(frozen=True)
class Election:
    """A leader was elected at `at`, after the group had none since `since`; machine seconds."""

    term: int
    leader: str
    since: float
    at: float


@dataclass
class Loss:
    """No majority of voters was healthy from `begin` on, until `end`; None: still."""

    begin: float
    voters: tuple[str, ...]
    healthy: tuple[str, ...]
    end: float | None = None


@dataclass
class Group:
    """A raft group.

    Attributes:
        name: `chainfire` or `flaredb`.
        incarnation: counts bootstraps; 0 before the first.
        elections, losses: everything that happened to leadership and majority, oldest first.
        splits: nodes that began a group of their own while this one lived, oldest first.
        values: of each key, with the index of the entry that wrote it, oldest first.
    """

    name: str
    numbers: random.Random
    members: dict[str, Member] = field(default_factory=dict)
    replicas: dict[str, Replica] = field(default_factory=dict)
    incarnation: int = 0
    term: int = 0
    leader: str | None = None
    commit: int = 0
    elections: list[Election] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    values: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    _election_at: float | None = None
    _leaderless: float = 0.0
    _had_quorum: bool = False
    _prompt: bool = False

    # What others see

    @property
    def voters(self) -> tuple[str, ...]:
        return tuple(member.id for member in self.members.values() if member.voter)

    @property
    def majority(self) -> int:
        """How many voters a write needs."""
        return len(self.voters) // 2 + 1

    def reachable(self, node: str) -> bool:
        """A member's process runs and has this group's data."""
        replica = self.replicas.get(node)
        return (
            replica is not None and node in self.members and replica.running and replica.incarnation == self.incarnation
        )

    def healthy(self, node: str) -> bool:
        """It is reachable and has caught up."""
        return self.reachable(node) and self.replicas[node].ready and not self.replicas[node].lagging

    @property
    def quorum(self) -> bool:
        """A majority of the voters is healthy."""
        return bool(self.members) and sum(map(self.healthy, self.voters)) >= self.majority

    def status(self, node: str) -> str:
        """Of a member: healthy, lagging, catching-up or unreachable."""
        if self.healthy(node):
            return "healthy"
        if not self.reachable(node):
            return "unreachable"
        return "lagging" if self.replicas[node].lagging else "catching-up"

    def read(self, node: str, key: str) -> str | None:
        """The value that a node's replica has: what it had applied, which may be old. None: no such key."""
        history = self.values.get(key, [])
        replica = self.replicas.get(node)
        if replica is None or replica.incarnation != self.incarnation:
            return None
        place = bisect_right(history, replica.applied, key=lambda entry: entry[0])
        return history[place - 1][1] if place else None

    def history(self, node: str, key: str) -> list[str]:
        """All values of a key that a node's replica has, oldest first."""
        replica = self.replicas.get(node)
        if replica is None or replica.incarnation != self.incarnation:
            return []
        return [value for index, value in self.values.get(key, []) if index <= replica.applied]

    # What happens to replicas

    def start(self, node: str, now: float) -> None:
        """A node's process starts. What it missed it has to copy first."""
        replica = self._replica(node)
        if not replica.running:
            replica.running = True
            replica.ready = replica.ready and self._prompt
            self.settle(now)

    def stop(self, node: str, now: float) -> None:
        """A node's process ends, in whatever way. Its data stay."""
        replica = self._replica(node)
        if replica.running:
            replica.running = replica.ready = False
            replica.ready_at = None
            self.settle(now)

    def wipe(self, node: str, now: float) -> None:
        """A node's data are gone."""
        self.replicas[node] = Replica(lagging=self._replica(node).lagging)
        self.settle(now)

    def lag(self, node: str, lagging: bool, now: float) -> None:
        """A replica falls behind, or may catch up again."""
        replica = self._replica(node)
        if replica.lagging != lagging:
            replica.lagging, replica.ready, replica.ready_at = lagging, False, None
            self.settle(now)

    # Membership

    def form(self, peers: dict[str, str], now: float, *, voters: set[str] | None = None) -> None:
        """Begin a new group of these peers, raft addresses by id, who all vote; what an earlier group held is lost.

        Args:
            voters: given for one that has been there for long: only these vote, every peer has its data, and nobody
                has to catch up at the start.
        """
        established = voters is not None
        self.incarnation += 1
        self.members = {}
        for node, address in peers.items():
            votes = voters is None or node in voters
            self.members[node] = Member(node, address, votes, votes, established)
        self.commit, self.leader, self.values, self._had_quorum = 0, None, {}, False
        self._prompt = established
        self._leaderless, self._election_at = now, None
        if established:
            for node in peers:
                replica = self._replica(node)
                replica.incarnation, replica.applied, replica.ready = self.incarnation, 0, True
        self.settle(now)

    def adopt(self, node: str, raft_addr: str, now: float) -> None:
        """The empty replica of a member, at this raft address, begins to hold this group's data.

        Raises:
            NoMemberError: it is none.
            MemberExistsError: the member held data before, which this replica does not have.
        """
        member = self._member(node)
        replica = self._replica(node)
        if replica.incarnation == self.incarnation:
            return
        if member.started:
            raise MemberExistsError(f"member {node} exists and had data that this node lacks; remove the member first")
        member.started, member.raft_addr = True, raft_addr
        replica.incarnation, replica.applied, replica.ready, replica.ready_at = self.incarnation, 0, False, None
        self.settle(now)

    def split(self, node: str) -> None:
        """An empty replica that is no member bootstraps although this group lives: there are two from now on."""
        self._replica(node).incarnation = OWN
        self.splits.append(node)

    def alone(self, node: str) -> bool:
        """It runs a group of its own."""
        replica = self.replicas.get(node)
        return replica is not None and replica.running and replica.incarnation == OWN

    def add(self, node: str, raft_addr: str, now: float, *, voting: bool = True) -> None:
        """Add a member. It votes once it has caught up. Whatever an earlier member of this id held is void.

        Raises:
            NoQuorumError, MemberExistsError.
        """
        self.need_quorum()
        if node in self.members:
            raise MemberExistsError(f"member {node} exists already")
        self._append(f"member/{node}", raft_addr)
        self.members[node] = Member(node, raft_addr, voting)
        replica = self._replica(node)
        replica.incarnation, replica.applied, replica.ready, replica.ready_at = 0, 0, False, None
        self.settle(now)

    def remove(self, node: str, now: float) -> None:
        """Remove a member.

        Raises:
            NoQuorumError, NoMemberError.
            RaftError: it is the last voter.
        """
        self.need_quorum()
        member = self._member(node)
        if self.voters == (member.id,):
            raise RaftError(f"member {node} is the last voter")
        self._append(f"member/{node}", "")
        del self.members[node]
        self.settle(now)

    # Writes

    def write(self, key: str, value: str) -> int:
        """Write a value; returns its index. When this returns, a majority has it.

        Raises:
            NoQuorumError: it cannot be written.
        """
        self.need_quorum()
        self._append(key, value)
        return self.commit

    def need_quorum(self) -> None:
        if not self.quorum:
            healthy = sum(map(self.healthy, self.voters))
            raise NoQuorumError(f"no quorum: {healthy} of {len(self.voters)} voters healthy, {self.majority} needed")
        if self.leader is None:
            raise NoQuorumError("no leader: an election is under way")

    def _append(self, key: str, value: str) -> None:
        self.commit += 1
        self.values.setdefault(key, []).append((self.commit, value))
        for node in self.members:
            if self.healthy(node):
                self.replicas[node].applied = self.commit

    # Time

    def due(self) -> float | None:
        """When `advance` has something to do; None: not before something else happens."""
        times = [replica.ready_at for replica in self.replicas.values() if replica.ready_at is not None]
        if self._election_at is not None:
            times.append(self._election_at)
        return min(times, default=None)

    def advance(self, now: float) -> None:
        """Let what is due happen, in order."""
        while (due := self.due()) is not None and due <= now:
            for node, replica in self.replicas.items():
                if replica.ready_at is not None and replica.ready_at <= due:
                    replica.ready_at, replica.ready = None, True
                    if node in self.members:
                        replica.applied = self.commit
            if self._election_at is not None and self._election_at <= due:
                self._elect(due)
            self.settle(due)

    def _elect(self, now: float) -> None:
        self._election_at = None
        candidates = self._candidates()
        if not candidates:
            return
        self.term += 1
        self.leader = self.numbers.choice(candidates)
        winner = self.replicas[self.leader]
        winner.ready, winner.ready_at = True, None
        self.elections.append(Election(self.term, self.leader, self._leaderless, now))

    def _candidates(self) -> list[str]:
        """Whom a majority would elect: those that hold as much as anybody of the majority."""
        present = [node for node in self.voters if self.reachable(node)]
        if len(present) < self.majority:
            return []
        longest = max(self.replicas[node].applied for node in present)
        return [node for node in present if self.replicas[node].applied == longest and not self.replicas[node].lagging]

    # After every change

    def settle(self, now: float) -> None:
        """Let what follows from a change follow: who leads, who catches up, who votes."""
        self._check_leader(now)
        self._plan_catching_up(now)
        self._promote()
        self._watch_quorum(now)

    def _check_leader(self, now: float) -> None:
        present = sum(map(self.reachable, self.voters))
        if self.leader is not None and not (
            self.leader in self.voters and self.healthy(self.leader) and present >= self.majority
        ):
            self.leader, self._leaderless = None, now
        if self.leader is not None or not self._candidates():
            self._election_at = None
        elif self._election_at is None:
            self._election_at = now + (0.0 if self._prompt else self.numbers.uniform(*ELECTION))

    def _plan_catching_up(self, now: float) -> None:
        for node in self.members:
            if not self.reachable(node):
                continue
            replica = self.replicas[node]
            if self.leader is None:
                replica.ready_at = None
            elif not replica.ready and not replica.lagging and replica.ready_at is None:
                missing = min(10.0, (self.commit - replica.applied) * 0.001)
                replica.ready_at = now + self.numbers.uniform(*CATCH_UP) + missing

    def _promote(self) -> None:
        if self.leader is None or not self.quorum:
            return
        for member in self.members.values():
            if member.voting and not member.voter and self.healthy(member.id):
                member.voter = True

    def _watch_quorum(self, now: float) -> None:
        if self.quorum:
            self._had_quorum = True
            if all(map(self.healthy, self.voters)):
                self._prompt = False
            if self.losses and self.losses[-1].end is None:
                self.losses[-1].end = now
        elif self._had_quorum and not (self.losses and self.losses[-1].end is None):
            self.losses.append(Loss(now, self.voters, tuple(filter(self.healthy, self.voters))))

    def _replica(self, node: str) -> Replica:
        return self.replicas.setdefault(node, Replica())

    def _member(self, node: str) -> Member:
        if node not in self.members:
            raise NoMemberError(f"no member {node}")
        return self.members[node]
