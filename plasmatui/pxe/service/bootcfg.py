"""A bootcfg data directory: `boot/` and `cloud/`, each with `uuid/`, `mac/`, `default` (bootcfg of December 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from plasmatui.pxe.service.answers import Answer, Boot, Choice, Problem, Terms
from plasmatui.pxe.service.documents import Document, WrongDocumentError, go_text, go_true
from plasmatui.pxe.service.folder import StoredFile, StoreFolder
from plasmatui.pxe.service.macs import parse_mac
from plasmatui.pxe.service.query import Query
from plasmatui.pxe.service.scripts import plain_script

_KINDS: Final = ("boot", "cloud")
_DIRECTORIES: Final = tuple(f"{kind}{below}" for kind in _KINDS for below in ("", "/uuid", "/mac"))
_HEADER: Final = b"#cloud-config"

Parsed = Boot | bytes


@dataclass(frozen=True)
class _Search:
    """Where a file was looked for, and the first that is there."""

    steps: tuple[str, ...]
    path: str = ""
    file: StoredFile[Parsed] | None = None


class BootcfgSource:
    """Boot and cloud configurations of machines by UUID, by MAC, and for all others."""

    kind = "bootcfg"

    def __init__(self, root: Path) -> None:
        self._warnings: tuple[Problem, ...] = ()
        self._folder = StoreFolder[Parsed](root, _DIRECTORIES, _parse, self._digest)

    @property
    def problems(self) -> Sequence[Problem]:
        return (*self._folder.problems, *self._warnings)

    @property
    def rules(self) -> int:
        return sum(path.startswith("boot/") for path in self._folder.files)

    async def refresh(self) -> bool:
        return await self._folder.refresh()

    async def look(self) -> bool:
        return await self._folder.look()

    def close(self) -> None:
        self._folder.close()

    def boot(self, query: Query) -> Boot | None:
        """See `Source`. A damaged file of the machine's own is no reason to boot the default."""
        file = self._search("boot", query).file
        return file.value if file is not None and isinstance(file.value, Boot) else None

    def script(self, query: Query, terms: Terms) -> str | None:
        return plain_script(self.boot(query), query, terms)

    def macs(self, mac: str) -> tuple[str, ...]:
        return (mac,)

    def choice(self, query: Query) -> Choice:
        steps: list[str] = []
        boot = None
        rule = why = ""
        for kind in _KINDS:
            search = self._search(kind, query)
            steps += search.steps
            if search.file is not None and search.file.problem is not None:
                steps.append(f"{search.file.problem}")
            if kind == "boot":
                rule, why = search.path, steps[-1]
                boot = search.file.value if search.file is not None and isinstance(search.file.value, Boot) else None
        return Choice(tuple(steps), rule, boot, why)

    def answer(self, endpoint: str, query: Query) -> Answer | None:
        """See `Source`; there are cloud configurations only."""
        if endpoint != "cloud":
            return None
        file = self._search("cloud", query).file
        if file is None or not isinstance(file.value, bytes):
            return None
        return Answer(file.value, modified=file.modified)

    def _search(self, kind: str, query: Query) -> _Search:
        steps: list[str] = []
        for below, name, lack in (("uuid", query.uuid, "UUID"), ("mac", query.mac, "MAC"), ("default", "", "")):
            if below == "default":
                path = f"{kind}/default"
            elif name and "/" not in name:
                path = f"{kind}/{below}/{name}"
            else:
                given = query.values.get(below, "")
                steps.append(f"{kind}/{below}: " + (f"{given!r} is no {lack}" if given else f"no {lack} was given"))
                continue
            file = self._folder.files.get(path)
            if file is not None:
                return _Search((*steps, f"{path}: is there, chosen"), path, file)
            steps.append(f"{path}: not there")
        return _Search(tuple(steps))

    def _digest(self, files: dict[str, StoredFile[Parsed]]) -> None:
        self._warnings = tuple(problem for path in sorted(files) for problem in _suspicious(path, files[path].value))


def _suspicious(path: str, value: Parsed | None) -> list[Problem]:
    """Files that are read well and that no request will ever find, or that boot nothing."""
    found = []
    _, _, rest = path.partition("/")
    below, _, name = rest.partition("/")
    if below == "mac" and parse_mac(name) != name:
        right = parse_mac(name)
        expected = f"the name {right}" if right else "a MAC as name, aa:bb:cc:dd:ee:ff"
        found.append(Problem(path, 0, f"is never found: expected {expected}", warning=True))
    elif below == "uuid" and name != name.lower():
        found.append(Problem(path, 0, "UUIDs are compared as they are, and iPXE sends lower case", warning=True))
    elif not name and below != "default":
        found.append(Problem(path, 0, "is never found: expected default, uuid/ or mac/", warning=True))
    if isinstance(value, Boot) and not value.kernel:
        found.append(Problem(path, 1, "names no kernel", warning=True))
    return found


def _parse(path: str, data: bytes) -> Parsed:
    if path.startswith("cloud/"):
        if data.partition(b"\n")[0].rstrip() != _HEADER:
            raise WrongDocumentError(1, "expected #cloud-config as the first line")
        return data
    document = Document(data.decode("utf-8", "replace"))
    message = document.text("message")
    if document.has_text("cmdline"):  # as Pixiecore's API has it today
        line = document.text("cmdline")
        return Boot(document.text("kernel"), document.texts("initrd"), (line,) if line else (), line, message)
    cmdline = document.object("cmdline")
    return Boot(document.text("kernel"), document.texts("initrd"), _options(cmdline), cmdline, message)


def _options(cmdline: Mapping[str, Any]) -> tuple[str, ...]:
    """Kernel options in the order of their keys; what is empty, null, false or zero is a bare key."""
    return tuple(f"{key}={go_text(cmdline[key])}" if go_true(cmdline[key]) else key for key in sorted(cmdline))
