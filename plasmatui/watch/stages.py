"""From what was seen of a boot to its stages: what began, what ended, what a later stage proves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from plasmatui.model.boot import SignalKind, StageSpan
from plasmatui.model.words import Stage
from plasmatui.watch.facts import BootFacts, Exchange, Mark, is_boot_client
from plasmatui.watch.names import Role, path_of, role_of
from plasmatui.watch.span import Span

ORDER = {stage: index for index, stage in enumerate(Stage)}

_FETCHES = (
    SignalKind.HTTP_REQUEST,
    SignalKind.HTTP_PROGRESS,
    SignalKind.TFTP_REQUEST,
    SignalKind.IPXE_FETCH,
    SignalKind.IPXE_FETCHED,
)
_HTTP = frozenset({SignalKind.HTTP_REQUEST, SignalKind.HTTP_PROGRESS})
_ROLE_STAGE = {
    Role.LOADER: Stage.TFTP_LOADER,
    Role.SCRIPT: Stage.IPXE_SCRIPT,
    Role.KERNEL: Stage.HTTP_KERNEL,
    Role.INITRD: Stage.HTTP_INITRD,
}


class Reading:
    """The stages of one boot, read from its facts, and what kind of boot it is.

    Attributes:
        spans: by stage, only those that the boot has.
        system: the exchanges of DHCP that a running kernel made.
        disk: the boot went to the disk; rom: iPXE stands in the machine's ROM and no loader was fetched.
        reached: the last stage that succeeded.
    """

    def __init__(self, node: str, facts: BootFacts) -> None:
        self.node = node
        self.facts = facts
        self.spans: dict[Stage, Span] = {}
        self.roles: dict[str, Role] = {}
        self.loader_asks: list[Exchange] = []
        self.ipxe_asks: list[Exchange] = []
        self.system: list[Exchange] = []
        self._find_kind()
        self._find_roles()
        self._sort_exchanges()
        beside_logs = facts.beside_logs  # most boots of a rack are seen by servers only
        if beside_logs:
            self._firmware()
        self._dhcp()
        if beside_logs:
            self._loader()
        self._files()
        if beside_logs:
            self._kernel()
        self._system()
        if beside_logs:
            self._up()
            self._operation()
        self._prove()
        done = [stage for stage, span in self.spans.items() if span.done]
        self.reached = max(done, key=ORDER.__getitem__, default=None)

    def position(self) -> int:
        """Index of `reached` in the order of stages, -1 for none."""
        return -1 if self.reached is None else ORDER[self.reached]

    def role(self, file: str) -> Role:
        return self.roles.get(file) or role_of(file)

    def overcome(self, mark: Mark, stage: Stage) -> bool:
        """Whether the boot came past a failure: a later stage succeeded, or this one did after it."""
        if self.position() > ORDER[stage]:
            return True
        span = self.spans.get(stage)
        return span is not None and span.done and (span.proof or 0) > mark.last_order

    def ordered(self) -> list[Span]:
        return sorted(self.spans.values(), key=lambda span: ORDER[span.stage])

    def _span(self, stage: Stage) -> Span:
        return self.spans.setdefault(stage, Span(stage))

    def _find_kind(self) -> None:
        facts = self.facts
        self.uefi_http = any(role_of(m.first.file) is Role.LOADER for m in facts.find(SignalKind.HTTP_REQUEST)) or any(
            e.vendor.startswith("HTTPClient") and e.ack is not None for e in facts.exchanges
        )
        self.loader_seen = (
            self.uefi_http
            or facts.has(SignalKind.PXE_START, SignalKind.PXE_ADDRESS, SignalKind.PXE_FILE, SignalKind.PXE_LOADED)
            or any(role_of(m.first.file) is Role.LOADER for m in facts.find(SignalKind.TFTP_REQUEST))
            or any(e.by_firmware for e in facts.exchanges)
        )
        self.ipxe = (
            facts.has(SignalKind.IPXE_START, SignalKind.IPXE_ADDRESS, SignalKind.IPXE_FETCH, SignalKind.IPXE_ERROR)
            or any(e.ipxe for e in facts.exchanges)
            or any(m.first.ipxe for m in facts.find(SignalKind.HTTP_REQUEST))
        )
        self.rom = self.ipxe and not self.loader_seen
        fetched = facts.fetched >= 2 or any(
            role_of(m.first.file) is Role.KERNEL
            for m in facts.find(
                SignalKind.IPXE_FETCH, SignalKind.IPXE_FETCHED, SignalKind.TFTP_REQUEST, SignalKind.TFTP_DONE
            )
        )
        fetched = fetched or (facts.has(SignalKind.PXE_LOADED) and not self.ipxe)  # a GRUB that came by network
        network = self.ipxe or self.loader_seen or facts.fetched > 0
        named = any(m.first.host == self.node and m.first.code != "installer" for m in facts.find(SignalKind.LOGIN))
        self.disk = (facts.has(SignalKind.DISK_LOADER) and not fetched) or (named and not network)
        self.network = network and not self.disk

    def _find_roles(self) -> None:
        """Names first; then order: what iPXE asks for is a script, then a kernel, then initrds."""
        level = 0
        by_path: dict[str, Role] = {}
        for mark in self.facts.find(*_FETCHES, SignalKind.IPXE_ERROR):
            file = mark.first.file
            if not file or (mark.kind in _HTTP and not is_boot_client(mark.first)):
                continue
            role = role_of(file)
            if role is Role.UNKNOWN and (mark.kind is not SignalKind.TFTP_REQUEST):
                path = path_of(file)  # a server tells the path, the console the URL
                role = by_path.setdefault(path, (Role.SCRIPT, Role.KERNEL, Role.INITRD)[min(level, 2)])
                self.roles[file] = role
            if role is not Role.UNKNOWN and role is not Role.LOADER:
                level = max(level, {Role.SCRIPT: 1, Role.KERNEL: 2, Role.INITRD: 2}[role])

    def _sort_exchanges(self) -> None:
        """Whose question each DHCP exchange is. A log that tells no classes leaves order: firmware, iPXE, system."""
        kernel = min((m.first_order for m in self.facts.find(SignalKind.KERNEL, SignalKind.INITRD)), default=1 << 60)
        loader = min(
            (
                m.first_order
                for m in self.facts.find(
                    SignalKind.TFTP_REQUEST, SignalKind.PXE_LOADED, SignalKind.IPXE_START, SignalKind.HTTP_REQUEST
                )
            ),
            default=1 << 60,
        )
        answered = 0
        for exchange in self.facts.exchanges:
            renewal = exchange.first.kind is SignalKind.DHCP_REQUEST and exchange.offer is None and answered > 0
            if exchange.ipxe:
                self.ipxe_asks.append(exchange)
            elif exchange.by_firmware:
                self.loader_asks.append(exchange)
            elif self.disk or exchange.order > kernel or self._follows_fetch(exchange):
                self.system.append(exchange)
            elif renewal:
                continue
            elif self.rom or (exchange.order > loader and answered) or answered == 1:
                third = self.rom and answered >= 2 and not self._ended_in_failure()
                (self.system if third else self.ipxe_asks).append(exchange)
            else:
                self.loader_asks.append(exchange)
            answered += exchange.ack is not None

    def _follows_fetch(self, exchange: Exchange) -> bool:
        """Whether a question came after kernel or RAM disk were fetched. No system boots and asks within the second
        in which its kernel came, so lines of one second are no proof."""
        facts = self.facts
        if facts.fetched < 2 or exchange.order <= facts.fetched_order or self._ended_in_failure():
            return False
        asked = exchange.first.wall
        return asked is None or facts.fetched_wall is None or int(asked) > int(facts.fetched_wall)

    def _ended_in_failure(self) -> bool:
        """Whether a web server's log ends before a kernel, or with a refusal: who asks then is no system."""
        facts = self.facts
        requests = [m for m in facts.find(SignalKind.HTTP_REQUEST) if is_boot_client(m.first)]
        refused = any((m.first.status or 0) >= 400 and m.last_order > facts.fetched_order for m in requests)
        return refused or (bool(requests) and facts.fetched < 2)

    def _firmware(self) -> None:
        for mark in self.facts.find(SignalKind.FIRMWARE, SignalKind.PXE_START, SignalKind.NO_BOOT_DEVICE):
            if mark.kind is SignalKind.FIRMWARE:
                self._span(Stage.FIRMWARE).see(mark.first, mark.first_order)
            else:
                self._span(Stage.FIRMWARE).finish(mark.first, mark.first_order)
        if self.rom:
            for mark in self.facts.find(SignalKind.IPXE_START):
                self._span(Stage.FIRMWARE).finish(mark.first, mark.first_order)

    def _dhcp(self) -> None:
        for stage, exchanges in ((Stage.DHCP_LOADER, self.loader_asks), (Stage.DHCP_IPXE, self.ipxe_asks)):
            for exchange in exchanges:
                span = self._span(stage)
                span.tries += 1
                span.see(exchange.first, exchange.order)
                if exchange.offer is not None:
                    span.see(exchange.offer, exchange.order)
                if exchange.ack is not None:
                    span.finish(exchange.ack, exchange.ack_order)

    def _loader(self) -> None:
        """What firmware and iPXE say of their addresses and of the loader."""
        for mark in self.facts.find(SignalKind.PXE_START):
            self._span(Stage.DHCP_LOADER).see(mark.first, mark.first_order)
        for mark in self.facts.find(SignalKind.PXE_ADDRESS, SignalKind.PXE_FILE):
            self._span(Stage.DHCP_LOADER).finish(mark.first, mark.first_order)
        for mark in self.facts.find(SignalKind.IPXE_START):
            if self.loader_seen:
                self._span(Stage.TFTP_LOADER).finish(mark.first, mark.first_order)
            self._span(Stage.DHCP_IPXE).see(mark.first, mark.first_order)
        for mark in self.facts.find(SignalKind.IPXE_ADDRESS):
            self._span(Stage.DHCP_IPXE).finish(mark.first, mark.first_order)
        for mark in self.facts.find(SignalKind.PXE_FILE):
            span = self._span(Stage.TFTP_LOADER)
            span.see(mark.first, mark.first_order)
            if mark.last.total:
                span.total = mark.last.total
        for mark in self.facts.find(SignalKind.PXE_LOADED):
            self._span(Stage.TFTP_LOADER).finish(mark.first, mark.first_order)

    def _files(self) -> None:
        broken = self._broken_off() if self.facts.beside_logs else set()
        for mark in self.facts.find(*_FETCHES, SignalKind.TFTP_DONE):
            self._fetch(mark, broken)

    def _broken_off(self) -> set[str]:
        """Paths of files of which the console says last that they did not come: a web server writes its line, with
        status 200, of an answer that was broken off as well."""
        told: dict[str, tuple[int, bool]] = {}
        for mark in self.facts.find(SignalKind.IPXE_FETCHED, SignalKind.IPXE_FETCH, SignalKind.IPXE_ERROR):
            whole = mark.kind is SignalKind.IPXE_FETCHED
            if not mark.first.file or not (whole or mark.first.code):
                continue
            path = path_of(mark.first.file)
            told[path] = max(told.get(path, (-1, True)), (mark.last_order, whole))
        return {path for path, (_, whole) in told.items() if not whole}

    def _fetch(self, mark: Mark, broken: set[str]) -> None:
        stage = _ROLE_STAGE.get(self.role(mark.first.file))
        if stage is None or (mark.kind in _HTTP and not is_boot_client(mark.first)):
            return
        if (
            mark.kind in (SignalKind.TFTP_REQUEST, SignalKind.TFTP_DONE)
            and not self.ipxe
            and stage
            in (
                Stage.HTTP_KERNEL,
                Stage.HTTP_INITRD,
            )
        ):
            self.network = True  # PXELINUX and GRUB fetch kernels by TFTP
        span = self._span(stage)
        signal = mark.first
        span.see(signal, mark.first_order)
        if mark.kind in (SignalKind.HTTP_REQUEST, SignalKind.TFTP_REQUEST):
            span.tries += mark.count
        if mark.kind is SignalKind.HTTP_REQUEST:
            if signal.status is not None and 200 <= signal.status < 300:
                if signal.code != "HEAD":
                    span.measure(mark)
                whole = path_of(signal.file) not in broken
                if whole and (stage is not Stage.TFTP_LOADER or signal.code != "HEAD"):
                    span.finish(mark.last, mark.last_order)
        elif mark.kind in (SignalKind.TFTP_DONE, SignalKind.IPXE_FETCHED):
            span.measure(mark)
            span.finish(mark.last, mark.last_order)
            span.percent = None
        else:
            span.measure(mark)

    @property
    def _last(self) -> Stage:
        """The stage that ends with a prompt."""
        return Stage.FIRST_BOOT if self.disk else Stage.INSTALLER_UP

    def _kernel(self) -> None:
        kernel, early = (Stage.DISK_BOOT, Stage.DISK_BOOT) if self.disk else (Stage.KERNEL_START, Stage.INITRD_START)
        find, finish = self.facts.find, self._finish
        for mark in find(SignalKind.DISK_LOADER):
            if self.disk:
                self._span(Stage.DISK_BOOT).see(mark.first, mark.first_order)
        finish(kernel, find(SignalKind.KERNEL))
        finish(early, find(SignalKind.INITRD))
        for mark in find(SignalKind.STAGE2, SignalKind.SYSTEMD):
            finish(early, [mark])
            self._span(self._last).see(mark.first, mark.first_order)

    def _system(self) -> None:
        for exchange in self.system:
            if exchange.ack is not None and not self.disk and not self.facts.has(SignalKind.PANIC):
                self._span(Stage.INSTALLER_UP).see(exchange.ack, exchange.ack_order)
                self._span(Stage.INSTALLER_UP).inferred = False

    def _up(self) -> None:
        find, finish = self.facts.find, self._finish
        finish(self._last, find(SignalKind.LOGIN, SignalKind.HOST_KEY, SignalKind.SSH_UP))
        if not self.disk:  # that sshd listens is no login yet
            finish(Stage.SSH_READY, [m for m in find(SignalKind.SSH_UP) if m.first.code == "login"])

    def _operation(self) -> None:
        """What an operation of ours did on the machine. A stage that was tried again is as its last try left it."""
        for mark in self.facts.find(SignalKind.STAGE_BEGUN, SignalKind.STAGE_DONE, SignalKind.STAGE_FAILED):
            if mark.last.code not in ORDER:
                continue
            span = self._span(Stage(mark.last.code))
            span.see(mark.first, mark.first_order)
            if mark.kind is SignalKind.STAGE_BEGUN:
                span.tries = mark.count
            elif mark.kind is SignalKind.STAGE_DONE:
                span.finish(mark.last, mark.last_order)
            elif span.proof is None or span.proof < mark.last_order:
                span.failed = True

    def _finish(self, stage: Stage, marks: Iterable[Mark]) -> None:
        for mark in marks:
            self._span(stage).finish(mark.first, mark.first_order)

    def _needed(self, position: int) -> list[Stage]:
        """The stages before `position` that this kind of boot goes through."""
        if not self.network:
            return [Stage.FIRMWARE] if self.facts.has(SignalKind.FIRMWARE, SignalKind.DISK_LOADER) else []
        stages = [Stage.FIRMWARE]
        if self.loader_seen:
            stages += [Stage.DHCP_LOADER, Stage.TFTP_LOADER]
        if self.ipxe:
            stages += [Stage.DHCP_IPXE, Stage.IPXE_SCRIPT]
        stages += [Stage.HTTP_KERNEL, Stage.HTTP_INITRD, Stage.KERNEL_START, Stage.INITRD_START]
        if position > ORDER[Stage.INITRD_START] + 1:
            stages.append(Stage.INSTALLER_UP)
        return [stage for stage in stages if ORDER[stage] < position]

    def _prove(self) -> None:
        """A later stage proves the earlier ones; what proves them ends them when nothing else does."""
        last = max(
            (ORDER[s] for s, span in self.spans.items() if span.done or self._begun(s)),
            default=-1,
        )
        for stage in self._needed(last):
            if stage is Stage.HTTP_INITRD and last <= ORDER[Stage.KERNEL_START] and stage not in self.spans:
                continue  # a kernel may start without one
            span = self.spans.get(stage)
            if span is None:
                span = self.spans[stage] = Span(stage, inferred=True, done=True)
            span.done = True
        self._close()

    def _begun(self, stage: Stage) -> bool:
        """Whether a stage that only began proves those before it."""
        return self.spans[stage].first is not None

    def _close(self) -> None:
        later: float | None = None
        for span in reversed(self.ordered()):
            span.tries = max(1, span.tries)
            if span.begin is not None and later is not None and span.begin > later:
                span.begin = later  # two clocks: a stage begins no later than the next one
            if span.done and span.end is None and span.begin is not None:
                span.end = max(span.begin, later) if later is not None else None
            if span.end is not None and span.begin is not None and span.end < span.begin:
                span.end = span.begin
            later = span.begin if span.begin is not None else later


def spans_of(reading: Reading, usual: Callable[[str, Stage], float | None] | None) -> tuple[StageSpan, ...]:
    """The stages as the rest of the product sees them."""
    return tuple(
        StageSpan(
            stage=span.stage,
            begin=span.begin,
            end=span.end if span.done and not span.failed else None,
            state="failed" if span.failed else "done" if span.done else "running",
            evidence=tuple(span.evidence),
            bytes=span.bytes,
            total=span.total,
            percent=span.percent if not span.done else None,
            inferred=span.inferred,
            tries=span.tries,
            usual=usual(reading.node, span.stage) if usual is not None else None,
        )
        for span in reading.ordered()
    )
