"""Files that people write: the inventory and edits of it, node sets, manifests of bundles, keymaps, themes.

Each is read, or refused with a message of one line per problem that a terminal may be given.
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

from plasmatui.inventory.catalogue import SERVICES
from plasmatui.inventory.edit import EditError, Editor
from plasmatui.inventory.inventory import InventoryError
from plasmatui.inventory.loader import TOP_KEYS, load
from plasmatui.inventory.nodes import BMC_KEYS, NODE_KEYS
from plasmatui.inventory.nodesets import NodeSetError, fold, resolve
from plasmatui.inventory.report import check
from plasmatui.model.node import Node
from plasmatui.text import is_clean
from plasmatui.ui.actions import ACTIONS
from plasmatui.ui.keymap import load_keymap
from plasmatui.ui.themes import ThemeError, packaged_dir, read_theme
from plasmatui.watch.bundle import FORMATS, BundleError, read_bundle
from tests.fuzz.grammar import bomb, odd, yaml_text
from tests.fuzz.target import Target

_ROOT: Final = Path(__file__).parents[3]
_DATA: Final = _ROOT / "tests" / "data"
_KEYS: Final = (
    *TOP_KEYS, *NODE_KEYS, *BMC_KEYS, "name", "cidr", "pool", "vlan", "gateway", "dns", "kind", "format", "file",
    "journal", "env", "command", "voter", "services", "parallel", "stagger", "bandwidth", "access", "engine", "root",
    "loaders", "node01", "n[1-3]", "worker[01-64]", "n[01-03,5]", "n[1-99999999]", "<<",
)  # fmt: skip
_VALUES: Final = (
    "1", "true", "~", "10.0.0.1", "10.0.0.1+", "255.255.255.255+", "10.0.0.0/24", "0.0.0.0/0", "10.0.0.1-10.0.0.9",
    "52:54:00:12:34:56", '"52:54:00:12:34:56"', "worker", "1s", "1Gbit", "kea", "ipmi", "redfish", "{env: X}",
    "{file: /x}", "/dev/sda", "hunter2", "control-plane", "[node01, n1]", "admin", "~nobody/x", "9" * 30, *SERVICES,
)  # fmt: skip


@cache
def scratch() -> Path:
    """A directory for one process; its files are written anew for each input."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # the journal waits for the disk
    folder = tempfile.TemporaryDirectory(prefix="plasmatui-fuzz-", dir=memory)
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: Final[list[tempfile.TemporaryDirectory[str]]] = []


def printable(text: str) -> None:
    """A message of lines that a terminal may be given."""
    for line in text.split("\n"):
        assert is_clean(line), line[:300]


def inventories() -> list[bytes]:
    return [(_ROOT / "inventory.yaml").read_bytes(), _EDITED.encode()]


def make_inventory(random: Random) -> bytes:
    if random.random() < 0.1:
        return bomb(random).encode("utf-8", "surrogatepass")
    text = yaml_text(random, _KEYS, _VALUES)
    head = "version: 1\ncluster: {name: c}\n" if random.random() < 0.7 else ""
    nodes = "nodes:\n" + "".join(f"  {line}\n" for line in yaml_text(random, _KEYS, _VALUES, 2).splitlines())
    return f"{head}{nodes if random.random() < 0.7 else ''}{text}".encode("utf-8", "replace")


def inventory(raw: bytes) -> None:
    """It loads, or every error has its place, and none its password."""
    path = scratch() / "inventory.yaml"
    path.write_bytes(raw)
    try:
        loaded = load(path)
    except InventoryError as error:
        found = error.diagnostics
    else:
        found = loaded.warnings
        assert loaded.cluster
    report = check(path)
    assert report.ok or found
    for each in found:
        assert each.place.line >= 1
        assert each.place.column >= 1
        printable(str(each))


_EDITED: Final = """\
# Ask Kim.
version: 1
cluster: {name: c1,   domain: example.com}   # aligned

networks:
  provisioning: {cidr: 10.0.100.0/24}
ssh: {key: ~/.ssh/id}   # the key
nodes:
  # first
  node01:
    profile: w   # votes
    mac: "52:54:00:12:34:56"
    bmc: 10.0.10.50
    # below
  node02: {mac: ['52-54-00-12-34-57'],  bmc: {address: 10.0.10.51, password: hunter2}}

  # -- workers --
  worker[01-05]:
    profile: w
    bmc:
      address: 10.0.10.60+     # up
    provisioning_ip: 10.0.100.80+
    unit: 20+
    disks:
      - /dev/disk/by-id/a   # system
      - /dev/disk/by-id/b
  last:            # nothing

profiles: {w: {services: []}}   # the end
"""


def edit(raw: bytes) -> None:
    """Whatever an edit does to whatever loads: what comes out loads, nodes that were not named are as they were, and
    lines that speak of none that was are there, byte for byte, in their order."""
    path = scratch() / "edited.yaml"
    path.write_bytes(raw)
    random = Random(raw)
    try:
        editor = Editor(path)
    except EditError as error:
        printable(str(error))
        return
    before = load(path)
    names = list(before.nodes) or ["none"]
    touched: set[str] = set()
    for _ in range(random.randint(1, 4)):
        name = random.choice(names)
        try:
            _edited(editor, random, name)
        except EditError as error:
            printable(str(error))
        else:
            touched.add(name)
    change = editor.edit()
    shown = change.diff()
    assert not any(unicodedata.category(each) == "Cc" and each not in "\n\r\t\x85" for each in shown)
    if raw.count(b"hunter2") == 1 and b"password: hunter2" in raw:
        assert "hunter2" not in shown
    change.apply()
    after = load(path)
    for name in before.nodes.keys() - touched:
        assert after.nodes.get(name) == before.nodes[name], name
        assert after.bmcs.get(name) == before.bmcs.get(name), name
    if not touched:
        assert change.after == change.before
    _untouched(raw, change.after)


def _untouched(before: bytes, after: bytes) -> None:
    """Lines before the nodes and after them are as they were."""
    head, nodes, _ = before.partition(b"\nnodes:\n")
    tail = before.rpartition(b"\nprofiles:")[2]
    if not nodes or b"ssh:" in head or b"{" in before[: len(head)].rpartition(b"\n")[2]:
        return
    assert after.startswith(head)
    if tail and b"\nprofiles:" + tail in before.partition(b"\nnodes:\n")[2]:
        assert after.endswith(tail)


def _edited(editor: Editor, random: Random, name: str) -> None:
    kind = random.randrange(5)
    if kind == 0:
        editor.remove_node(name)
    elif kind == 1:
        editor.add_node(random.choice(("new01", "n-2", odd(random))), {"unit": 3, "tags": [odd(random)]})
    elif kind == 2:
        editor.set_field(
            name, random.choice(("tags", "unit", "rack", "profile", "x")), random.choice((None, 5, "r1", ["a"]))
        )
    elif kind == 3:
        editor.set_bmc_address(name, random.choice(("10.0.10.99", odd(random))))
    else:
        editor.set_ssh_key(random.choice(("/root/key", odd(random))))


_NODES: Final = tuple(
    Node(name=f"node{n:02}", profile="worker" if n > 3 else "cp", voter=n <= 3, rack=f"r{n % 3}", tags=("ssd",))
    for n in range(1, 65)
)


def node_set(raw: bytes) -> None:
    """It names nodes in their order, each once, or is refused."""
    try:
        found = resolve(raw.decode(errors="replace"), _NODES)
    except NodeSetError as error:
        printable(str(error))
        return
    names = [node.name for node in _NODES]
    assert found
    assert sorted(set(found), key=names.index) == list(found)
    assert resolve(fold(found), _NODES) == found


def make_node_set(random: Random) -> bytes:
    parts = (
        "node",
        "node01",
        "[01-03]",
        "[1-9/2]",
        "@",
        "worker",
        "rack:r1",
        "*",
        "?",
        "!",
        "&",
        "^",
        ",",
        "[",
        "]",
        "-",
        "0" * 9,
        "/0",
        " ",
    )
    return "".join(random.choice(parts) for _ in range(random.randint(1, 60))).encode()


def make_bundle(random: Random) -> bytes:
    if random.random() < 0.2:
        return bomb(random).encode()
    keys = ("version", "nodes", "files", "mac", "ip", "uuid", "path", "format", "node", "timing", "n1")
    values = ("1", '"52:54:00:12:34:56"', "10.0.0.1", "x.log", "../x", "/etc/passwd", "link", "n1", "[n1]", *FORMATS)
    paths = ("x.log", "link", ".", "../x", odd(random) or "x")
    files = "".join(
        f"  - {{path: {random.choice(paths)}, format: {random.choice(FORMATS)}, node: n1, timing: x.log}}\n"
        for _ in range(random.randint(0, 3))
    )
    head = f'version: 1\nnodes: {{n1: {{mac: "52:54:00:12:34:56"}}}}\nfiles:\n{files}'
    return (head if random.random() < 0.6 else yaml_text(random, keys, values)).encode("utf-8", "replace")


def bundle(raw: bytes) -> None:
    """It is refused, or its files lie in it."""
    folder = scratch() / "bundle"
    folder.mkdir(exist_ok=True)
    (folder / "bundle.yaml").write_bytes(raw)
    (folder / "x.log").write_bytes(raw)
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to("/etc/passwd")
    try:
        found = read_bundle(folder)
    except BundleError as error:
        printable(str(error))
        return
    for file in found.files:
        for path in (file.path, file.timing or file.path):
            assert path.resolve().is_relative_to(folder.resolve())


def keymap(raw: bytes) -> None:
    path = scratch() / "keymap.yaml"
    path.write_bytes(raw)
    for problem in load_keymap(path)[1]:
        printable(problem)


def make_keymap(random: Random) -> bytes:
    if random.random() < 0.1:
        return bomb(random).encode()
    keys = [action.id for action in ACTIONS]
    return yaml_text(random, keys, ("p", "P", "ctrl+x", "null", "f1 f2", "esc", "="), 1).encode("utf-8", "replace")


def theme(raw: bytes) -> None:
    path = scratch() / "theme.yaml"
    path.write_bytes(raw)
    try:
        read_theme(path)
    except ThemeError as error:
        printable(str(error))


def make_theme(random: Random) -> bytes:
    if random.random() < 0.1:
        return bomb(random).encode()
    keys = ("name", "dark", "ansi", "colors", "roles", "primary", "ok", "error")
    values = (
        "x",
        "true",
        '"#fff"',
        '"rgb(1,2,3)"',
        f'"rgb({"1" * 400},1,1)"',
        '"hsl(1,2%,3%)"',
        '"auto 10%"',
        "red",
        "ansi_red",
    )
    return yaml_text(random, keys, values, 2).encode("utf-8", "replace")


def _themes() -> list[bytes]:
    return [path.read_bytes() for path in sorted(packaged_dir().glob("*.yaml"))]


def _manifests() -> list[bytes]:
    return [path.read_bytes() for path in sorted(_DATA.glob("bundles/*/bundle.yaml"))]


TARGETS: Final = (
    Target("inventory", inventories, inventory, make_inventory, 60),
    Target("inventory-edit", lambda: [_EDITED.encode(), inventories()[0]], edit, quick=30),
    Target("node-set", lambda: [b"node[01-03],@worker!node04&@rack:r1^node[07-09/2]"], node_set, make_node_set, 300),
    Target("bundle-manifest", _manifests, bundle, make_bundle, 60),
    Target("keymap", lambda: [b"nodes.power: P\nnodes.wide: w W\n"], keymap, make_keymap, 60),
    Target("theme", _themes, theme, make_theme, 60),
)
