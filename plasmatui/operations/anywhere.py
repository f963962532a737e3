"""The calls of nixos-anywhere, one phase a step: each a job that outlives the engine and is attached again after it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.model.operation import Step
from plasmatui.model.words import Stage
from plasmatui.nix.anywhere import MOUNTED_ARGV, Installation, Phase, parse_mounted, phase_argv
from plasmatui.nix.failures import explain
from plasmatui.nix.flake import Built
from plasmatui.nix.job import Ending
from plasmatui.nix.lines import LineSplitter, shown
from plasmatui.nix.progress import AnywhereProgress
from plasmatui.nix.tools import tool_path
from plasmatui.operations.closures import pinned_ssh
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.firstboot import fitted
from plasmatui.operations.flake import Tools, build
from plasmatui.operations.local import JobRun
from plasmatui.operations.ssh import installer
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:  # it imports cryptography, which takes its time
    from plasmatui.nix.extrafiles import Source

LOOK_LIMIT = 60.0
DISKO_LIMIT = 1800.0
INSTALL_LIMIT = 3 * 3600.0
REBOOT_LIMIT = 300.0
STALL = 600.0
"""Seconds without a word of nixos-anywhere after which it counts as stuck: its own waits never end."""

_LEAVES = {
    Phase.DISKO: "the installer may still be formatting: the disks' old data must be taken as lost",
    Phase.MOUNT: "nothing was changed",
    Phase.INSTALL: "the new system is incomplete; plasmatui ops retry goes on without wiping again",
    Phase.REBOOT: "the machine may still reboot",
}

_STAGES = {
    Phase.DISKO: Stage.DISKO,
    Phase.MOUNT: Stage.DISKO,
    Phase.INSTALL: Stage.CLOSURE_COPY,
    Phase.REBOOT: Stage.REBOOT,
}
"""Where a call is before it has said so."""


def call_steps(node: str) -> tuple[Step, ...]:
    """Wipe, mount, install, reboot."""
    call = f"nixos-anywhere --store-paths DISKO TOPLEVEL --phases {{}} --target-host root@{node}"
    return (
        Step(
            "disko",
            "Wipe and format the disks",
            call.format("disko"),
            DISKO_LIMIT,
            disruptive=True,
            destroys=True,
            precondition="the disks are those that were confirmed",
            proof="the phase's own result, kept beside it",
        ),
        Step("mount", "Mount the new root again, without wiping", call.format("disko (mountScript)"), DISKO_LIMIT),
        Step(
            "install",
            "Copy the system and the extra files, install the boot loader",
            call.format("install") + " --extra-files TREE",
            INSTALL_LIMIT,
            precondition="the new root is mounted at /mnt",
            proof="the phase's own result, kept beside it",
        ),
        Step(
            "reboot",
            "Reboot into the new system",
            call.format("reboot"),
            REBOOT_LIMIT,
            settles=True,
            proof="the installer answers no more",
        ),
    )


@dataclass
class Calls:
    """The calls of nixos-anywhere for one node."""

    work: NodeWork
    tools: Tools
    built: Built
    source: Source

    async def wipe(self) -> None:
        run = self._run(Phase.DISKO)
        await self.work.act(
            "disko",
            lambda: self._call(run, Phase.DISKO),
            seen=lambda: self._seen(run, Phase.DISKO),
            stop=run.stop,
        )

    async def mount(self) -> None:
        """After a restart of the installer the new root is not mounted any more."""
        work = self.work
        if work.history.was_begun("reboot") or work.history.was_done("install") or not work.history.was_done("disko"):
            work.skip("mount", "the new root is mounted")
            return
        if await self._mounted():
            work.skip("mount", "the new root is still mounted")
            return
        run = self._run(Phase.MOUNT)
        await work.act("mount", lambda: self._mount(run), stop=run.stop)

    async def install(self) -> None:
        run = self._run(Phase.INSTALL)
        await self.work.act(
            "install",
            lambda: self._call(run, Phase.INSTALL),
            seen=lambda: self._seen(run, Phase.INSTALL),
            stop=run.stop,
        )
        if self.source.host_key:
            await self.work.site.hosts().keys.replace(self.work.node, [self.source.host_key])

    async def reboot(self) -> None:
        run = self._run(Phase.REBOOT)
        await self.work.act(
            "reboot", lambda: self._call(run, Phase.REBOOT), seen=lambda: self._seen(run, Phase.REBOOT), stop=run.stop
        )

    async def _mounted(self) -> str:
        ran = await installer(self.work).run(MOUNTED_ARGV, limit=LOOK_LIMIT)
        return parse_mounted(ran.out.decode(errors="replace"))

    async def _mount(self, run: JobRun) -> None:
        script = (await build(self.work, self.tools.nix, wipe=False)).script
        await self._call(run, Phase.MOUNT, mount=script)

    def _run(self, phase: Phase) -> JobRun:
        return JobRun(self.work, phase.value, self._listen(phase), stall=STALL, leaves=_LEAVES[phase])

    def _listen(self, phase: Phase) -> Callable[[bytes], None]:
        progress = AnywhereProgress()
        lines = LineSplitter()
        stages: list[Stage] = []

        def take(data: bytes) -> None:
            state = progress.feed(data)
            for line in lines.feed(data):
                self.work.log(shown(line))
            self.work.progress(state.text, state.percent)
            if state.stage is not None and state.stage not in stages and state.stage is not Stage.FACTS:
                self._stage_ends(stages)
                stages.append(state.stage)
                self.work.site.boots.stage(self.work.node, state.stage, "running", f"### {state.text} ###")
            if state.done:
                self._stage_ends(stages)

        return take

    def _stage_ends(self, stages: list[Stage]) -> None:
        if stages:
            self.work.site.boots.stage(self.work.node, stages[-1], "done", "nixos-anywhere went on")

    async def _call(self, run: JobRun, phase: Phase, *, mount: str = "") -> None:
        from plasmatui.nix.extrafiles import build as build_tree

        work, inventory = self.work, self.work.site.inventory()
        host = installer(work)
        await host.boot_id()  # connects: its key is checked by us, and then the only one that ssh takes
        front = await asyncio.to_thread(pinned_ssh, work, inventory, host.target, host.host_key)
        tree = None
        if phase is Phase.INSTALL:
            instead = await fitted(work, self.source)
            tree = await asyncio.to_thread(partial(build_tree, self.source, instead=instead))
        installation = Installation(
            self.tools.anywhere,
            self.tools.features,
            host.target.address,
            self.built.script,
            self.built.toplevel,
            mount,
            port=host.target.port,
            key=_expanded(host.target.key),
        )
        argv = phase_argv(installation, phase, tree.path if tree is not None else "")
        env = {**self.tools.env, "PATH": f"{front}:{tool_path(inventory)}"}
        ending = await run.start(argv, env, remove=[Path(tree.path)] if tree is not None else [])
        self._judge(run, ending, phase)

    async def _seen(self, run: JobRun, phase: Phase) -> bool | None:
        """Follow what was begun before the engine was restarted. What wipes is not simply done again."""
        ending = await run.attach()
        if ending is None:
            return False
        if ending.uncertain:
            return None if phase is Phase.DISKO else False
        self._judge(run, ending, phase)
        return True

    def _judge(self, run: JobRun, ending: Ending, phase: Phase) -> None:
        if ending.uncertain:
            raise NodeFailedError("uncertain", f"{self.work.node}: nixos-anywhere vanished: this host ended it")
        if ending.code == 0:
            return
        state = AnywhereProgress()
        tail = run.tail()
        stage = state.feed(tail).stage or _STAGES[phase]
        failure = explain(ending.code, tail, stage)
        self.work.site.boots.stage(self.work.node, stage, "failed", failure.message)
        raise NodeFailedError(failure.id, f"{self.work.node}: {failure.message}", failure.evidence)


def _expanded(key: str) -> str:
    return str(Path(os.path.expanduser(key))) if key else ""
