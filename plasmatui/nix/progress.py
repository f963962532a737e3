"""How far a run of nixos-anywhere is, from what it prints (both outputs merged). Never an opinion on errors.

Its marks are lines `### TEXT ###` on stdout (nixos-anywhere.sh, `step`, 1.0 and later); disko's script prints what it
does as `+ COMMAND`; nix one line for each path that it copies.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from plasmatui.model.words import Stage
from plasmatui.nix.lines import LineSplitter, is_noise, shown

LONGEST: Final = 1 << 16

_MARK: Final = re.compile(r"^### (.+) ###$")
_MARKS: Final = (
    ("Uploading install SSH keys", Stage.FACTS),
    ("Gathering machine facts", Stage.FACTS),
    ("Generating ", Stage.FACTS),
    ("Switching system into kexec", Stage.KEXEC),
    ("Building disko script", Stage.DISKO),
    ("Formatting hard drive with disko", Stage.DISKO),
    ("Uploading the system closure", Stage.CLOSURE_COPY),
    ("Building the system closure", Stage.CLOSURE_COPY),
    ("Copying extra files", Stage.EXTRA_FILES),
    ("Installing NixOS", Stage.BOOTLOADER),
    ("Rebooting", Stage.REBOOT),
    ("Waiting for the machine to become", Stage.REBOOT),
    ("Uploading ", Stage.DISKO),  # LOCAL to REMOTE: keys of encrypted disks
)
_ORDER: Final = {stage: place for place, stage in enumerate(Stage)}
_DISKO_STEP: Final = re.compile(
    r"^\+ (?:wipefs|sgdisk --align-end|mkfs\.|mkswap|mkfs |mdadm --create|cryptsetup|zpool create|lvcreate|vgcreate|"
    r"pvcreate|btrfs subvolume create|mount )"
)
_DEVICE: Final = re.compile(r"^\+ device=(/dev/\S+)$")
_PATHS: Final = re.compile(r"^copying (\d+) paths?\.\.\.$")
_PATH: Final = re.compile(r"^copying path '/nix/store/[^-']*-([^']*)'")


class AnywhereState(msgspec.Struct, frozen=True):
    """How far a run is.

    Attributes:
        stage: None before the first mark. A run never goes back: facts that are gathered again belong to kexec.
        text: what it does now, for people.
        steps: of disko that were begun: partitions, file systems, mounts. disk: the one that it works on.
        paths, paths_expected: of the copy that runs or ran last: begun, and in all.
        percent: of the stage, where it can be known.
        done: it said that all is done.
        unpinned: ssh took a host key that was not known before: the pinned keys were not looked at.
    """

    stage: Stage | None = None
    text: str = ""
    steps: int = 0
    disk: str = ""
    paths: int = 0
    paths_expected: int = 0
    percent: float | None = None
    done: bool = False
    unpinned: bool = False


class AnywhereProgress:
    """Takes the output as it comes, in chunks cut anywhere; `state` is always up to date with whole lines."""

    def __init__(self) -> None:
        self.state = AnywhereState()
        self._lines = LineSplitter(LONGEST)

    def feed(self, data: bytes) -> AnywhereState:
        for line in self._lines.feed(data):
            self._take(shown(line))
        return self.state

    def finish(self) -> AnywhereState:
        """The output is over."""
        for line in self._lines.finish():
            self._take(shown(line))
        return self.state

    def _take(self, line: str) -> None:
        mark = _MARK.match(line)
        if mark is not None:
            self._mark(mark.group(1))
        elif line.startswith("Warning: Permanently added "):
            self._set(unpinned=True)
        elif not is_noise(line):
            self._detail(line)

    def _mark(self, text: str) -> None:
        if text == "Done!":
            self._set(done=True, text="done", percent=100.0)
            return
        found = next((stage for begin, stage in _MARKS if text.startswith(begin)), None)
        if found is None:
            self._set(text=text)
        else:
            self._enter(found, text)

    def _enter(self, stage: Stage, text: str) -> None:
        now = self.state.stage
        if now is None or _ORDER[stage] > _ORDER[now]:
            # The script copies disko's script before it says that it begins to format.
            self._set(stage=stage, text=text, paths=0, paths_expected=0, percent=None)
        else:
            self._set(text=text)

    def _detail(self, line: str) -> None:
        if (found := _PATHS.match(line)) is not None:
            if self.state.stage in (Stage.FACTS, Stage.KEXEC):
                self._enter(Stage.DISKO, "copying disko's script")
            self._set(paths=0, paths_expected=int(found.group(1)[:9]))
        elif (found := _PATH.match(line)) is not None:
            self._copying(found.group(1))
        elif (found := _DEVICE.match(line)) is not None:
            self._set(disk=found.group(1))
        elif line.startswith("+"):
            if _DISKO_STEP.match(line):
                self._set(steps=self.state.steps + 1, text=line[2:])
        else:
            self._set(text=line)

    def _copying(self, name: str) -> None:
        expected = self.state.paths_expected
        paths = min(self.state.paths + 1, expected) if expected else self.state.paths + 1
        percent = self.state.percent
        if expected and self.state.stage is Stage.CLOSURE_COPY:
            percent = max(percent or 0.0, 100.0 * (paths - 1) / expected)  # the last one has only begun
        self._set(paths=paths, percent=percent, text=f"copying {name}")

    def _set(self, **changes: object) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
