"""Findings from power-on to the loader: Secure Boot, DHCP, TFTP, architectures, loops.

Texts and codes of firmware: PXE 2.1 appendix, Intel Boot Agent guide, EDK2 `NetworkPkg/UefiPxeBcDxe`. Wording differs
by vendor and age; the number does not.
"""

from __future__ import annotations

import re

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.model.words import Severity, Stage
from plasmatui.watch.console.reader import OVER_IPV6
from plasmatui.watch.diagnosis import Case, Hit, Rule, file_of, open_marks
from plasmatui.watch.facts import Exchange, Mark
from plasmatui.watch.ipxe import UNREACHABLE, Errno, errno_of, failed_with, is_nothing_to_boot
from plasmatui.watch.names import Role, name_of
from plasmatui.watch.stages import ORDER

LOOP_ROUNDS = 3
SILENT_ASKS = 3
_UNHEARD = ("18", "51", "52", "61", "12")
"""Numbers of PXE errors that say that nobody gives an address."""

K = SignalKind
_ARCH = {0: "BIOS", 6: "UEFI IA32", 7: "UEFI x86-64", 9: "UEFI x86-64", 11: "UEFI ARM64", 15: "UEFI HTTP IA32"}
_ARCH |= {16: "UEFI HTTP x86-64", 19: "UEFI HTTP ARM64", 10: "UEFI ARM32", 27: "UEFI RISC-V"}
_BIOS_LOADER = re.compile(r"\.(k?kk?pxe|pxe|0)$", re.I)
_WIDTH_32 = re.compile(r"i386|ia32|bootia32|x86_32", re.I)
_ARM = re.compile(r"arm64|aa64|aarch64", re.I)
_X86 = re.compile(r"x86_64|x64|amd64|i386|ia32", re.I)


def _pxe(case: Case, stage: Stage, *numbers: str) -> list[Mark]:
    wanted = {f"PXE-E{n}" for n in numbers}
    return [m for m in open_marks(case, stage, K.PXE_ERROR) if m.first.code.upper() in wanted]


def _acks(case: Case) -> list[Signal]:
    return [e.ack for e in case.reading.loader_asks if e.ack is not None][:1]


def _loader_requests(case: Case) -> list[Mark]:
    return [
        m
        for m in case.reading.facts.find(K.TFTP_REQUEST)
        if case.reading.role(m.first.file) in (Role.LOADER, Role.UNKNOWN)
    ]


def _file(marks: list[Mark], default: str = "the loader") -> str:
    return next((m.first.file for m in marks if m.first.file), default)


def _secure_boot(case: Case) -> Hit | None:
    refused = [m for m in open_marks(case, Stage.TFTP_LOADER, K.BOOT_REFUSED) if m.first.code == "secure-boot"]
    refused += [
        m
        for m in open_marks(case, Stage.HTTP_INITRD, K.IPXE_ERROR)
        if failed_with(m, Errno.PLATFORM) and case.reading.role(m.first.file) in (Role.KERNEL, Role.UNKNOWN)
    ]
    if not refused:
        return None
    name = _file(_loader_requests(case) + case.reading.facts.find(K.PXE_FILE))
    return Hit(f"The firmware refused to start {name}: Secure Boot does not trust it.", [m.first for m in refused])


def _refused(case: Case, *codes: str) -> list[Signal]:
    """Refusals of DHCP servers that no answer followed."""
    reading = case.reading
    if reading.position() > ORDER[Stage.DHCP_LOADER] or any(e.ack for e in reading.facts.exchanges):
        return []
    refused = [e.refused for e in reading.facts.exchanges if e.refused is not None and e.refused.code in codes]
    return [s for s in refused if s.kind is K.DHCP_IGNORED][:2]


def _with_console(case: Case, lines: list[Signal]) -> list[Signal]:
    return lines + [m.first for m in case.reading.facts.find(K.PXE_ERROR, K.IPXE_NO_ADDRESS)][:1]


def _pool_exhausted(case: Case) -> Hit | None:
    lines = _refused(case, "pool-exhausted")
    return Hit("The DHCP server has no free address for this machine.", _with_console(case, lines)) if lines else None


def _unknown_mac(case: Case) -> Hit | None:
    lines = _refused(case, "unknown-mac", "")
    if not lines:
        return None
    return Hit(
        f"The DHCP server ignores {lines[0].mac or 'this machine'}: it has no entry for it.", _with_console(case, lines)
    )


def _rogue(case: Case) -> Hit | None:
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
    console = _pxe(case, Stage.DHCP_LOADER, "07")
    acks = [e.ack for e in case.reading.loader_asks if e.ack is not None]
    if not console or not acks or case.reading.facts.has(K.PXE_ADDRESS):
        return None
    cause = f"Our DHCP server gave it {acks[-1].ip}, but the firmware was refused ({console[0].first.code}): "
    return _rogue_hit(case, cause + "another DHCP server answers, too.", acks[-1], console[0].first)


def _rogue_hit(case: Case, cause: str, *signals: Signal) -> Hit:
    good = case.reading.position() >= ORDER[Stage.KERNEL_START]
    offers = [e.offer for e in case.reading.facts.exchanges if e.offer is not None][:1]
    return Hit(cause, [*offers, *signals], severity=Severity.WARNING if good else None)


def _no_link(mark: Mark) -> bool:
    """iPXE's link stays down (src/net/netdevice.c: ENOTCONN)."""
    return failed_with(mark, Errno.ENOTCONN) and not mark.first.file


def _no_dhcp(case: Case) -> Hit | None:
    answered = case.reading.position() >= ORDER[Stage.DHCP_LOADER]
    if answered and not case.reading.facts.has(K.PXE_ERROR, K.IPXE_NO_ADDRESS, K.IPXE_ERROR):
        return None
    marks = _pxe(case, Stage.DHCP_LOADER, *_UNHEARD)
    if not marks:
        marks = [m for m in _pxe(case, Stage.DHCP_LOADER, "16") if _nobody_offered(case, m)]
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
    who = "iPXE" if stage is Stage.DHCP_IPXE else "The firmware"
    lines = [e.first for e in asks][:2] + [m.first for m in marks]
    if any(m.first.code.upper() in ("PXE-E61", "PXE-E12") or _no_link(m) for m in marks):
        cause = f"{who} sees no link on the network card ({marks[0].first.code})."
    elif any(m.first.code.upper() == "PXE-E52" for m in marks):
        cause = "Only a proxy-DHCP server answered: nobody gives an address (PXE-E52)."
    elif asks and sum(e.asked for e in asks):
        cause = f"{who} asked for an address; the DHCP server heard it and did not answer."
    elif offered:
        cause = f"{who} got no address although the DHCP server offered {offered[-1].ip}: the answer does not reach it."
        lines = [offered[-1], *lines]
    else:
        cause = f"{who} asked for an address and got no answer; no DHCP server's log shows the question."
    return Hit(cause, lines, stage=stage)


def _nobody_offered(case: Case, mark: Mark) -> bool:
    """Whether `No valid offer` means no offer at all, and not one without a boot file: it is said of IPv6 too, which
    firmware tries when IPv4 failed, and where nobody answers."""
    if mark.first.code.upper() != "PXE-E16":
        return False
    exchanges = case.reading.facts.exchanges
    offered = any(e.offer or e.proxy or e.ack for e in exchanges)
    unheard = any(m.first_order < mark.first_order for m in _pxe(case, Stage.DHCP_LOADER, *_UNHEARD))
    over_ipv6 = all(s.text.endswith(OVER_IPV6) for s in (mark.first, mark.last))
    return over_ipv6 or (not offered and (unheard or bool(exchanges)))


def _no_filename(case: Case) -> Hit | None:
    facts = case.reading.facts
    if facts.has(K.PXE_FILE) or _loader_requests(case):
        errors = []
    else:
        errors = _pxe(case, Stage.DHCP_LOADER, "16", "53", "55")
        errors += _pxe(case, Stage.TFTP_LOADER, "16", "53", "55")
        errors = [m for m in errors if not _nobody_offered(case, m)]
    stage = Stage.TFTP_LOADER
    if not errors:
        stage = Stage.IPXE_SCRIPT
        errors = [m for m in open_marks(case, stage, K.IPXE_ERROR) if is_nothing_to_boot(m)]
    if not errors:
        return None
    who = "iPXE" if stage is Stage.IPXE_SCRIPT else "The firmware"
    if errors[0].first.code.upper() == "PXE-E55":
        cause = "The proxy-DHCP service does not answer on port 4011 (PXE-E55); option 60 promises one."
    else:
        cause = f"{who} got an address but no boot file name ({errors[0].first.code})."
    asks = case.reading.ipxe_asks if stage is Stage.IPXE_SCRIPT else case.reading.loader_asks
    answers = [s for e in asks for s in (e.ack or e.offer,) if s is not None][-1:]
    return Hit(cause, [*answers, errors[0].first], stage=stage)


def _tftp_missing(case: Case) -> Hit | None:
    errors = [
        m
        for m in open_marks(case, Stage.TFTP_LOADER, K.TFTP_ERROR)
        if m.first.code in ("not-found", "denied") and case.reading.role(m.first.file) in (Role.LOADER, Role.UNKNOWN)
    ]
    console = _pxe(case, Stage.TFTP_LOADER, "23", "36", "3B", "3C")
    if not errors and not console:
        return None
    requests = [m for m in _loader_requests(case) if not errors or m.first.file == errors[0].first.file]
    named = case.reading.facts.find(K.PXE_FILE)
    name = _file(errors + requests + named)
    denied = any(m.first.code == "denied" for m in errors) or any(m.first.code.upper() == "PXE-E3C" for m in console)
    why = "may not read" if denied else "does not have"
    lines = [m.first for m in (errors or requests)[:2]] + [m.first for m in named[-1:] + console[:1]]
    return Hit(f"The TFTP server {why} {name}, which DHCP names as the loader.", lines)


def _tftp_unreachable(case: Case) -> Hit | None:
    errors = [m for m in open_marks(case, Stage.TFTP_LOADER, K.TFTP_ERROR) if m.first.code == "timeout"]
    console = _pxe(case, Stage.TFTP_LOADER, "11", "32", "35", "99", "22", "21", "38")
    console = [m for m in console if m.first.code.upper() != "PXE-E21"]
    console += [
        m
        for m in open_marks(case, Stage.IPXE_SCRIPT, K.IPXE_ERROR)
        if errno_of(m.first.code) in UNREACHABLE and m.first.file.startswith("tftp:")
    ]
    if not errors and not console:
        return None
    requests = _loader_requests(case)
    name = _file(errors + requests + case.reading.facts.find(K.PXE_FILE) + console)
    code = f" ({console[0].first.code})" if console else ""
    if requests:
        cause = f"The TFTP server got the request for {name}, but the transfer broke off{code}."
    else:
        cause = f"The TFTP server does not answer the request for {name}{code}; its log shows no request."
    lines = [m.first for m in errors + requests[:1]] + [m.first for m in console[:1]]
    return Hit(cause, (lines if requests or errors else _acks(case) + lines))


def _wrong_arch(case: Case) -> Hit | None:
    reading = case.reading
    arch = next((e.arch for e in reading.loader_asks if e.arch is not None), None)
    if arch is None and not reading.facts.has(K.BOOT_REFUSED, K.PXE_ERROR, K.IPXE_ERROR):
        return None
    refused = [m for m in open_marks(case, Stage.TFTP_LOADER, K.BOOT_REFUSED) if m.first.code != "secure-boot"]
    refused += _pxe(case, Stage.TFTP_LOADER, "05", "74", "75", "76", "77", "78", "79")
    foreign = [m for m in open_marks(case, Stage.IPXE_SCRIPT, K.IPXE_ERROR) if _is_foreign_loader(case, m)]
    refused += foreign
    requests = _loader_requests(case) + reading.facts.find(K.PXE_FILE, K.PXE_LOADED)
    requests += [m for m in reading.facts.find(K.IPXE_FETCH) if foreign and reading.role(m.first.file) is Role.LOADER]
    name = _file(requests, next((e.file for e in reading.loader_asks if e.file), ""))
    over = reading.position() > ORDER[Stage.TFTP_LOADER]
    wrong = not over and arch is not None and bool(name) and not _fits(arch, name)
    if not wrong and not refused:
        return None
    machine = _ARCH.get(arch, f"architecture {arch}") if arch is not None else "firmware"
    cause = f"The loader {name_of(name) or 'it got'} does not fit this machine ({machine})."
    asks = [s for e in reading.loader_asks for s in (e.ack or e.first,)][:1]
    return Hit(cause, asks + [m.first for m in requests[:1]] + [m.first for m in refused[:2]])


def _is_foreign_loader(case: Case, mark: Mark) -> bool:
    """iPXE got a loader and cannot run it: an EFI file on BIOS, or the other way round."""
    return failed_with(mark, Errno.ENOEXEC) and case.reading.role(file_of(case, mark)) is Role.LOADER


def _fits(arch: int, name: str) -> bool:
    bios_file = bool(_BIOS_LOADER.search(name))
    if arch == 0:
        return not name.lower().endswith(".efi")
    if bios_file:
        return False
    if arch in (6, 15):
        return bool(_WIDTH_32.search(name)) or not _X86.search(name)
    if arch in (7, 9, 16):
        return not _WIDTH_32.search(name) and not _ARM.search(name)
    if arch in (11, 19):
        return not _X86.search(name)
    return True


def _ipxe_loop(case: Case) -> Hit | None:
    reading, facts = case.reading, case.reading.facts
    if reading.position() >= ORDER[Stage.IPXE_SCRIPT]:
        scripts = [
            m
            for m in facts.find(K.HTTP_REQUEST, K.IPXE_FETCHED)
            if reading.role(m.first.file) is Role.SCRIPT and (m.first.status or 200) < 300
        ]
        if reading.position() > ORDER[Stage.IPXE_SCRIPT] or not scripts or max(m.count for m in scripts) < 4:
            return None
        again = max(scripts, key=lambda m: m.count)
        return Hit(
            f"iPXE asked for {name_of(again.first.file)} {again.count} times and comes no further: it chains itself.",
            [again.first, again.last],
            stage=Stage.IPXE_SCRIPT,
        )
    starts = facts.find(K.IPXE_START)
    banners = sum(m.count for m in starts)
    refetched = [m for m in facts.find(K.IPXE_FETCH) if reading.role(m.first.file) is Role.LOADER]
    told = [e for e in reading.ipxe_asks if e.file and reading.role(e.file) is Role.LOADER]
    rounds = max(facts.loader_rounds, len(told))
    if rounds < LOOP_ROUNDS and banners < LOOP_ROUNDS and not (told and rounds > 1) and not (refetched and banners > 1):
        return None
    if not refetched and not told and (facts.has(K.IPXE_NO_ADDRESS) or _tried_script(case) or _never_ran(case)):
        return None  # the firmware tries again and again because something else fails
    requests = [
        m
        for m in facts.find(K.TFTP_REQUEST, K.TFTP_DONE, K.HTTP_REQUEST)
        if reading.role(m.first.file) is Role.LOADER and m.first.code != "HEAD"
    ]
    name = name_of(_file(requests + refetched) if requests or refetched else told[0].file if told else "the loader")
    times = max(rounds, banners)
    lines = [s for m in requests for s in (m.first, m.last)] + [s for m in starts for s in (m.first, m.last)]
    lines += [m.first for m in refetched]
    return Hit(
        f"iPXE loads {name} again and again ({times} times): DHCP gives iPXE the loader instead of a script.",
        [e.ack or e.first for e in told[:1]] + lines,
        stage=Stage.DHCP_IPXE,
    )


def _tried_script(case: Case) -> bool:
    marks = case.reading.facts.find(K.HTTP_REQUEST, K.IPXE_FETCH, K.IPXE_ERROR)
    return any(m.first.file and case.reading.role(m.first.file) is not Role.LOADER for m in marks)


def _never_ran(case: Case) -> bool:
    """The console shows the firmware and never iPXE."""
    facts = case.reading.facts
    return facts.has(K.PXE_START) and not facts.has(K.IPXE_START, K.IPXE_ADDRESS)


def _tftp_slow(case: Case) -> Hit | None:
    span = case.reading.spans.get(Stage.TFTP_LOADER)
    if span is None or span.begin is None or span.end is None or not case.reading.facts.has(K.TFTP_REQUEST):
        return None
    usual = case.usual(case.reading.node, Stage.TFTP_LOADER) if case.usual is not None else None
    seconds = span.end - span.begin
    if seconds < max(60.0, 5.0 * (usual or 0.0)):
        return None
    requests = _loader_requests(case)
    return Hit(f"The loader took {seconds:.0f} s by TFTP.", [s for m in requests[:1] for s in (m.first, m.last)])


NETWORK_RULES = (
    Rule("rogue-dhcp", Stage.DHCP_LOADER, _rogue),
    Rule("pool-exhausted", Stage.DHCP_LOADER, _pool_exhausted),
    Rule("unknown-mac", Stage.DHCP_LOADER, _unknown_mac),
    Rule("tftp-file-missing", Stage.TFTP_LOADER, _tftp_missing, (K.TFTP_ERROR, K.PXE_ERROR)),
    Rule("tftp-unreachable", Stage.TFTP_LOADER, _tftp_unreachable, (K.TFTP_ERROR, K.PXE_ERROR, K.IPXE_ERROR)),
    Rule("secure-boot-refused", Stage.TFTP_LOADER, _secure_boot, (K.BOOT_REFUSED, K.IPXE_ERROR)),
    Rule("wrong-arch-loader", Stage.TFTP_LOADER, _wrong_arch),
    Rule("ipxe-loop", Stage.DHCP_IPXE, _ipxe_loop),
    Rule("no-boot-filename", Stage.TFTP_LOADER, _no_filename, (K.PXE_ERROR, K.IPXE_ERROR)),
    Rule("no-dhcp-answer", Stage.DHCP_LOADER, _no_dhcp),
    Rule("tftp-slow", Stage.TFTP_LOADER, _tftp_slow, (K.TFTP_REQUEST,)),
)
