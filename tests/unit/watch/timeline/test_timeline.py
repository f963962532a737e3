"""Timelines over hand-made signals: order, identity, several boots, loops, bounds."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.model.boot import BootTimeline, Evidence, Signal, SignalKind
from plasmatui.model.words import Severity, Stage
from plasmatui.watch import facts
from plasmatui.watch.identity import UNKNOWN_KEPT, NodeIdentity
from plasmatui.watch.stages import ORDER
from plasmatui.watch.timeline import HISTORY_KEPT, Correlator
from tests.unit.watch.timeline.signals import A, B, K, console, console_boot, http, lease, net_boot, signal, tftp


def fed(signals: list[Signal], nodes: tuple[NodeIdentity, ...] = (A, B)) -> Correlator:
    correlator = Correlator(nodes)
    for one in signals:
        correlator.feed(one, one.wall or 0.0)
    return correlator


def timeline(correlator: Correlator, node: str = "node01") -> BootTimeline:
    found = correlator.timeline(node, at_end=True)
    assert found is not None
    return found


def errors(boot: BootTimeline) -> list[str]:
    return [finding.id for finding in boot.findings if finding.severity is Severity.ERROR]


def names(boot: BootTimeline, *, seen: bool = False) -> list[Stage]:
    return [span.stage for span in boot.stages if not (seen and span.inferred)]


NET = [stage for stage in Stage if ORDER[Stage.FIRMWARE] <= ORDER[stage] <= ORDER[Stage.INSTALLER_UP]]


def test_logs_alone_prove_a_boot_up_to_the_kernels_own_lease() -> None:
    boot = timeline(fed(net_boot(A)))
    assert boot.reached is Stage.INITRD_START
    assert names(boot) == NET
    inferred = [span.stage for span in boot.stages if span.inferred]
    assert inferred == [Stage.FIRMWARE, Stage.KERNEL_START, Stage.INITRD_START]
    initrd = next(span for span in boot.stages if span.stage is Stage.HTTP_INITRD)
    assert (initrd.begin, initrd.bytes) == (1020.0, 300_000_000)
    assert boot.outcome == "running"


def test_a_log_without_classes_is_read_by_its_order() -> None:
    boot = timeline(fed(net_boot(A, flagged=False)))
    begins = {span.stage: span.begin for span in boot.stages}
    assert (begins[Stage.DHCP_LOADER], begins[Stage.DHCP_IPXE], begins[Stage.INSTALLER_UP]) == (1000.0, 1005.0, 1040.3)
    assert next(span.tries for span in boot.stages if span.stage is Stage.DHCP_IPXE) == 1


def test_a_lease_in_the_second_of_the_kernels_line_is_not_the_systems() -> None:
    """Whole seconds, and the web server's lines are heard first."""
    start = [*lease(A, 1000.0), tftp("10.0.0.1", 1001.0)]
    web = [http("10.0.0.1", path, 1005.0) for path in ("/boot.ipxe", "/bzImage")]
    own = [msgspec.structs.replace(one, wall=1005.0) for one in lease(A, 1005.0)]
    boot = timeline(fed([*start, *web, *own]))
    assert names(boot, seen=True)[-1] is Stage.HTTP_KERNEL
    later = timeline(fed([*start, *web, *own, *lease(A, 1030.0)]))
    assert Stage.INSTALLER_UP in names(later)


def test_an_error_that_no_rule_knows_stops_a_boot_all_the_same() -> None:
    boot = timeline(fed([console(SignalKind.PXE_START), console(SignalKind.PXE_ERROR, code="PXE-E07")]))
    assert (boot.outcome, boot.findings) == ("stopped", ())


def test_grub_from_the_network_is_no_disk() -> None:
    grub = [console(K.DISK_LOADER, text="GRUB"), console(K.KERNEL), console(K.LOGIN, host="nixos", code="installer")]
    loaded = [console(K.PXE_START), console(K.PXE_FILE, file="grubx64.efi"), console(K.PXE_LOADED)]
    assert timeline(fed([*loaded, *grub])).outcome == "installer-up"
    served = [*lease(A, 1.0), tftp("10.0.0.1", 2.0, "grubx64.efi"), tftp("10.0.0.1", 3.0, "/nixos/bzImage")]
    assert Stage.DISK_BOOT not in names(timeline(fed([*served, *grub])))
    given_up = [console(K.PXE_START), console(K.PXE_ERROR, code="PXE-E18"), *grub[:2], console(K.LOGIN, host="node01")]
    assert timeline(fed(given_up)).outcome == "healthy"


def test_console_alone_and_both_witnesses_tell_the_same_stages() -> None:
    alone = timeline(fed(console_boot()))
    both = timeline(fed(sorted([*console_boot(), *net_boot(A)], key=lambda s: s.wall or 0)))
    assert names(alone) == names(both) == NET
    assert alone.reached is both.reached is Stage.INSTALLER_UP
    assert alone.outcome == both.outcome == "installer-up"
    assert not errors(both)
    kernel = next(span for span in both.stages if span.stage is Stage.HTTP_KERNEL)
    assert {evidence.file for evidence in kernel.evidence} == {"http", "console"}


def test_sources_shuffled_within_a_second_give_the_same_boot() -> None:
    signals = sorted([*console_boot(), *net_boot(A)], key=lambda s: s.wall or 0)
    wanted = timeline(fed(signals))
    for seed in range(30):
        dice = random.Random(seed)
        moved = {id(s): (s.wall or 0) + (dice.random() if s.evidence.file == "console" else 0) for s in signals}
        boot = timeline(fed(sorted(signals, key=lambda s: moved[id(s)])))
        assert (boot.number, boot.reached, boot.outcome, names(boot)) == (
            1,
            wanted.reached,
            wanted.outcome,
            names(wanted),
        )


def test_a_log_that_comes_seconds_late_opens_no_second_boot() -> None:
    boot = timeline(fed([*console_boot(), *net_boot(A)]))
    assert (boot.number, boot.reached) == (1, Stage.INSTALLER_UP)
    assert not errors(boot)


def test_clocks_three_seconds_apart_open_no_second_boot() -> None:
    boot = timeline(fed(sorted([*console_boot(1003.0), *net_boot(A)], key=lambda s: s.wall or 0)))
    assert (boot.number, boot.reached) == (1, Stage.INSTALLER_UP)
    assert all(span.begin is None or span.end is None or span.begin <= span.end for span in boot.stages)


def test_two_nodes_through_one_log() -> None:
    signals = sorted([*net_boot(A, 1000.0), *net_boot(B, 1000.05)], key=lambda s: s.wall or 0)
    correlator = fed(signals)
    for node, ip in (("node01", "10.0.0.1"), ("node02", "10.0.0.2")):
        boot = timeline(correlator, node)
        assert names(boot) == NET
        spoken = {s.evidence for s in signals if s.ip == ip or s.mac.endswith(ip[-1])}
        assert {e for span in boot.stages for e in span.evidence} <= spoken


def test_an_address_moves_from_one_mac_to_another() -> None:
    shared = "10.0.0.77"
    first = net_boot(A, 1000.0, shared)
    second = net_boot(B, 2000.0, shared)
    correlator = fed([*first, *second])
    assert timeline(correlator, "node01").stages[-1].begin == 1040.3
    assert timeline(correlator, "node02").begin == 2000.0
    assert timeline(correlator, "node01").number == timeline(correlator, "node02").number == 1


def test_a_late_line_belongs_to_who_had_the_address_then() -> None:
    shared = "10.0.0.77"
    signals = [*lease(A, 1000.0, shared), *lease(B, 2000.0, shared), http(shared, "/bzImage", 1500.0)]
    correlator = fed(signals)
    assert Stage.HTTP_KERNEL in names(timeline(correlator, "node01"))
    assert Stage.HTTP_KERNEL not in names(timeline(correlator, "node02"))


def test_an_address_of_a_stranger_is_nobodys() -> None:
    stranger = NodeIdentity("?", ("52:54:00:00:00:99",), ("10.0.0.1",))
    correlator = fed(
        [*lease(stranger, 1000.0, vendor="PXEClient:Arch:00007", arch=7), http("10.0.0.1", "/bzImage", 1001)]
    )
    assert correlator.timeline("node01") is None
    (unknown,) = correlator.unknown_clients()
    assert (unknown.mac, unknown.ip, unknown.arch, unknown.requests) == ("52:54:00:00:00:99", "10.0.0.1", 7, 2)


def test_unknown_clients_are_bounded() -> None:
    asks = [signal(K.DHCP_DISCOVER, mac=f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}") for n in range(UNKNOWN_KEPT + 90)]
    assert len(fed(asks).unknown_clients()) == UNKNOWN_KEPT


def test_a_second_boot_begins_with_the_firmwares_question() -> None:
    correlator = fed([*net_boot(A, 1000.0), *net_boot(A, 5000.0)])
    boot = timeline(correlator)
    assert (boot.number, boot.begin) == (2, 5000.0)
    assert [past.begin for past in correlator.history("node01")] == [1000.0]


def test_a_second_boot_in_a_log_without_classes_takes_its_first_question_along() -> None:
    correlator = fed([*net_boot(A, 1000.0, flagged=False), *net_boot(A, 5000.0, flagged=False)])
    boot = timeline(correlator)
    assert (boot.number, boot.begin) == (2, 5000.0)
    assert names(boot) == NET


def test_reboot_on_the_console_begins_a_boot_from_disk() -> None:
    after = [
        console(K.REBOOT, 1100),
        console(K.FIRMWARE, 1160),
        console(K.DISK_LOADER, 1170),
        console(K.KERNEL, 1180),
        console(K.INITRD, 1182),
        console(K.STAGE2, 1190),
        console(K.LOGIN, 1210, host="node01"),
    ]
    correlator = fed([*console_boot(), *after, *lease(A, 1200)])
    boot = timeline(correlator)
    assert (boot.number, boot.reached, boot.outcome) == (2, Stage.FIRST_BOOT, "healthy")
    assert names(boot) == [Stage.FIRMWARE, Stage.DISK_BOOT, Stage.FIRST_BOOT]
    assert correlator.history("node01")[0].outcome == "installer-up"


def test_renewals_of_a_running_system_change_nothing() -> None:
    renewals = [s for n in range(50) for s in lease(A, 2000.0 + 300 * n) if s.kind in (K.DHCP_REQUEST, K.DHCP_ACK)]
    correlator = fed([*net_boot(A), *console_boot(), *renewals])
    assert (timeline(correlator).number, timeline(correlator).outcome) == (1, "installer-up")


def test_a_bios_with_ipxe_in_its_rom_has_no_loader_stages() -> None:
    signals = [
        console(K.FIRMWARE, 1),
        console(K.IPXE_START, 2),
        *lease(A, 3),
        console(K.IPXE_ADDRESS, 4, ip="10.0.0.1"),
        http("10.0.0.1", "/boot.ipxe", 5),
        http("10.0.0.1", "/bzImage", 6),
        http("10.0.0.1", "/initrd", 7),
        console(K.KERNEL, 8),
    ]
    boot = timeline(fed(signals))
    assert names(boot) == [
        Stage.FIRMWARE, Stage.DHCP_IPXE, Stage.IPXE_SCRIPT, Stage.HTTP_KERNEL, Stage.HTTP_INITRD, Stage.KERNEL_START,
    ]  # fmt: skip


def test_an_unnamed_script_is_known_by_order() -> None:
    signals = [
        *lease(A, 1, ipxe=True),
        http("10.0.0.1", "/a", 2),
        http("10.0.0.1", "/b", 3),
        http("10.0.0.1", "/c", 4),
    ]
    assert timeline(fed(signals)).reached is Stage.HTTP_INITRD


def said(kind: SignalKind, text: str) -> Signal:
    return Signal(kind=kind, node="node01", evidence=Evidence("console", 900, text))


def test_the_boot_manager_after_a_failed_ipxe_is_the_same_boot_and_a_reset_another() -> None:
    gave_up = [*console_boot(None)[:6], console(K.IPXE_ERROR, file="http://10.0.0.10/boot.ipxe", code="4c0a6035")]
    for text in ("BdsDxe: loading Boot0002", "UEFI Interactive Shell v2.2", "Booting from Hard Disk..."):
        boot = timeline(fed([*gave_up, said(K.FIRMWARE, text), console(K.NO_BOOT_DEVICE)]))
        assert (boot.number, errors(boot)) == (1, ["http-unreachable"])
    reset = fed([*gave_up, said(K.FIRMWARE, "SeaBIOS (version 1.16)")])
    assert timeline(reset).number == 2
    assert errors(reset.history("node01")[0]) == ["http-unreachable"]


def test_a_silent_node_is_stalled_and_says_where() -> None:
    correlator = Correlator([A], lambda _node, stage: 20.0 if stage is Stage.HTTP_KERNEL else None)
    for one in net_boot(A)[:11]:
        correlator.feed(one, one.wall or 0.0)
    correlator.feed(console(K.IPXE_FETCH, 1012.0, file="http://10.0.0.10/bzImage", percent=40.0), 1012.0)
    assert correlator.tick(1015.0) == frozenset()
    assert correlator.tick(1090.0) == {"node01"}
    boot = correlator.timeline("node01", 1090.0)
    assert boot is not None
    assert [finding.id for finding in boot.findings] == ["stalled"]
    assert "http-kernel" in boot.findings[0].cause
    assert correlator.tick(1091.0) == frozenset()


def test_a_rack_that_asks_for_ever_stays_small() -> None:
    correlator = Correlator([A])
    for n in range(5000):
        correlator.feed(tftp("10.0.0.1", float(n), f"file{n}.efi"), float(n))
        correlator.feed(signal(K.DHCP_DISCOVER, float(n), mac=A.macs[0], xid=str(n)), float(n))
    track = correlator._tracks["node01"].current
    assert len(track.marks) <= facts.MARKS_KEPT + len(SignalKind)
    assert len(track.exchanges) <= facts.EXCHANGES_KEPT


def test_what_a_running_system_fetches_is_counted_as_one_thing() -> None:
    correlator = fed(net_boot(A))
    before = timeline(correlator)
    changed = [
        correlator.feed(http("10.0.0.1", f"/{n:032x}.narinfo", 1100.0 + n, ipxe=False, text="Nix/2.24"), 1100.0 + n)
        for n in range(500)
    ]
    assert changed.count(frozenset({"node01"})) == 1
    assert timeline(correlator) == before
    assert len(correlator._tracks["node01"].current.find(K.HTTP_REQUEST)) == 4
    again = http("10.0.0.1", "/boot.ipxe", 1700.0)
    correlator.feed(again, 1700.0)
    assert timeline(correlator).number == 2, "the next boot is still seen"


def test_past_boots_are_given_from_a_number_on() -> None:
    correlator = fed([one for start in (1000.0, 2000.0, 3000.0) for one in net_boot(A, start)])
    assert [boot.number for boot in correlator.history("node01")] == [1, 2]
    assert [boot.number for boot in correlator.history("node01", after=1)] == [2]


WALLS = st.none() | st.floats(0, 3000)
FACTS: dict[str, Any] = {
    "node": st.sampled_from(["", "node01"]),
    "mac": st.sampled_from(["", *A.macs, *B.macs, "02:00:00:00:00:09"]),
    "ip": st.sampled_from(["", "10.0.0.1", "10.0.0.2", "10.0.0.9"]),
    "file": st.sampled_from(["", "ipxe.efi", "/boot.ipxe", "http://h/bzImage", "tftp://h/initrd", "/x", "http://["]),
    "bytes": st.none() | st.integers(0, 10**9),
    "status": st.none() | st.sampled_from([200, 206, 404, 500]),
    "code": st.sampled_from(["", "rootfs", "PXE-E18", "PXE-E23", "2d0c618e", "2e008081", "zzzzzzzz", "not-found"]),
    "ipxe": st.none() | st.booleans(),
    "arch": st.none() | st.integers(0, 40),
    "vendor": st.sampled_from(["", "PXEClient:Arch:00007", "HTTPClient:Arch:00016"]),
    "percent": st.none() | st.floats(0, 100),
}  # fmt: skip
SIGNALS = st.lists(st.builds(signal, st.sampled_from(SignalKind), WALLS, st.just("log"), **FACTS), max_size=60)


@settings(max_examples=150, deadline=None)
@given(SIGNALS, st.booleans())
def test_any_signals_keep_the_promises(signals: list[Signal], at_end: bool) -> None:
    correlator = Correlator([A, B])
    for one in signals:
        assert correlator.feed(one, one.wall or 0.0) <= {"node01", "node02"}
    correlator.tick(10_000.0)
    for node in ("node01", "node02"):
        boots = list(correlator.history(node))
        assert len(boots) <= HISTORY_KEPT
        boot = correlator.timeline(node, 10_000.0, at_end=at_end)
        for one in [*boots, *([boot] if boot is not None else [])]:
            positions = [ORDER[span.stage] for span in one.stages]
            assert positions == sorted(set(positions))
            assert all(s.begin <= s.end for s in one.stages if s.begin is not None and s.end is not None)
            assert one.outcome in ("installer-up", "healthy", "stopped", "running")
            done = [span.stage for span in one.stages if span.state == "done"]
            assert one.reached == (done[-1] if done else None)
            assert len(errors(one)) <= 1
