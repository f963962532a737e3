"""Which key does what: the registry's defaults with the user's `keymap.yaml` over them."""

from __future__ import annotations

from pathlib import Path

from plasmatui.inventory.plain import PlainError, read_plain
from plasmatui.paths import config_dir
from plasmatui.ui.actions import ACTIONS, BY_ID, Action, check

_LONGEST = 64 * 1024
_NAMES = {
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "ctrl+backslash": "ctrl+\\",
    "delete": "del",
}


def typed(key: str, character: str | None) -> str:
    """A key press as the registry writes it: the character where it is one, else the key's short name."""
    if key == "space":
        return key
    if character is not None and len(character) == 1 and character.isprintable():
        return character
    return _NAMES.get(key, key)


class Keymap:
    """Keys by action and actions by key."""

    def __init__(self, keys: dict[str, tuple[str, ...]]) -> None:
        self._keys = keys
        self._actions = {(action.scope, key): action for action in ACTIONS for key in keys[action.id]}

    def find(self, scope: str, key: str) -> Action | None:
        """The action that `key` (see `typed`) has in this scope alone; widget-handled ones are none."""
        action = self._actions.get((scope, key))
        return action if action is not None and action.call else None

    def keys(self, action_id: str) -> tuple[str, ...]:
        return self._keys[action_id]

    def first(self, action_id: str) -> str:
        """The key to show for an action, "" when it has none."""
        return next(iter(self._keys[action_id]), "")


def default_keymap() -> Keymap:
    return Keymap({action.id: action.keys for action in ACTIONS})


def keymap_path() -> Path:
    return config_dir() / "keymap.yaml"


def load_keymap(path: Path | None = None) -> tuple[Keymap, list[str]]:
    """The keymap and what is wrong with the user's file; a file with problems changes nothing.

    The file maps action ids to a key, several keys separated by spaces, or null for none.
    """
    path = path or keymap_path()
    keys = {action.id: action.keys for action in ACTIONS}
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        return Keymap(keys), []
    except (OSError, UnicodeDecodeError) as error:
        return Keymap(keys), [f"{path}: {error}"]
    if len(text) > _LONGEST:
        return Keymap(keys), [f"{path}: longer than {_LONGEST} characters"]
    try:
        # Plain strings and nothing else: to YAML a bare = or on would be something of its own.
        wanted = read_plain(text.removeprefix("\ufeff"), texts=True)
    except PlainError as error:
        return Keymap(keys), [f"{path}:{error.line}:{error.column}: not YAML that can be read: {error}"]
    problems = _override(keys, wanted)
    if problems:
        return default_keymap(), [f"{path}: {problem}" for problem in problems]
    return Keymap(keys), []


def _override(keys: dict[str, tuple[str, ...]], wanted: object) -> list[str]:
    if wanted in (None, ""):
        return []
    if not isinstance(wanted, dict):
        return ["expected action ids with their keys, such as `nodes.power: P`"]
    problems = []
    for name, value in wanted.items():
        if name not in BY_ID:
            problems.append(f"there is no action {name!r}")
        elif not BY_ID[name].call:
            problems.append(f"{name} is fixed")
        elif not isinstance(value, str):
            problems.append(f"{name}: expected a key or several separated by spaces")
        else:
            keys[name] = () if value in ("null", "~") else tuple(value.split())
    return problems + check(keys)
