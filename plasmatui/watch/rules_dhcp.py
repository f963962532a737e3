"""Findings about addresses: who answers, who does not, and who else does.

Texts and codes of firmware: PXE 2.1 appendix, Intel Boot Agent guide, EDK2 `NetworkPkg/UefiPxeBcDxe`.
"""

from __future__ import annotations

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.model.words import Severity, Stage
from plasmatui.watch.console.reader import OVER_IPV6
from plasmatui.watch.diagnosis import Case, Hit, open_marks
from plasmatui.watch.facts import Exchange, Mark
from plasmatui.watch.ipxe import Errno, failed_with
from plasmatui.watch.stages import ORDER

SILENT_ASKS = 3
_UNHEARD = ("18", "51", "52", "61", "12")
"""Numbers of PXE errors that say that nobody gives an address."""

K = SignalKind


def pxe_errors(case: Case, stage: Stage, *numbers: str) -> list[Mark]:
    wanted = {f"PXE-E{n}" for n in numbers}
    return [m for m in open_marks(case, stage, K.PXE_ERROR) if m.first.code.upper() in wanted]


def loader_acks(case: Case) -> list[Signal]:
    return [e.ack for e in case.reading.loader_asks if e.ack is not None][:1]


def _refused(case: Case, *codes: str) -> list[Signal]:
    """Refusals of DHCP servers that no answer followed."""
    reading = case.reading
    if reading.position() > ORDER[Stage.DHCP_LOADER] or any(e.ack for e in reading.facts.exchanges):
        return []
    exchanges = reading.facts.exchanges
    refused = [e.refused for e in exchanges if e.refused is not None and e.refused.code in codes]
    offers = [e.offer for e in exchanges if e.offer is not None]
    return [s for s in refused if s.kind is K.DHCP_IGNORED and not any(_follows(s, offer) for offer in offers)][:2]


def _follows(line: Signal, other: Signal) -> bool:
    return other.evidence.file == line.evidence.file and other.evidence.line > line.evidence.line


def _with_console(case: Case, lines: list[Signal]) -> list[Signal]:
    return lines + [m.first for m in case.reading.facts.find(K.PXE_ERROR, K.IPXE_NO_ADDRESS)][:1]


def pool_exhausted(case: Case) -> Hit | None:
    lines = _refused(case, "pool-exhausted")
    return Hit("The DHCP server has no free address for this machine.", _with_console(case, lines)) if lines else None


def unknown_mac(case: Case) -> Hit | None:
    lines = _refused(case, "unknown-mac", "")
    if not lines:
        return None
    return Hit(
        f"The DHCP server ignores {lines[0].mac or 'this machine'}: it has no entry for it.", _with_console(case, lines)
    )


def rogue(case: Case) -> Hit | None:
    exchanges = case.reading.facts.exchanges
    known = {ip for e in exchanges for ip in e.ips}
    for mark in case.reading.facts.find(K.PXE_ADDRESS, K.IPXE_ADDRESS):
        signal = mark.first
        if signal.ip and ":" not in signal.ip and known and signal.ip not in known:
            return _rogue_hit(case, f"It got {signal.ip}, which our DHCP server did not give.", signal)
    ours = {s.server for e in exchanges for s in (e.offer, e.ack) if s is not None and s.server}
    ours |= {e.taken.server for e in exchanges if e.taken is not None and e.ack is not None}
    for exchange in exchanges:
        taken = exchange.taken
        if taken is not None and exchange.ack is None and taken.server not in ours and _from_elsewhere(exchange, ours):
            return _rogue_hit(case, f"It took the offer of another DHCP server, {taken.server}.", taken)
    return _two_servers(case) or _refused_by_another(case)


def _from_elsewhere(exchange: Exchange, ours: set[str]) -> bool:
    """Whether the offer that a machine took is not the one that our server made, if it made any."""
    taken, offer = exchange.taken, exchange.offer
    if taken is None or (offer is None and exchange.refused is None):
        return False
    if taken.ip and any(s.kind is K.DHCP_OFFER and s.ip == taken.ip for s in exchange.answers):
        return False
    return offer is None or (taken.server != offer.server and (bool(ours) or taken.ip != offer.ip))


def _two_servers(case: Case) -> Hit | None:
    """Two servers' logs show different answers to one question."""
    for exchange in case.reading.facts.exchanges:
        if len({s.evidence.file for s in exchange.answers}) < 2:
            continue
        offers = [s for s in exchange.answers if s.kind is K.DHCP_OFFER and s.ip]
        acks = [s for s in exchange.answers if s.kind is K.DHCP_ACK]
        naks = [s for s in exchange.answers if s.kind is K.DHCP_NAK]
        if len({s.ip for s in offers}) > 1:
            told = " and ".join(f"{s.ip} ({s.evidence.file})" for s in offers[:2])
            return _rogue_hit(case, f"Two DHCP servers offer it addresses: {told}.", *offers[:2])
        for nak in naks:
            other = [s for s in acks if s.evidence.file != nak.evidence.file and s.ip == nak.ip]
            if other:
                return _rogue_hit(case, f"One DHCP server gives it {nak.ip}, another one refuses it.", other[0], nak)
    return None


def _refused_by_another(case: Case) -> Hit | None:
    """UEFI reports `Device error` when its question is refused (EDK II, Dhcp4Impl.c: DHCPNAK in state requesting)."""
    console = pxe_errors(case, Stage.DHCP_LOADER, "07")
    acks = [e.ack for e in case.reading.loader_asks if e.ack is not None]
    if not console or not acks or case.reading.facts.has(K.PXE_ADDRESS):
        return None
    cause = f"Our DHCP server gave it {acks[-1].ip}, but the firmware was refused ({console[0].first.code}): "
    return _rogue_hit(case, cause + "another DHCP server answers, too.", acks[-1], console[0].first)


def _rogue_hit(case: Case, cause: str, *signals: Signal) -> Hit:
    good = case.reading.position() >= ORDER[Stage.KERNEL_START]
    offers = [e.offer for e in case.reading.facts.exchanges if e.offer is not None][:1]
    return Hit(cause, [*offers, *signals], severity=Severity.WARNING if good else None)


def in_use(case: Case) -> Hit | None:
    """The machine looked whether somebody has its address (ARP), and somebody does."""
    exchanges = case.reading.facts.exchanges
    last = next((e for e in reversed(exchanges) if e.ack is not None), None)
    if last is None or last.declined is None:
        return None
    times = sum(e.declined is not None for e in exchanges)
    again = f" {times} times" if times > 1 else ""
    cause = f"It was given {last.declined.ip} and declined it{again}: another machine has that address."
    stage = Stage.INSTALLER_UP if last in case.reading.system else Stage.DHCP_LOADER
    return Hit(cause, [s for s in (last.ack, last.declined) if s is not None], stage=stage)


def _no_link(mark: Mark) -> bool:
    """iPXE's link stays down (src/net/netdevice.c: ENOTCONN)."""
    return failed_with(mark, Errno.ENOTCONN) and not mark.first.file


def no_dhcp(case: Case) -> Hit | None:
    answered = case.reading.position() >= ORDER[Stage.DHCP_LOADER]
    if answered and not case.reading.facts.has(K.PXE_ERROR, K.IPXE_NO_ADDRESS, K.IPXE_ERROR):
        return None
    marks = [m for m in pxe_errors(case, Stage.DHCP_LOADER, *_UNHEARD) if not is_of_file(m)]
    if not marks:
        marks = [m for m in pxe_errors(case, Stage.DHCP_LOADER, "16") if nobody_offered(case, m)]
    stage = Stage.DHCP_LOADER
    if not marks:
        stage = Stage.DHCP_IPXE
        marks = open_marks(case, stage, K.IPXE_NO_ADDRESS)
        marks += [m for m in open_marks(case, stage, K.IPXE_ERROR) if failed_with(m, Errno.EADDRNOTAVAIL)]
        marks += [m for m in open_marks(case, stage, K.IPXE_ERROR) if _no_link(m)]
    asks = [
        e for e in case.reading.facts.exchanges if e.ack is None and e.offer is None and e not in case.reading.system
    ]
    silent = not answered and sum(e.asked for e in asks) >= SILENT_ASKS
    if not marks and not (silent and (case.at_end or case.waited > 10.0)):
        return None
    offered = [e.offer for e in case.reading.facts.exchanges if e.offer is not None and e.ack is None]
    naks = [e.refused for e in case.reading.facts.exchanges if e.refused is not None and e.refused.kind is K.DHCP_NAK]
    who = "iPXE" if stage is Stage.DHCP_IPXE else "The firmware"
    lines = [e.first for e in asks][:2] + [m.first for m in marks]
    if any(m.first.code.upper() in ("PXE-E61", "PXE-E12") or _no_link(m) for m in marks):
        cause = f"{who} sees no link on the network card ({marks[0].first.code})."
    elif any(m.first.code.upper() == "PXE-E52" for m in marks):
        cause = "Only a proxy-DHCP server answered: nobody gives an address (PXE-E52)."
    elif naks:
        of = f" {naks[-1].ip}" if naks[-1].ip else ""
        cause = (
            f"The DHCP server refuses the address{of} that {who.lower().replace('ipxe', 'iPXE')} asks for (DHCPNAK)."
        )
        lines = [*(e.first for e in asks[:1]), naks[-1], *(m.first for m in marks)]
    elif asks and sum(e.asked for e in asks):
        cause = f"{who} asked for an address; the DHCP server heard it and did not answer."
    elif offered:
        cause = f"{who} got no address although the DHCP server offered {offered[-1].ip}: the answer does not reach it."
        lines = [offered[-1], *lines]
    else:
        cause = f"{who} asked for an address and got no answer; no DHCP server's log shows the question."
        cause += _other_card(case)
    return Hit(cause, lines, stage=stage)


def _other_card(case: Case) -> str:
    """What is to be said when every card that was seen to ask is another one than the node is known by."""
    marks = case.reading.facts.find(K.FIRMWARE, K.PXE_START, K.IPXE_NO_ADDRESS)
    asked = sorted({s.mac for m in marks for s in (m.first, m.last) if s.mac})
    if not case.macs or not asked or not set(asked).isdisjoint(case.macs):
        return ""
    return f" The card that asks is {asked[0]}; the one that is known is {case.macs[0]}."


def nobody_offered(case: Case, mark: Mark) -> bool:
    """Whether `No valid offer` means no offer at all, and not one without a boot file: it is said of IPv6 too, which
    firmware tries when IPv4 failed, and where nobody answers."""
    if mark.first.code.upper() != "PXE-E16":
        return False
    exchanges = case.reading.facts.exchanges
    offered = any(e.offer or e.proxy or e.ack for e in exchanges)
    unheard = any(
        m.first_order < mark.first_order and not is_of_file(m) for m in pxe_errors(case, Stage.DHCP_LOADER, *_UNHEARD)
    )
    over_ipv6 = all(s.text.endswith(OVER_IPV6) for s in (mark.first, mark.last))
    return over_ipv6 or (not offered and (unheard or bool(exchanges)))


def is_of_file(mark: Mark) -> bool:
    """UEFI says the same of an address that nobody gives and of a file that nobody sends (EDK II, PxeBcBoot.c)."""
    return bool(mark.first.file)
