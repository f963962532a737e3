"""Recordings with and without clocks in one order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.model.boot import Evidence, Signal, SignalKind
from plasmatui.watch.weave import merge, moments

K = SignalKind
_DHCP = [K.DHCP_DISCOVER, K.DHCP_OFFER, K.DHCP_REQUEST, K.DHCP_ACK, K.DHCP_PROXY]
_SERVED = [K.TFTP_REQUEST, K.TFTP_DONE, K.HTTP_REQUEST]
_SHOWN = [K.PXE_START, K.PXE_ADDRESS, K.PXE_FILE, K.PXE_ERROR, K.IPXE_START, K.IPXE_ADDRESS, K.IPXE_FETCHED, K.KERNEL]


@st.composite
def recordings(draw: st.DrawFn) -> list[list[Signal]]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        kinds = draw(st.sampled_from([_DHCP, _SERVED, _SHOWN]))
        timed = kinds is not _SHOWN and draw(st.booleans())
        whole = draw(st.booleans())
        wall = 1000.0
        signals = []
        for line in range(draw(st.integers(0, 12))):
            wall += draw(st.sampled_from([0, 1, 3] if whole else [0, 0.25, 1.5]))
            signals.append(
                Signal(
                    kind=draw(st.sampled_from(kinds)),
                    evidence=Evidence(f"file{number}", line),
                    wall=wall if timed else None,
                    ip=draw(st.sampled_from(["10.0.0.1", "10.0.0.2"])),
                    file=draw(st.sampled_from(["", "ipxe.efi", "http://10.0.0.9/boot.ipxe", "/bzImage"])),
                    ipxe=draw(st.sampled_from([None, True, False])),
                )
            )
        made.append(signals)
    return made


@settings(max_examples=200, deadline=None)
@given(recordings())
def test_nothing_is_lost_and_each_recording_keeps_its_order(sequences: list[list[Signal]]) -> None:
    merged = merge(sequences)
    assert len(merged) == sum(map(len, sequences))
    for sequence in sequences:
        names = {signal.evidence.file for signal in sequence}
        assert [signal for signal in merged if signal.evidence.file in names] == sequence


def test_a_log_of_whole_seconds_gives_way_to_what_comes_before_in_a_boot() -> None:
    web = [Signal(kind=K.HTTP_REQUEST, evidence=Evidence("http", line), wall=5.0, file="/x") for line in (1, 2)]
    lease = [Signal(kind=K.DHCP_ACK, evidence=Evidence("dhcp", 1), wall=5.7)]
    assert merge([web, lease]) == [*lease, *web]
    assert [int(at) for at, _ in moments(web)] == [5, 5]
