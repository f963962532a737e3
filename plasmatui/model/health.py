"""How the cluster's services and raft groups stand, as the engine tells it to clients. All text is clean."""

from __future__ import annotations

import msgspec

from plasmatui.model.words import Health, Power

_WHY = {"service-silent": "silent", "certificate-expired": "expired", "certificate-untrusted": "untrusted"}


class ServiceState(msgspec.Struct, frozen=True):
    """One service on one node.

    Attributes:
        status: what it says of itself; silence is `unknown`.
        message: one line: what it says, or why it is not known.
        since: Unix seconds since when `status` holds.
        latency_ms: of an answer, 0 without one. Updated only when it changes notably.
        verified: False when TLS was not verified, by the inventory's own setting; None without an answer.
        finding: id of the finding that explains why it is not known, "" for none. remedy: what to do about it.
        askable: False for what cannot be asked from here; it does not count for the node's health.
        ends: Unix seconds of its certificate's end, 0 when it is not known.
    """

    service: str
    status: Health = Health.UNKNOWN
    message: str = ""
    since: float = 0.0
    latency_ms: float = 0.0
    verified: bool | None = None
    finding: str = ""
    remedy: str = ""
    askable: bool = True
    ends: float = 0.0


class NodeServices(msgspec.Struct, frozen=True):
    """The services of a node in the order of its profile; none when it runs none any more.

    `skew`: seconds that the node's clock is ahead of the engine's; None when no answer tells. Updated only when it
    changes notably.
    """

    node: str
    services: tuple[ServiceState, ...] = ()
    skew: float | None = None

    @property
    def ends(self) -> float:
        """Unix seconds when the first certificate of the node ends, 0 when none is known."""
        return min((each.ends for each in self.services if each.ends), default=0.0)

    def service(self, name: str) -> ServiceState | None:
        return next((each for each in self.services if each.service == name), None)


class MemberState(msgspec.Struct, frozen=True):
    """A member of a raft group. `node`: "" when no node of the inventory fits; `condition`: why it counts or not."""

    id: str
    node: str = ""
    role: str = ""
    voter: bool = True
    healthy: bool = False
    condition: str = ""


class GroupState(msgspec.Struct, frozen=True):
    """A raft group.

    Attributes:
        name: of its service.
        leader: name or id of the leader that a majority of the voters names, "" when there is none or it is not known.
        healthy, voters, needed: voters that are known to be healthy, all voters, how many are a majority.
        readable: False when no member tells anything: nothing is known then, and the counts are 0.
        message: why it is not readable, or what its members tell differently; "" when nothing is odd.
        since: Unix seconds since when counts and leader are as they are.
        verified: False when an answer came over TLS that was not verified.
    """

    name: str
    members: tuple[MemberState, ...] = ()
    leader: str = ""
    healthy: int = 0
    voters: int = 0
    needed: int = 0
    readable: bool = False
    message: str = ""
    since: float = 0.0
    verified: bool = True

    @property
    def margin(self) -> int:
        """How many healthy voters may be lost before the majority is; negative: it is lost."""
        return self.healthy - self.needed

    @property
    def lost(self) -> bool:
        """Whether the majority is known to be lost."""
        return self.readable and self.voters > 0 and self.margin < 0

    @property
    def at_risk(self) -> bool:
        """Whether a voter is missing and the next one would take the majority along."""
        return self.readable and self.margin == 0 and self.healthy < self.voters

    @property
    def health(self) -> Health:
        if not self.readable or not self.voters:
            return Health.UNKNOWN
        if self.lost:
            return Health.FAILED
        return Health.OK if self.leader and self.healthy == self.voters else Health.DEGRADED


class JoinSeen(msgspec.Struct, frozen=True):
    """What a node's first-boot unit for a raft group said last. `state`: "waiting" "joining" "joined" "voter"
    "refused" "unknown"."""

    group: str
    state: str
    message: str = ""


class NodeSystem(msgspec.Struct, frozen=True):
    """What the system of a node says of itself over SSH.

    Attributes:
        at: Unix seconds of the look.
        problem: why nothing is known, "" when it is.
        booted, active, next: versions of the system that was booted, that runs, and that boots next.
        drift: "" when all three are one, else in a sentence what differs.
        reboot_needed: what runs needs a reboot to be what boots next.
        declared: version of the system that the flake declares, "" when that was not asked. undeclared: why it is not
            known although it was. evaluated: Unix seconds when it was asked; later looks keep it.
        joins: the first-boot units, one for each raft group that the node has a unit for.
        failed: units that have failed.
    """

    node: str
    at: float
    problem: str = ""
    booted: str = ""
    active: str = ""
    next: str = ""
    drift: str = ""
    reboot_needed: bool = False
    joins: tuple[JoinSeen, ...] = ()
    failed: tuple[str, ...] = ()
    declared: str = ""
    undeclared: str = ""
    evaluated: float = 0.0

    @property
    def differs(self) -> bool:
        """Whether the flake declares another system than the one that boots next."""
        return bool(self.declared) and self.declared != self.next


class Trend(msgspec.Struct, frozen=True):
    """How a service did at the last looks, the oldest first.

    Attributes:
        latencies: milliseconds; 0: no answer. Of one node, or the 95th percentile over all that were asked.
        unwell: at each look, how many were asked and not well, or 0 and 1 for one node.
    """

    service: str
    latencies: tuple[float, ...] = ()
    unwell: tuple[int, ...] = ()


class HealthLook(msgspec.Struct, frozen=True):
    """How the engine looks at services.

    Attributes:
        active: False while it does not look by itself: the inventory names no CA, and no service ever answered.
        at: Unix seconds of the end of the last look at all that were due, 0 before the first.
        pace: seconds between the begins of two looks.
        trends: how each service did, over all nodes.
    """

    active: bool = False
    at: float = 0.0
    pace: float = 0.0
    trends: tuple[Trend, ...] = ()


class ReplicaSeen(msgspec.Struct, frozen=True):
    """Whether a member has what was written at another. `seconds` until it had, 0 when it did not; `problem`: why."""

    node: str
    ok: bool
    seconds: float = 0.0
    problem: str = ""


class Replication(msgspec.Struct, frozen=True):
    """What came of writing a value into a raft group and reading it elsewhere.

    Attributes:
        key: what was written, in words. writer: the node that took it, "" when none did.
        problem: why nothing was written, "" when it was.
        replicas: the other members, one by one.
    """

    group: str
    key: str = ""
    writer: str = ""
    problem: str = ""
    replicas: tuple[ReplicaSeen, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problem and bool(self.replicas) and all(each.ok for each in self.replicas)


def service_word(service: ServiceState | None, power: Power) -> str:
    """A service in a word: its status, or why that is not known; "-" where there is nothing to ask."""
    if service is None or not service.askable:
        return "-"
    if service.status is not Health.UNKNOWN:
        return str(service.status)
    return "off" if power is Power.OFF else _WHY.get(service.finding, "unknown")


def node_word(health: Health, power: Power) -> str:
    """A node's health in a word; one that is off and tells nothing is off, not unknown."""
    return "off" if health is Health.UNKNOWN and power is Power.OFF else str(health)
