"""Writes `docs/keys.md` from the registry: `python -m plasmatui.ui.keysdoc > docs/keys.md`."""

from __future__ import annotations

import sys

from plasmatui.ui.actions import ACTIONS, SCOPES

_HEAD = """# Keys

This page is generated from the registry of actions (`python -m plasmatui.ui.keysdoc > docs/keys.md`).

Lower-case looks, UPPER-CASE acts: no lower-case letter, Enter, Backspace or Delete ever changes a machine. An acting
key opens a dialog with every target, the exact commands and Cancel in focus. Levels: 1 reversible, 2 disruptive (`y` is
ignored for the first 500 ms), 3 destructive (a text must be typed; paste is disabled).

Keys can be changed by id in `keymap.yaml` in the configuration directory (`$XDG_CONFIG_HOME/plasmatui`): several are
separated by spaces, `null` is none, and signs that mean something to YAML stand in quotes:

```yaml
nodes.wide: z
nodes.power: P Z
nodes.pane: null
global.help: "? h"
```

A file in which two actions of one scope claim the same key, or an act a key that is no upper-case letter, is refused as
a whole, with the ids named. Actions marked "fixed" cannot be changed.
"""


def keys_document() -> str:
    """The page."""
    parts = [_HEAD]
    for scope, title in SCOPES.items():
        parts.append(f"\n## {title}\n\n| keys | action | id | level | `:` |\n|---|---|---|---|---|\n")
        for action in ACTIONS:
            if action.scope == scope:
                keys = " ".join(f"`{key}`" for key in action.keys) or "-"
                text = action.title + (f". {action.help}" if action.help else "")
                fixed = "" if action.call else " (fixed)"
                level = str(action.confirm) if action.acts else ""
                word = f"`:{action.word}`" if action.word else ""
                parts.append(f"| {keys} | {text} | `{action.id}`{fixed} | {level} | {word} |\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(keys_document())
