"""The registry's rules, the keymap file, and the generated documents."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import plasmatui.ui.dialogs
from plasmatui.paths import config_dir
from plasmatui.ui.actions import ACTIONS, BY_ID, SCOPES, check
from plasmatui.ui.dialogs.base import Dialog
from plasmatui.ui.keymap import load_keymap, typed
from plasmatui.ui.keysdoc import keys_document
from plasmatui.ui.screens.boot import BootView
from plasmatui.ui.screens.checks import ChecksView
from plasmatui.ui.screens.consoles import ConsolesView
from plasmatui.ui.screens.health import HealthView
from plasmatui.ui.screens.logs import LogsView
from plasmatui.ui.screens.main import MainScreen
from plasmatui.ui.screens.node import NodeView
from plasmatui.ui.screens.nodes import NodesView
from plasmatui.ui.screens.operations import OperationsView
from plasmatui.ui.welcome import WelcomeScreen

OWNERS = {
    "global": MainScreen,
    "nodes": NodesView,
    "node": NodeView,
    "consoles": ConsolesView,
    "logs": LogsView,
    "operations": OperationsView,
    "health": HealthView,
    "boot": BootView,
    "checks": ChecksView,
    "start": WelcomeScreen,
}


def keys() -> dict[str, tuple[str, ...]]:
    return {action.id: action.keys for action in ACTIONS}


def write(text: str) -> Path:
    path = config_dir() / "keymap.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_ids_are_unique_and_scopes_known() -> None:
    assert len(BY_ID) == len(ACTIONS)
    assert {action.scope for action in ACTIONS} <= set(SCOPES)


def test_default_keys_keep_the_rules() -> None:
    assert check(keys()) == []


def test_every_acting_action_has_a_dialog_that_exists() -> None:
    dialogs = set()
    for module in pkgutil.iter_modules(plasmatui.ui.dialogs.__path__, "plasmatui.ui.dialogs."):
        for name, thing in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(thing) and issubclass(thing, Dialog):
                dialogs.add(name)
    for action in ACTIONS:
        assert not action.acts or action.dialog in dialogs, action.id
        assert action.acts or not action.dialog, action.id


def test_every_call_is_a_method_of_its_scope() -> None:
    for action in ACTIONS:
        if action.call:
            method = "action_" + action.call.partition("(")[0]
            assert hasattr(OWNERS[action.scope], method), action.id


def test_two_ids_for_one_key_are_named() -> None:
    changed = keys() | {"nodes.wide": ("x",)}
    assert check(changed) == ["'x' is claimed by both nodes.problems and nodes.wide"]


@pytest.mark.parametrize(("action_id", "key"), [("nodes.power", "z"), ("nodes.wide", "Z"), ("nodes.power", "enter")])
def test_capitals_act_and_nothing_else_does(action_id: str, key: str) -> None:
    problems = check(keys() | {action_id: (key,)})
    assert any(action_id in problem and "upper-case" in problem for problem in problems)


def test_keymap_overrides_by_id() -> None:
    write('nodes.wide: z\nnodes.power: Z\nnodes.pane: null\nglobal.help: "? h"\nglobal.freeze: =\n')
    keymap, problems = load_keymap()
    assert problems == []
    assert keymap.find("nodes", "z") is BY_ID["nodes.wide"]
    assert keymap.find("nodes", "w") is None
    assert keymap.find("nodes", "Z") is BY_ID["nodes.power"]
    assert keymap.find("nodes", "p") is None
    assert keymap.find("global", "h") is BY_ID["global.help"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nodes.wide: x", ["nodes.wide", "nodes.problems"]),
        ("nodes.power: p", ["nodes.power", "upper-case"]),
        ("nodes.nothing: p", ["nodes.nothing"]),
        ("dialog.accept: z", ["dialog.accept", "fixed"]),
        ("- a list", ["expected action ids"]),
        ("a: [", ["not YAML"]),
    ],
)
def test_a_bad_keymap_changes_nothing_and_says_why(text: str, words: list[str]) -> None:
    write(text)
    keymap, problems = load_keymap()
    assert problems
    for word in words:
        assert any(word in problem for problem in problems)
    assert keymap.find("nodes", "w") is BY_ID["nodes.wide"]


def test_keys_as_people_type_them() -> None:
    assert typed("question_mark", "?") == "?"
    assert typed("P", "P") == "P"
    assert typed("escape", None) == "esc"
    assert typed("ctrl+backslash", None) == "ctrl+\\"
    assert typed("space", " ") == "space"


def test_the_documented_keys_are_current() -> None:
    path = Path(__file__).parents[2] / "docs" / "keys.md"
    assert path.read_text(encoding="utf-8") == keys_document(), "run: python -m plasmatui.ui.keysdoc > docs/keys.md"
