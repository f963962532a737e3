"""Edits by the program (enrol, change, decommission) that keep the operator's text, show a diff, and are atomic."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tempfile
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from pathlib import Path

from plasmatui.inventory.checks import cross_check
from plasmatui.inventory.inventory import Inventory, InventoryError
from plasmatui.inventory.loader import Reading, decode, read, read_text
from plasmatui.inventory.nodes import NODE_KEYS
from plasmatui.inventory.ranges import expand
from plasmatui.inventory.splice import EditError, Entry, Value, flow, line_end, scalar, spliced
from plasmatui.inventory.tree import Mapping, Node, Scalar, Sequence, parse, shown

__all__ = ["Edit", "EditError", "Editor", "Value"]

_BOM = "\ufeff"
SECRET_FIELDS = ("password", "token")
"""Keys whose value may be written in the file (`fields` of a secret are keys of their own)."""
_COMMENTED = re.compile(rf"(#[^\n]{{0,500}}?\b(?:{'|'.join(SECRET_FIELDS)})\b['\"]?[ \t]*[:=][ \t]*)[^\s#][^\n]*")


@dataclass(frozen=True)
class Edit:
    """A change of an inventory file that is ready to be shown and applied."""

    path: Path
    before: bytes
    after: bytes

    def diff(self) -> str:
        """The change as a unified diff; passwords that stand in the file are masked."""
        old, new = (_masked(data.decode()).splitlines(keepends=True) for data in (self.before, self.after))
        lines = difflib.unified_diff(old, new, str(self.path), str(self.path))
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def apply(self) -> None:
        """Replace the file in one step: a reader sees the old or the new one. Links are followed, mode and owner kept.

        Raises:
            EditError: the file changed since it was read, or it cannot be written; it is as it was then.
        """
        target = Path(os.path.realpath(self.path))
        try:
            self._replace(target)
        except OSError as error:
            raise EditError(f"{target} cannot be written: {error.strerror or error}; nothing was changed") from error

    def _replace(self, target: Path) -> None:
        info = target.stat()
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.after)
                if (info.st_uid, info.st_gid) != (os.fstat(file.fileno()).st_uid, os.fstat(file.fileno()).st_gid):
                    os.fchown(file.fileno(), info.st_uid, info.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(info.st_mode))
                file.flush()
                os.fsync(file.fileno())
            if target.read_bytes() != self.before:
                raise EditError(f"{target} was changed by somebody else since it was read; look at it and try again")
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class Editor:
    """Collects changes of one inventory file. Nothing is written before `Edit.apply`.

    Every change is checked when it is made: the result must load, and no other node may differ from before.
    All methods raise `EditError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            read_text(path)  # for its errors: no regular file, too large, not UTF-8
            self._before = path.read_bytes()
            decode(path, self._before)
        except (InventoryError, OSError) as error:
            raise EditError(str(error)) from error
        text = self._before.decode()
        self._mark = _BOM if text.startswith(_BOM) else ""
        self._text = text.removeprefix(_BOM)
        self._break = "\r\n" if "\r\n" in self._text else "\n"
        self._reading = self._load(self._text)

    @property
    def nodes(self) -> frozenset[str]:
        """Names of the nodes, as they are after the changes so far."""
        return frozenset(self._reading.inventory.nodes)

    def edit(self) -> Edit:
        """All changes so far, as one."""
        return Edit(self.path, self._before, (self._mark + self._text).encode())

    def add_node(self, name: str, values: Dictionary[str, Value]) -> None:
        """Enrol a node behind the last one. `values` are the keys of a node as the inventory has them."""
        if name in self._reading.inventory.nodes:
            raise EditError(f"{name} is in the inventory already")
        for field in values:
            _known_key(field)
        top = self._top()
        found = next(((k, v) for k, v in top.pairs if isinstance(k, Scalar) and k.text == "nodes"), None)
        if found is None:
            raise EditError("the inventory has no nodes of its own at the top level; edit it by hand")
        key, nodes = found
        if isinstance(nodes, Mapping) and nodes.flow and nodes.pairs:
            end = nodes.pairs[-1][1].end
            self._commit(
                spliced(self._text, 0, len(self._text), [(end, end, f", {scalar(name)}: {flow(values)}")]), {name}
            )
            return
        if isinstance(nodes, Mapping) and nodes.pairs:
            last_key, last = nodes.pairs[-1]
            if not isinstance(last_key, Scalar) or last_key.start < key.end:
                raise EditError("nodes is an alias; edit it by hand")
            entry = Entry(self._text, last_key, last)
            indent, at = entry.indent, entry.block_end
            step = next(
                (v.column - last_key.column for _, v in nodes.pairs if isinstance(v, Mapping) and not v.flow), 2
            )
            base = self._text
        else:  # `nodes:`, `nodes: {}`
            base = spliced(
                self._text, 0, len(self._text), [(nodes.start, nodes.end, "")] if nodes.end > nodes.start else []
            )
            at, indent, step = line_end(base, key.end), "  ", 2
        lead = "" if at == 0 or base[at - 1] == "\n" else self._break
        lines = [f"{indent}{scalar(name)}:" + ("" if values else " {}")]
        lines += [f"{indent}{' ' * max(step, 1)}{field}: {flow(value)}" for field, value in values.items()]
        new = lead + self._break.join(lines) + self._break
        self._commit(base[:at] + new + base[at:], {name})

    def set_ssh_key(self, path: str) -> None:
        """Change the file of the private key that nodes are logged in to with (`ssh.key`)."""
        ssh = _value_of(self._top(), "ssh")
        old = _value_of(ssh, "key") if isinstance(ssh, Mapping) else None
        if (
            not isinstance(ssh, Mapping)
            or not isinstance(old, Scalar)
            or not ssh.start <= old.start < old.end <= ssh.end
        ):
            raise EditError("ssh.key does not stand in the inventory's own `ssh`; edit it by hand")
        self._commit(self._text[: old.start] + flow(path) + self._text[old.end :], set())

    def set_field(self, name: str, key: str, value: Value | None) -> None:
        """Change a node's field, or remove it with None. A node within a range gets an entry of its own first."""
        _known_key(key)
        before = self._text, self._reading
        try:
            if len(self._entry(name).names) > 1:
                self._split(name, drop=False)
            self._set_own_field(name, key, value)
        except EditError:
            self._text, self._reading = before
            raise

    def set_bmc_address(self, name: str, address: str) -> None:
        """Change where a node's BMC is. What else its entry says of it (driver, user, secret) stays."""
        before = self._text, self._reading
        try:
            if len(self._entry(name).names) > 1:
                self._split(name, drop=False)
            mapping = self._entry(name).mapping()
            bmc = _value_of(mapping, "bmc")
            old = _value_of(bmc, "address") if isinstance(bmc, Mapping) else None
            if isinstance(bmc, Mapping) and isinstance(old, Scalar) and bmc.start <= old.start < old.end <= bmc.end:
                self._commit(self._text[: old.start] + flow(address) + self._text[old.end :], {name})
            else:
                self._set_own_field(name, "bmc", address)
        except EditError:
            self._text, self._reading = before
            raise

    def _set_own_field(self, name: str, key: str, value: Value | None) -> None:
        entry = self._entry(name)
        mapping = entry.mapping()
        pairs = mapping.pairs if mapping else []
        index = next((i for i, (k, _) in enumerate(pairs) if isinstance(k, Scalar) and k.text == key), None)
        if mapping is None and not (isinstance(entry.value, Scalar) and entry.value.kind == "nothing"):
            raise EditError(f"{name} has no fields to change; edit it by hand")
        if index is None:
            if value is not None:
                self._commit(self._inserted(entry, mapping, f"{key}: {flow(value)}"), {name})
            return
        if value is None:
            self._commit(self._without(entry, pairs, index), {name})
            return
        key_node, old = pairs[index]
        if old.start < key_node.end:
            raise EditError(f"{name}.{key} is an alias; edit it by hand")
        start, end, new = old.start, old.end, flow(value)
        if start == end or not (isinstance(old, Scalar) or old.flow):  # nothing yet, or a block below the key
            start, end, new = self._text.index(":", key_node.end) + 1, max(end, key_node.end + 1), f" {new}"
        self._commit(self._text[:start] + new + self._text[end:], {name})

    def remove_node(self, name: str) -> None:
        """Take a node out. A range is split around it, so that the other nodes keep their addresses."""
        entry = self._entry(name)
        if len(entry.names) > 1:
            self._split(name, drop=True)
            return
        nodes = self._nodes()
        if nodes.flow:
            index = next(i for i, (k, _) in enumerate(nodes.pairs) if k.start == entry.key.start)
            self._commit(_cut_flow(self._text, nodes.pairs, index), {name})
        elif len(nodes.pairs) == 1:
            new = f"{entry.indent}{{}}{self._break}"
            self._commit(spliced(self._text, 0, len(self._text), [(entry.line_start, entry.block_end, new)]), {name})
        else:
            self._commit(self._text[: entry.line_start] + self._text[entry.block_end :], {name})

    def _split(self, name: str, *, drop: bool) -> None:
        """Give the nodes before `name`, itself unless dropped, and those after it entries of their own."""
        entry = self._entry(name)
        at, count = entry.names.index(name), len(entry.names)
        before, after = list(range(at)), list(range(at + 1, count))
        rows = [before, after] if drop else [before, [at], after]
        if drop and not entry.positional():
            rows = [before + after]
        rows = [row for row in rows if row]
        if self._nodes().flow:
            start, end, glue = entry.key.start, entry.value.end, ", "
        else:
            start, end, glue = entry.line_start, entry.block_end, ""
        texts = entry.parts(rows, start, end)
        if not glue:
            texts = [text if text.endswith("\n") else text + self._break for text in texts]
        self._commit(self._text[:start] + glue.join(texts) + self._text[end:], {name})

    def _inserted(self, entry: Entry, mapping: Mapping | None, line: str) -> str:
        text = self._text
        if mapping is None or not mapping.pairs:
            start, end = (entry.value.start, entry.value.end)
            if end == start:
                start = end = text.index(":", entry.key.end) + 1
                return text[:start] + f" {{{line}}}" + text[end:]
            return text[:start] + f"{{{line}}}" + text[end:]
        last = mapping.pairs[-1][1]
        if mapping.flow:
            return text[: last.end] + f", {line}" + text[last.end :]
        at = line_end(text, max(last.end, mapping.pairs[-1][0].end))
        lead = "" if text[at - 1] == "\n" else self._break
        return text[:at] + f"{lead}{' ' * (mapping.column - 1)}{line}{self._break}" + text[at:]

    def _without(self, entry: Entry, pairs: list[tuple[Node, Node]], index: int) -> str:
        text, mapping = self._text, entry.mapping()
        key, value = pairs[index]
        if mapping is not None and mapping.flow:
            return _cut_flow(text, pairs, index)
        start, end = text.rfind("\n", 0, key.start) + 1, line_end(text, max(value.end, key.end))
        if len(pairs) == 1:
            return text[:start] + f"{' ' * (key.column - 1)}{{}}{self._break}" + text[end:]
        return text[:start] + text[end:]

    def _top(self) -> Mapping:
        root = parse(self._text).root
        if not isinstance(root, Mapping):
            raise EditError("the inventory is no mapping; edit it by hand")
        return root

    def _nodes(self) -> Mapping:
        for key, value in self._top().pairs:
            if (
                isinstance(key, Scalar)
                and key.text == "nodes"
                and isinstance(value, Mapping)
                and value.start >= key.end
            ):
                return value
        raise EditError("the inventory has no nodes of its own at the top level; edit it by hand")

    def _entry(self, name: str) -> Entry:
        for key, value in self._nodes().pairs:
            if isinstance(key, Scalar) and name in expand(key.text):
                return Entry(self._text, key, value)
        raise EditError(f"{shown(name)} is not in the inventory")

    def _load(self, text: str) -> Reading:
        reading = read(self.path, text)
        if reading.complete:
            cross_check(reading.inventory, reading.places, reading.problems)
        if reading.problems.failed:
            errors = "\n".join(str(d) for d in reading.problems.diagnostics("error"))
            raise EditError(f"the inventory would not load:\n{errors}")
        return reading

    def _commit(self, text: str, changed: set[str]) -> None:
        """Take a new text, if it loads and says of all other nodes what the old one says."""
        reading = self._load(text)
        old, new = self._reading.inventory, reading.inventory
        for name in (old.nodes.keys() | new.nodes.keys()) - changed:
            if _said_of(old, name) != _said_of(new, name):
                raise EditError(f"this would change {name} as well; edit the inventory by hand")
        self._text, self._reading = text, reading


def _said_of(inventory: Inventory, name: str) -> tuple[object, ...]:
    return inventory.nodes.get(name), inventory.bmcs.get(name), inventory.ssh_entries.get(name)


def _value_of(mapping: Mapping | None, key: str) -> Node | None:
    pairs = mapping.pairs if mapping is not None else []
    return next((value for name, value in pairs if isinstance(name, Scalar) and name.text == key), None)


def _known_key(key: str) -> None:
    if key not in NODE_KEYS:
        raise EditError(f"a node has no key {shown(key)}, expected one of: {', '.join(NODE_KEYS)}")


def _cut_flow(text: str, pairs: list[tuple[Node, Node]], index: int) -> str:
    """The text without one pair of a flow mapping and one of the commas around it."""
    if index + 1 < len(pairs):
        return text[: pairs[index][0].start] + text[pairs[index + 1][0].start :]
    start = pairs[index - 1][1].end if index else pairs[index][0].start
    return text[:start] + text[pairs[index][1].end :]


def _masked(text: str) -> str:
    """The text with passwords that are written in it replaced."""
    changes: list[tuple[int, int, str]] = []
    waiting: list[Node] = [root] if (root := parse(text.removeprefix(_BOM)).root) is not None else []
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Sequence):
            waiting += node.items
        elif isinstance(node, Mapping):
            for key, value in node.pairs:
                if isinstance(key, Scalar) and key.text in SECRET_FIELDS and isinstance(value, Scalar):
                    changes.append((value.start, value.end, "********"))
                waiting += [key, value]
    body = text.removeprefix(_BOM)
    return _COMMENTED.sub(r"\1********", spliced(body, 0, len(body), sorted(set(changes))))
