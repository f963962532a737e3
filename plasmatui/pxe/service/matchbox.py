"""A matchbox data directory: groups that select machines by labels, and the profiles that they name.

Semantics: matchbox 0.11, its documentation and tests. A group matches when all its selectors equal the request's
labels; the group with most selectors wins, and among equals the one whose sorted `key=value` text is last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plasmatui.pxe.service.answers import Answer, Boot, Choice, Problem, Terms
from plasmatui.pxe.service.butane import program
from plasmatui.pxe.service.documents import Document, WrongDocumentError
from plasmatui.pxe.service.folder import StoredFile, StoreFolder
from plasmatui.pxe.service.gofunctions import Texts
from plasmatui.pxe.service.macs import parse_mac
from plasmatui.pxe.service.payloads import PayloadError, Template, environment, render
from plasmatui.pxe.service.query import Query
from plasmatui.pxe.service.scripts import plain_script

_TEMPLATES: Final = ("ignition", "cloud", "generic")
_DIRECTORIES: Final = ("groups", "profiles", *_TEMPLATES)


@dataclass(frozen=True)
class Group:
    """Machines by labels. `document` tells where things stand in its file."""

    id: str
    path: str
    profile: str
    selector: Mapping[str, str]
    metadata: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The selectors, in the form that decides among groups with equally many."""
        return ",".join(f"{key}={value}" for key, value in sorted(self.selector.items()))


@dataclass(frozen=True)
class Profile:
    """What machines of a group boot, and the names of their templates by endpoint."""

    id: str
    boot: Boot
    templates: Mapping[str, str]


Parsed = Group | Profile | Template


@dataclass(frozen=True)
class Index:
    """Groups by their selectors: one look-up for each set of keys that any group selects by, however many groups.

    Attributes:
        shapes: sets of keys, those with most first; for each, the groups by their values.
    """

    shapes: tuple[tuple[tuple[str, ...], Mapping[tuple[str, ...], Group]], ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], Group | None]]:
        """For each set of keys that the labels hold, those with most first: the group, or None."""
        for keys, groups in self.shapes:
            try:
                values = tuple([labels[key] for key in keys])
            except KeyError:
                continue
            yield keys, groups.get(values)

    def select(self, labels: Mapping[str, str]) -> Group | None:
        """The group that wins."""
        best: Group | None = None
        for keys, group in self.matches(labels):
            if best is not None and len(keys) < len(best.selector):
                break
            if group is not None and (best is None or group.text > best.text):
                best = group
        return best


class MatchboxSource:
    """Groups and profiles of a directory."""

    kind = "matchbox"

    def __init__(self, root: Path) -> None:
        self._index = Index()
        self._folder = StoreFolder[Parsed](root, _DIRECTORIES, _parse, self._digest)

    @property
    def problems(self) -> Sequence[Problem]:
        return (*self._folder.problems, *self._index.warnings)

    @property
    def rules(self) -> int:
        return sum(len(groups) for _, groups in self._index.shapes)

    async def refresh(self) -> bool:
        return await self._folder.refresh()

    async def look(self) -> bool:
        return await self._folder.look()

    def close(self) -> None:
        self._folder.close()

    def boot(self, query: Query) -> Boot | None:
        """See `Source`. A group whose profile is missing boots nothing; the next group is not asked."""
        _, profile = self._select(query)
        return profile.boot if profile is not None else None

    def answer(self, endpoint: str, query: Query) -> Answer | None:
        group, profile = self._select(query)
        if group is None:
            return None
        if endpoint == "metadata":
            return Answer(environment(variables(group, query)).encode(), "plain/text")
        name = profile.templates.get(endpoint, "") if profile is not None else ""
        file = self._folder.files.get(f"{endpoint}/{name}") if name else None
        if file is None or not isinstance(file.value, Template):
            return None
        try:
            return render(file.value, variables(group, query))
        except PayloadError:
            return None

    def script(self, query: Query, terms: Terms) -> str | None:
        return plain_script(self.boot(query), query, terms)

    def macs(self, mac: str) -> tuple[str, ...]:
        return (mac,)

    def choice(self, query: Query) -> Choice:
        index = self._index
        steps = [f"labels: {_labels(query.labels)}"]
        if "mac" in {name.lower() for name in query.values} - {name.lower() for name in query.labels}:
            steps.append("mac is left out: it is no address")
        for keys, group in index.matches(query.labels):
            what = f"groups that select by {', '.join(keys)}" if keys else "groups without selectors"
            steps.append(f"{what}: {f'{group.id} matches' if group is not None else 'none matches'}")
        group, profile = self._select(query)
        if group is None:
            return Choice((*steps, "no group matches: nothing is served"))
        steps.append(f"chosen: {group.path}, which has most selectors ({group.text or 'none'})")
        if profile is None:
            steps.append(f"profiles/{group.profile}.json is missing or damaged: nothing is served")
            return Choice(tuple(steps), f"group {group.id}")
        steps.append(f"profile: {profile.id}")
        for endpoint, name in profile.templates.items():
            if name:
                steps.append(f"/{endpoint}: {self._explain(endpoint, name, group, query)}")
        return Choice(tuple(steps), f"group {group.id}, profile {profile.id}", profile.boot)

    def _explain(self, endpoint: str, name: str, group: Group, query: Query) -> str:
        path = f"{endpoint}/{name}"
        file = self._folder.files.get(path)
        if file is None or not isinstance(file.value, Template):
            return f"{path} is missing or damaged"
        try:
            answer = render(file.value, variables(group, query))
        except PayloadError as error:
            return f"{path} cannot be served: {error}"
        if answer.butane:
            converter = program()
            return f"{path}, Butane, " + (f"converted by {converter}" if converter else "and butane is not installed")
        return f"{path}, {len(answer.body)} bytes"

    def _select(self, query: Query) -> tuple[Group | None, Profile | None]:
        index = self._index
        group = index.select(query.labels)
        return group, index.profiles.get(group.profile) if group is not None else None

    def _digest(self, files: dict[str, StoredFile[Parsed]]) -> None:
        self._index = make_index(files)


def make_index(files: Mapping[str, StoredFile[Parsed]]) -> Index:
    """Index the groups and profiles of a directory, and name what can never be served."""
    groups = sorted((f.value for f in files.values() if isinstance(f.value, Group)), key=lambda group: group.id)
    profiles = {f.value.id: f.value for f in files.values() if isinstance(f.value, Profile)}
    shapes: dict[tuple[str, ...], dict[tuple[str, ...], Group]] = {}
    warnings = []
    for group in groups:
        keys = tuple(sorted(group.selector))
        taken = shapes.setdefault(keys, {}).setdefault(tuple(group.selector[key] for key in keys), group)
        if taken is not group:
            message = f"is never chosen: {taken.path} selects the same machines ({group.text or 'all'})"
            warnings.append(Problem(group.path, 0, message, warning=True))
        if group.profile not in profiles:
            message = f"its profile {group.profile!r} is missing or damaged: its machines boot nothing"
            warnings.append(Problem(group.path, 0, message, warning=True))
    for profile in profiles.values():
        warnings += [
            Problem(f"profiles/{profile.id}.json", 0, f"{endpoint}/{name} is missing", warning=True)
            for endpoint, name in profile.templates.items()
            if name and f"{endpoint}/{name}" not in files
        ]
    ordered = sorted(shapes.items(), key=lambda item: len(item[0]), reverse=True)
    return Index(tuple(ordered), profiles, tuple(sorted(warnings, key=lambda problem: problem.file)))


def variables(group: Group, query: Query) -> dict[str, Any]:
    """What a group's templates may name: its metadata, its selectors in lower case, and the request."""
    selector = {key.lower(): value for key, value in group.selector.items()}
    request = {"query": Texts(query.labels), "raw_query": query.raw}
    return {**group.metadata, **selector, "request": request}


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "none"


def _parse(path: str, data: bytes) -> Parsed:
    folder, _, name = path.partition("/")
    text = data.decode("utf-8", "replace")
    if folder in _TEMPLATES:
        return Template(folder, name, text)
    if not name.endswith(".json"):
        raise WrongDocumentError(0, "is not read: expected a name that ends with .json")
    document = Document(text)
    stem = name.removesuffix(".json")
    return _group(stem, path, document) if folder == "groups" else _profile(stem, document)


def _group(name: str, path: str, document: Document) -> Group:
    selector = {}
    for key, value in document.object("selector").items():
        if not isinstance(value, str):
            raise document.wrong(f"selector.{key}", value, "a string")
        mac = parse_mac(value) if key.lower() == "mac" else value
        if mac is None:
            raise WrongDocumentError(document.line_of(key), f"selector.{key}: {value!r} is no MAC")
        selector[key] = mac
    return Group(name, path, document.text("profile"), selector, document.object("metadata"))


def _profile(name: str, document: Document) -> Profile:
    boot = document.object("boot")
    args = document.texts("args", boot)
    return Profile(
        name,
        Boot(document.text("kernel", boot), document.texts("initrd", boot), args, " ".join(args)),
        {endpoint: document.text(f"{endpoint}_id") for endpoint in _TEMPLATES},
    )
