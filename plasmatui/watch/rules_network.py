"""Findings from an address to the loader: boot file names, TFTP, Secure Boot, architectures, loops.

Texts and codes of firmware: PXE 2.1 appendix, Intel Boot Agent guide, EDK2 `NetworkPkg/UefiPxeBcDxe`. Wording differs
by vendor and age; the number does not.
"""

from __future__ import annotations

import re

from plasmatui.model.boot import SignalKind
from plasmatui.model.words import Stage
from plasmatui.watch.diagnosis import Case, Hit, Rule, file_of, open_marks
from plasmatui.watch.facts import Mark
from plasmatui.watch.ipxe import UNREACHABLE, Errno, errno_of, failed_with, is_image_refused, is_nothing_to_boot
from plasmatui.watch.names import Role, name_of
from plasmatui.watch.rules_dhcp import (
    in_use,
    is_of_file,
    loader_acks,
    no_dhcp,
    nobody_offered,
    pool_exhausted,
    pxe_errors,
    rogue,
    unknown_mac,
)
from plasmatui.watch.stages import ORDER

LOOP_ROUNDS = 3
_MENUS = ("74", "75", "76", "77", "78")
"""Numbers of PXE errors about boot menus and lists of boot servers."""

_NO_SIZE = "Could not retrieve NBP file size"
_UNNAMED = ("16", "53", "55", *_MENUS)
"""Numbers of PXE errors that say that an answer came, and names no file."""

K = SignalKind
_ARCH = {0: "BIOS", 6: "UEFI IA32", 7: "UEFI x86-64", 9: "UEFI x86-64", 11: "UEFI ARM64", 15: "UEFI HTTP IA32"}
_ARCH |= {16: "UEFI HTTP x86-64", 19: "UEFI HTTP ARM64", 10: "UEFI ARM32", 27: "UEFI RISC-V"}
_BIOS_LOADER = re.compile(r"\.(k?kk?pxe|pxe|0)$", re.I)
_WIDTH_32 = re.compile(r"i386|ia32|bootia32|x86_32", re.I)
_ARM = re.compile(r"arm64|aa64|aarch64", re.I)
_X86 = re.compile(r"x86_64|x64|amd64|i386|ia32", re.I)


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
        if is_image_refused(m) and case.reading.role(m.first.file) in (Role.KERNEL, Role.UNKNOWN)
    ]
    if not refused:
        return None
    name = _file(_loader_requests(case) + case.reading.facts.find(K.PXE_FILE))
    return Hit(f"The firmware refused to start {name}: Secure Boot does not trust it.", [m.first for m in refused])


def _no_url(case: Case) -> list[Mark]:
    """UEFI HTTP boot takes no offer whose file is no URL (EDK II, HttpBootDhcp4.c), and says then that it cannot get
    the file's size."""
    if not any(e.offer is not None for e in case.reading.facts.exchanges):
        return []
    return [m for m in open_marks(case, Stage.TFTP_LOADER, K.PXE_ERROR) if m.first.text.startswith(_NO_SIZE)]


def _no_filename(case: Case) -> Hit | None:
    facts = case.reading.facts
    if facts.has(K.PXE_FILE) or _loader_requests(case):
        errors = []
    else:
        errors = pxe_errors(case, Stage.DHCP_LOADER, *_UNNAMED)
        errors += pxe_errors(case, Stage.TFTP_LOADER, *_UNNAMED)
        errors = [m for m in errors if not nobody_offered(case, m)]
        errors = errors or _no_url(case)
    stage = Stage.TFTP_LOADER
    if not errors:
        stage = Stage.IPXE_SCRIPT
        errors = [m for m in open_marks(case, stage, K.IPXE_ERROR) if is_nothing_to_boot(m)]
    if not errors:
        return None
    who = "iPXE" if stage is Stage.IPXE_SCRIPT else "The firmware"
    if not errors[0].first.code:
        cause = "UEFI HTTP boot was offered addresses, but no http:// URL of a loader with option 60 `HTTPClient`."
    elif errors[0].first.code.upper() == "PXE-E55":
        cause = "The proxy-DHCP service does not answer on port 4011 (PXE-E55); option 60 promises one."
    elif errors[0].first.code.upper()[-2:] in _MENUS:
        cause = f"DHCP promises a boot menu or boot server that is none ({errors[0].first.code}): options 43 and 60."
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
    console = pxe_errors(case, Stage.TFTP_LOADER, "23", "36", "3B", "3C")
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
    console = pxe_errors(case, Stage.TFTP_LOADER, "11", "32", "35", "99", "22", "21", "38")
    console = [m for m in console if m.first.code.upper() != "PXE-E21"]
    console += [m for m in pxe_errors(case, Stage.TFTP_LOADER, "18") if is_of_file(m)]
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
        cause = f"The TFTP server does not answer the request for {name}{code}; no TFTP server's log shows it."
    lines = [m.first for m in errors + requests[:1]] + [m.first for m in console[:1]]
    return Hit(cause, (lines if requests or errors else loader_acks(case) + lines))


def _wrong_arch(case: Case) -> Hit | None:
    reading = case.reading
    named = sorted(reading.loader_asks, key=lambda e: not e.file)  # what was asked where a file was named
    arch = next((e.arch for e in named if e.arch is not None), None)
    if arch is None and not reading.facts.has(K.BOOT_REFUSED, K.PXE_ERROR, K.IPXE_ERROR):
        return None
    refused = [m for m in open_marks(case, Stage.TFTP_LOADER, K.BOOT_REFUSED) if m.first.code != "secure-boot"]
    refused += pxe_errors(case, Stage.TFTP_LOADER, "05", "79")
    foreign = [m for m in open_marks(case, Stage.IPXE_SCRIPT, K.IPXE_ERROR) if _is_foreign_loader(case, m)]
    refused += foreign
    requests = _loader_requests(case) + reading.facts.find(K.PXE_FILE, K.PXE_LOADED)
    requests += [m for m in reading.facts.find(K.IPXE_FETCH) if foreign and reading.role(m.first.file) is Role.LOADER]
    name = _file(requests, next((e.file for e in reading.loader_asks if e.file), ""))
    over = reading.position() > ORDER[Stage.TFTP_LOADER]
    wrong = not over and arch is not None and bool(name) and not _fits(arch, name)
    if not wrong and not refused:
        return None
    machine = f" ({_ARCH.get(arch, f'architecture {arch}')})" if arch is not None else "'s firmware"
    cause = f"The loader {name_of(name) or 'it got'} does not fit this machine{machine}."
    asks = [s for e in named for s in (e.ack or e.offer or e.first,)][:1]
    refused += refused or _no_url(case)
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
        if _tries_again(case):
            return None  # a script that begins anew because a file does not come
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


def _tries_again(case: Case) -> bool:
    marks = case.reading.facts.find(K.HTTP_REQUEST, K.IPXE_ERROR)
    failed = [m for m in marks if m.kind is K.IPXE_ERROR or (m.first.status or 0) >= 400]
    return any(case.reading.role(file_of(case, m)) in (Role.KERNEL, Role.INITRD) for m in failed)


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
    Rule("rogue-dhcp", Stage.DHCP_LOADER, rogue),
    Rule("pool-exhausted", Stage.DHCP_LOADER, pool_exhausted),
    Rule("address-in-use", Stage.DHCP_LOADER, in_use),
    Rule("unknown-mac", Stage.DHCP_LOADER, unknown_mac),
    Rule("tftp-file-missing", Stage.TFTP_LOADER, _tftp_missing, (K.TFTP_ERROR, K.PXE_ERROR)),
    Rule("tftp-unreachable", Stage.TFTP_LOADER, _tftp_unreachable, (K.TFTP_ERROR, K.PXE_ERROR, K.IPXE_ERROR)),
    Rule("secure-boot-refused", Stage.TFTP_LOADER, _secure_boot, (K.BOOT_REFUSED, K.IPXE_ERROR)),
    Rule("wrong-arch-loader", Stage.TFTP_LOADER, _wrong_arch),
    Rule("ipxe-loop", Stage.DHCP_IPXE, _ipxe_loop),
    Rule("no-boot-filename", Stage.TFTP_LOADER, _no_filename, (K.PXE_ERROR, K.IPXE_ERROR)),
    Rule("no-dhcp-answer", Stage.DHCP_LOADER, no_dhcp),
    Rule("tftp-slow", Stage.TFTP_LOADER, _tftp_slow, (K.TFTP_REQUEST,)),
)
