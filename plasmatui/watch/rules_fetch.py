"""Findings while iPXE (or another loader) fetches script, kernel and initial RAM disk."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.model.words import Stage
from plasmatui.watch.diagnosis import Case, Hit, Rule, file_of
from plasmatui.watch.facts import STALLED, Mark, is_boot_client
from plasmatui.watch.ipxe import (
    UNREACHABLE,
    Errno,
    errno_of,
    failed_with,
    is_certificate,
    is_name_unknown,
    is_no_memory,
    is_nothing_to_boot,
)
from plasmatui.watch.names import Role, name_of, path_of
from plasmatui.watch.stages import ORDER

K = SignalKind
_STAGE = {Role.SCRIPT: Stage.IPXE_SCRIPT, Role.KERNEL: Stage.HTTP_KERNEL, Role.INITRD: Stage.HTTP_INITRD}
_GONE = frozenset({400, 401, 403, 404, 410})
PATIENCE = 30.0
"""Seconds that a program may be silent that iPXE has started."""

_CABLE = "what the server sends no longer arrives, so the way between them is cut, or its host hangs."
_CABLE_REMEDY = (
    "Look at the machine's cable, the switch port (link, errors, VLAN) and those of the server, and whether it "
    "still runs. iPXE waits for ever: when the way is whole again, `plasmatui boot NODE`."
)
_CUT = ("truncated", "prematurely closed", "timed out", "reset by peer", "Broken pipe")


@dataclass(slots=True)
class _Failure:
    """A file that could not be had: what the servers say and what the console says."""

    file: str
    server: list[Signal]
    console: list[Signal]
    status: int | None


def _past(case: Case, stage: Stage, mark: Mark) -> bool:
    return case.reading.position() > ORDER[stage] and case.reading.overcome(mark, stage)


def _failure(case: Case, role: Role) -> _Failure | None:
    """A file of this role that is not there."""
    stage, reading = _STAGE[role], case.reading
    server: list[Signal] = []
    console: list[Signal] = []
    for mark in reading.facts.find(K.HTTP_REQUEST, K.HTTP_ERROR, K.TFTP_ERROR):
        status, code = mark.first.status, mark.first.code
        bad = status in _GONE if mark.kind is K.HTTP_REQUEST else code in ("not-found", "denied")
        if bad and reading.role(mark.first.file) is role and not _past(case, stage, mark) and _is_boot(mark):
            server.append(mark.first)
    for mark in reading.facts.find(K.IPXE_ERROR):
        missing = failed_with(mark, Errno.ENOENT, Errno.EACCES, Errno.EPERM) and not is_certificate(mark)
        if not missing or is_nothing_to_boot(mark) or _past(case, stage, mark) or _unknown_command(case, mark):
            continue
        if reading.role(file_of(case, mark)) is role:
            console.append(mark.first)
    if not server and not console:
        return None
    if console and not server and _optional(case, stage, console[0]):
        return None
    file = next((s.file for s in (*server, *console) if s.file), "")
    status = next((s.status for s in server if s.status is not None), None)
    return _Failure(file, server, console, status)


def _is_boot(mark: Mark) -> bool:
    """An HTTP line of a boot, not of curl or a browser on the same machine later."""
    return mark.kind is not K.HTTP_REQUEST or is_boot_client(mark.first)


def _optional(case: Case, stage: Stage, error: Signal) -> bool:
    """iPXE looks for autoexec.ipxe by itself; that it is not there is usual (ipxe issue 1327)."""
    return stage is Stage.IPXE_SCRIPT and "autoexec.ipxe" in f"{error.file} {error.evidence.text}"


def _told(failure: _Failure) -> list[Signal]:
    return [*failure.server[:3], *failure.console[:2]]


def _missing(case: Case, role: Role, what: str) -> Hit | None:
    failure = _failure(case, role)
    if failure is None:
        return None
    name = path_of(failure.file)
    denied = failure.status in (401, 403) or any(s.code == "denied" for s in failure.server)
    if denied:
        cause = f"The server refuses {name} ({failure.status or 'permission denied'}): {what} cannot be fetched."
    elif failure.status is not None or failure.server:
        cause = f"The server does not have {name} ({failure.status or 'not found'}): {what} cannot be fetched."
    else:
        cause = f"iPXE could not get {name} ({failure.console[0].code}): {what} is not on the server."
    sent = [
        m.last
        for m in case.reading.facts.find(K.HTTP_REQUEST)
        if m.first.status in (200, 206) and path_of(m.first.file) == name
    ]
    if failure.console and not failure.server and sent:
        cause += f" The server's log says that it was sent ({sent[-1].status})."
    return Hit(cause, _told(failure) + sent[:1])


def _script_missing(case: Case) -> Hit | None:
    return _missing(case, Role.SCRIPT, "the boot script")


def _kernel_missing(case: Case) -> Hit | None:
    return _missing(case, Role.KERNEL, "the kernel")


def _initrd_missing(case: Case) -> Hit | None:
    hit = _missing(case, Role.INITRD, "the initial RAM disk")
    if hit is not None:
        return hit
    named = [m for m in case.reading.facts.find(K.UNIT_FAILED) if m.first.code == "initrd-name"]
    if named and case.reading.position() < ORDER[Stage.KERNEL_START]:
        fetched = [m.last for m in case.reading.facts.find(K.IPXE_FETCHED)][-1:]
        cause = f"The kernel's arguments name the initrd {named[0].first.file}, and no file was loaded under that name."
        remedy = "Write `initrd --name NAME URL` and `initrd=NAME` alike in the boot script."
        return Hit(cause, [*fetched, named[0].first], remedy=remedy)
    panic = case.reading.facts.find(K.PANIC)
    for mark in case.reading.facts.find(K.HTTP_REQUEST, K.TFTP_DONE):
        empty = mark.last.bytes == 0 and mark.bytes == 0 and mark.first.status in (200, None)
        if empty and case.reading.role(mark.first.file) is Role.INITRD and _came_to_nothing(case) and _not_head(mark):
            cause = f"The server sent {path_of(mark.first.file)} with 0 bytes: the initial RAM disk is empty."
            if panic:
                cause += " The kernel then panicked for want of a root file system."
            return Hit(cause, [mark.first, *_console_of(case, mark.first.file), *(m.first for m in panic[:1])])
    return None


def _not_head(mark: Mark) -> bool:
    return mark.first.code != "HEAD"


def _came_to_nothing(case: Case) -> bool:
    return case.reading.position() < ORDER[Stage.INITRD_START]


def _console_of(case: Case, file: str) -> list[Signal]:
    path = path_of(file)
    marks = case.reading.facts.find(K.IPXE_FETCHED, K.IPXE_FETCH)
    return [m.last for m in marks if path_of(m.first.file) == path][-1:]


def _http_unreachable(case: Case) -> Hit | None:
    reading = case.reading
    for mark in reading.facts.find(K.IPXE_ERROR):
        file = file_of(case, mark)
        role = reading.role(file)
        stage = _STAGE.get(role, Stage.IPXE_SCRIPT)
        if not file.startswith(("http:", "https:")) or reading.overcome(mark, stage):
            continue
        named = is_name_unknown(mark)
        untrusted = is_certificate(mark) and file.startswith("https:")
        if errno_of(mark.first.code) not in UNREACHABLE and not untrusted and not named:
            continue
        sent = [m for m in reading.facts.find(K.HTTP_REQUEST) if path_of(m.first.file) == path_of(file)]
        why = mark.first.text or mark.first.code
        if untrusted:
            cause = (
                f"iPXE does not trust the server of {file} ({mark.first.code}): its certificate or the clock is wrong."
            )
        elif named:
            host = urlsplit(file).hostname or file
            cause = f"iPXE cannot resolve the name {host} ({mark.first.code}): no DNS server answers, or knows it."
        elif sent and (sent[-1].first.status or 0) >= 500:
            cause = f"The web server fails with {sent[-1].first.status} for {path_of(file)}."
        elif sent:
            cause = f"The transfer of {file} broke off ({why}) although the server's log shows the request."
        else:
            cause = f"iPXE cannot reach {file} ({why}); no web server's log shows the request."
        return Hit(cause, [*(m.last for m in sent[:1]), mark.first], stage=stage)
    for mark in reading.facts.find(K.HTTP_REQUEST):
        status = mark.first.status
        if status is not None and status >= 500 and _is_boot(mark):
            stage = _STAGE.get(reading.role(mark.first.file), Stage.IPXE_SCRIPT)
            if not reading.overcome(mark, stage):
                cause = f"The web server fails with {status} for {path_of(mark.first.file)}."
                return Hit(cause, [mark.last], stage=stage)
    return _standstill(case) or _firmware_http(case)


def _standstill(case: Case) -> Hit | None:
    """A transfer that neither fails nor goes on: iPXE waits for ever."""
    for mark in case.reading.facts.find(K.IPXE_FETCH):
        if mark.first.code == STALLED and not case.reading.overcome(mark, _stage(case, mark)):
            file = file_of(case, mark)
            begun = f"The transfer of {file} does not begin"
            if mark.last.percent is not None:
                begun = f"The transfer of {file} stands still at {mark.last.percent:.0f} %"
            sent = [m.last for m in case.reading.facts.find(K.HTTP_REQUEST) if path_of(m.first.file) == path_of(file)]
            stage = _stage(case, mark)
            if mark.last.percent or sent:
                return Hit(f"{begun}: {_CABLE}", [*sent[:1], mark.last], _CABLE_REMEDY, stage=stage)
            return Hit(f"{begun}: nothing comes from the server.", [mark.last], stage=stage)
    return None


def _firmware_http(case: Case) -> Hit | None:
    """UEFI HTTP boot that did not get its loader."""
    reading = case.reading
    for mark in reading.facts.find(K.HTTP_REQUEST):
        status = mark.first.status
        if (
            reading.role(mark.first.file) is Role.LOADER
            and status is not None
            and status >= 400
            and not reading.overcome(mark, Stage.TFTP_LOADER)
        ):
            errors = [m.first for m in reading.facts.find(K.PXE_ERROR)][-1:]
            cause = f"The web server answers {status} for {path_of(mark.first.file)}, the loader of UEFI HTTP boot."
            return Hit(cause, [mark.first, *errors], stage=Stage.TFTP_LOADER)
    named = [m.first for m in reading.facts.find(K.PXE_FILE) if m.first.file.startswith("http")]
    for mark in reading.facts.find(K.PXE_ERROR):
        if named and not mark.first.code and not reading.overcome(mark, Stage.TFTP_LOADER):
            cause = f"The firmware cannot load {named[-1].file}: {mark.first.text.rstrip('.')}."
            return Hit(cause, [named[-1], mark.first], stage=Stage.TFTP_LOADER)
    return None


def _unsupported(case: Case) -> Hit | None:
    for mark in case.reading.facts.find(K.IPXE_ERROR):
        if failed_with(mark, Errno.ENOTSUP) and not case.reading.overcome(mark, Stage.IPXE_SCRIPT):
            file = file_of(case, mark)
            what = f"{file}: it was built without that protocol" if "://" in file else f"{file or 'the address'}"
            return Hit(f"This iPXE cannot download {what} ({mark.first.code}).", [mark.first], stage=_stage(case, mark))
    return None


def _no_memory(case: Case) -> Hit | None:
    for mark in case.reading.facts.find(K.IPXE_ERROR):
        if is_no_memory(mark) and not case.reading.overcome(mark, Stage.HTTP_INITRD):
            file = file_of(case, mark) or "the next file"
            sent = [m.last for m in case.reading.facts.find(K.HTTP_REQUEST) if path_of(m.first.file) == path_of(file)]
            size = f" ({sent[-1].bytes} bytes)" if sent and sent[-1].bytes else ""
            stub = [m.first for m in case.reading.facts.find(K.OUT_OF_MEMORY)][:1]
            cause = f"The machine has no memory for {file}{size}: iPXE gave up ({mark.first.code})."
            return Hit(cause, [*sent[-1:], *stub, mark.first], stage=_stage(case, mark))
    return None


def _stage(case: Case, mark: Mark) -> Stage:
    return _STAGE.get(case.reading.role(file_of(case, mark)), Stage.IPXE_SCRIPT)


def _said(mark: Mark) -> str:
    return f"{mark.first.text} {mark.first.evidence.text}".lower()


def _bad_images(case: Case) -> list[tuple[Mark, str, bool]]:
    """Errors of format that nothing overcame: the mark, the file, whether it was meant as a kernel."""
    reading = case.reading
    found = []
    for mark in reading.facts.find(K.IPXE_ERROR):
        if not failed_with(mark, Errno.ENOEXEC) or reading.overcome(mark, Stage.HTTP_INITRD):
            continue
        if _unknown_command(case, mark):
            continue
        file = file_of(case, mark)
        fetched = {
            m.first.file for m in reading.facts.find(K.IPXE_FETCH, K.IPXE_FETCHED) if m.first_order < mark.last_order
        }
        # `Could not select` is said by `kernel`, `imgselect` and `boot`, of a file that a script fetched.
        meant = reading.role(file) in (Role.KERNEL, Role.INITRD) or (
            "could not select" in _said(mark) and len(fetched) > 1
        )
        found.append((mark, file, meant))
    return found


def _kernel_not_executable(case: Case) -> Hit | None:
    bad = [(mark, file) for mark, file, meant in _bad_images(case) if meant]
    if not bad:
        return None
    file = bad[0][1]
    if case.reading.role(file) is Role.INITRD and not bad[0][0].first.file:
        kernels = [m.first.file for m in case.reading.facts.find(K.IPXE_FETCH, K.IPXE_FETCHED)]
        file = next((each for each in reversed(kernels) if case.reading.role(each) is Role.KERNEL), file)
    sent = [m.last for m in case.reading.facts.find(K.HTTP_REQUEST) if path_of(m.first.file) == path_of(file)]
    cause = f"{name_of(file)} is no kernel that iPXE can start ({bad[0][0].first.code}): wrong content or architecture."
    return Hit(cause, sent[:1] + [mark.first for mark, _ in bad[:2]], stage=Stage.HTTP_KERNEL)


def _unknown_command(case: Case, mark: Mark) -> Mark | None:
    """The command that iPXE did not know, where that is what an error without a file speaks of: a script ends there
    with `Exec format error`, or `No such file` in older versions (ipxe: src/core/exec.c)."""
    facts = case.reading.facts
    if mark.first.file:
        return None
    for other in reversed(facts.find(K.IPXE_ERROR)):
        if "command not found" in _said(other) and other.last_order < mark.last_order:
            fetches = facts.find(K.IPXE_FETCH, K.IPXE_FETCHED)
            between = any(other.last_order < m.last_order < mark.last_order for m in fetches)
            return None if between else other
    return None


def _hung(case: Case) -> Hit | None:
    """On a BIOS iPXE runs whatever is no image that it knows as a boot program, and is never heard of again."""
    if not case.at_end and case.waited < PATIENCE:
        return None
    for mark in case.reading.facts.find(K.IPXE_FETCHED):
        script = case.reading.role(mark.first.file) is Role.SCRIPT and mark.last.text == "PXE-NBP"
        if script and not case.reading.overcome(mark, Stage.IPXE_SCRIPT):
            sent = [
                m.last
                for m in case.reading.facts.find(K.HTTP_REQUEST)
                if path_of(m.first.file) == path_of(mark.first.file)
            ]
            cause = (
                f"{name_of(mark.first.file)} is no iPXE script: iPXE ran it as a boot program (PXE-NBP) and hangs; "
                "it must begin with #!ipxe."
            )
            return Hit(cause, [*sent[:1], mark.last], stage=Stage.IPXE_SCRIPT)
    return None


def _script_error(case: Case) -> Hit | None:
    reading = case.reading
    stage = Stage.IPXE_SCRIPT
    bad = [(mark, file) for mark, file, meant in _bad_images(case) if not meant]
    if bad:
        mark, file = bad[0]
        sent = [m.last for m in reading.facts.find(K.HTTP_REQUEST) if path_of(m.first.file) == path_of(file)]
        cause = (
            f"{name_of(file) or 'The boot script'} is no iPXE script ({mark.first.code}): it must begin with #!ipxe."
        )
        return Hit(cause, [*sent[:1], mark.first])
    if (hung := _hung(case)) is not None:
        return hung
    errors = [m for m in reading.facts.find(K.IPXE_ERROR) if not reading.overcome(m, Stage.HTTP_INITRD)]
    errors = [m for m in errors if not failed_with(m, Errno.EADDRNOTAVAIL) and reading.spans.get(stage) is not None]
    if errors:
        mark = errors[-1]
        unknown = _unknown_command(case, mark)
        told = [m for m in (unknown, mark) if m is not None]
        why = told[0].first.text or told[0].first.evidence.text
        code = f" ({mark.first.code})" if mark.first.code else ""
        return Hit(f"The boot script failed: {why}{code}.", [m.first for m in told], stage=_stage(case, mark))
    shells = [m for m in reading.facts.find(K.IPXE_SHELL) if not reading.overcome(m, Stage.HTTP_KERNEL)]
    if shells and reading.spans.get(stage) is not None and reading.position() <= ORDER[Stage.HTTP_INITRD]:
        return Hit("The boot script ended in iPXE's shell: it has no next step, or one failed.", [shells[-1].first])
    return None


def _truncated(case: Case) -> Hit | None:
    if case.reading.position() >= ORDER[Stage.INSTALLER_UP]:
        return None
    panic = case.reading.facts.find(K.PANIC)
    for mark in case.reading.facts.find(K.HTTP_REQUEST):
        if case.reading.role(mark.first.file) is not Role.INITRD or mark.first.status not in (200, 206):
            continue
        whole = mark.last.total or case.largest.get(path_of(mark.first.file), 0)
        if whole and 0 < mark.bytes < whole and _not_head(mark) and _stopped(case):
            cause = f"{path_of(mark.first.file)} was cut off: {mark.bytes} of {whole} bytes were sent."
            return Hit(cause, [mark.last, *_console_of(case, mark.first.file), *(m.first for m in panic[:1])])
    broken = [m for m in case.reading.facts.find(K.UNIT_FAILED) if m.first.code == "initrd"]
    if broken and _stopped(case) and "write error" not in _said(broken[0]):
        sent = [
            m.last for m in case.reading.facts.find(K.HTTP_REQUEST) if case.reading.role(m.first.file) is Role.INITRD
        ]
        size = f" ({sent[-1].bytes} bytes of {path_of(sent[-1].file)} were sent)" if sent else ""
        cause = f"The kernel cannot unpack the initial RAM disk{size}: it is cut off or damaged."
        return Hit(cause, [*sent[-1:], broken[0].first, *(m.first for m in panic[:1])])
    return _broken_off(case)


def _broken_off(case: Case) -> Hit | None:
    """The web server itself says that it could not send the whole file."""
    for mark in case.reading.facts.find(K.HTTP_ERROR):
        ours = case.reading.role(mark.first.file) is Role.INITRD and not mark.first.code
        if ours and any(words in mark.first.text for words in _CUT) and _came_to_nothing(case) and case.at_end:
            cause = f"{path_of(mark.first.file)} was not sent to its end: {mark.first.text}."
            sent = [m.last for m in case.reading.facts.find(K.HTTP_REQUEST) if m.first.file == mark.first.file]
            return Hit(cause, [*sent[:1], mark.first])
    return None


def _stopped(case: Case) -> bool:
    facts = case.reading.facts
    return facts.has(K.PANIC, K.EMERGENCY, K.IPXE_ERROR) or (_came_to_nothing(case) and case.at_end)


FETCH_RULES = (
    Rule("ipxe-unsupported", Stage.IPXE_SCRIPT, _unsupported, (K.IPXE_ERROR,)),
    Rule("http-unreachable", Stage.IPXE_SCRIPT, _http_unreachable),
    Rule("boot-script-missing", Stage.IPXE_SCRIPT, _script_missing),
    Rule("kernel-missing", Stage.HTTP_KERNEL, _kernel_missing),
    Rule("kernel-not-executable", Stage.HTTP_KERNEL, _kernel_not_executable, (K.IPXE_ERROR,)),
    Rule("initrd-missing", Stage.HTTP_INITRD, _initrd_missing),
    Rule("initrd-truncated", Stage.HTTP_INITRD, _truncated),
    Rule("out-of-memory", Stage.HTTP_INITRD, _no_memory, (K.IPXE_ERROR,)),
    Rule("boot-script-error", Stage.IPXE_SCRIPT, _script_error, (K.IPXE_ERROR, K.IPXE_SHELL, K.IPXE_FETCHED)),
)
