"""Themes: YAML files, those that are shipped and those in the user's configuration directory.

A file names colours and colour roles. The roles are what states are drawn in, beside their glyph and their word.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from textual import constants
from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

import plasmatui
from plasmatui.inventory.plain import PlainError, read_plain
from plasmatui.inventory.tree import shown
from plasmatui.paths import config_dir

DEFAULT = "dark"
SIXTEEN = "ansi-16"
"""Used on terminals of sixteen colours, and with NO_COLOR: the only kind of theme with which no colour is sent then."""

ROLES = ("ok", "down", "unknown", "busy", "warning", "error", "muted", "mark", "write", "cursor")

_COLOURS = (
    "primary",
    "secondary",
    "accent",
    "success",
    "warning",
    "error",
    "foreground",
    "background",
    "surface",
    "panel",
    "boost",
)
_KEYS = frozenset(("name", "dark", "ansi", "colors", "roles"))
_LONGEST = 64 * 1024


class ThemeError(ValueError):
    """A theme file cannot be used; the message names the file, the key and what is expected."""


@dataclass(frozen=True)
class ThemeFile:
    """A theme and the colours of its roles."""

    theme: Theme
    roles: dict[str, str] = field(default_factory=dict)


def packaged_dir() -> Path:
    """Where the shipped themes are: inside the package when it was installed, beside it in a checkout."""
    package = Path(plasmatui.__file__).parent
    inside = package / "themes"
    return inside if inside.is_dir() else package.parent / "themes"


def user_dir() -> Path:
    return config_dir() / "themes"


def few_colours() -> bool:
    """Whether the terminal has sixteen colours at most, as `TERM` and `COLORTERM` tell."""
    console = Console(color_system=constants.COLOR_SYSTEM)  # type: ignore[arg-type]
    return console.color_system == "standard"


def wanted(theme: str) -> str:
    """The name of the theme to use where `theme` was asked for, "" for the usual one."""
    if os.environ.get("NO_COLOR"):
        return SIXTEEN
    return theme or (SIXTEEN if few_colours() else DEFAULT)


def load_themes() -> tuple[dict[str, ThemeFile], list[str]]:
    """All themes by name, the user's over the shipped ones, and what is wrong with which file."""
    found: dict[str, ThemeFile] = {}
    problems: list[str] = []
    for directory in (packaged_dir(), user_dir()):
        for path in sorted(directory.glob("*.yaml")):
            try:
                loaded = read_theme(path)
            except ThemeError as error:
                problems.append(str(error))
            else:
                found[loaded.theme.name] = loaded
    return found, problems


def read_theme(path: Path) -> ThemeFile:
    """Read one file.

    Raises:
        ThemeError: it cannot be read, is not YAML, or says something that is no theme.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ThemeError(f"{path}: longer than {_LONGEST} characters")
        data = read_plain(text.removeprefix("\ufeff"))
    except PlainError as error:
        raise ThemeError(f"{path}:{error.line}:{error.column}: not YAML that can be read: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ThemeError(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise ThemeError(f"{path}: expected a mapping with name, colors and roles")
    return _theme(path, data)


def _theme(path: Path, data: dict[Any, Any]) -> ThemeFile:
    unknown = sorted(str(key) for key in set(data) - _KEYS)
    if unknown:
        raise ThemeError(f"{path}: unknown keys: {', '.join(map(shown, unknown[:5]))}")
    name = data.get("name", path.stem)
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
        raise ThemeError(f"{path}: name: letters, digits, - and _ are expected")
    for flag in ("dark", "ansi"):
        if not isinstance(data.get(flag, False), bool):
            raise ThemeError(f"{path}: {flag}: true or false is expected")
    colours = _colours(path, "colors", data.get("colors"), _COLOURS)
    if "primary" not in colours:
        raise ThemeError(f"{path}: colors.primary is missing")
    roles = _colours(path, "roles", data.get("roles", {}), ROLES)
    ansi = bool(data.get("ansi", False))
    filled = _fill(roles, colours, ansi)
    variables: dict[str, str] = {}
    if ansi:  # what Textual's own styles expect of such a theme
        variables |= BUILTIN_THEMES["ansi-dark" if data.get("dark", True) else "ansi-light"].variables
    variables |= {f"role-{role}": colour for role, colour in filled.items()}
    variables |= {"cursor-foreground": "ansi_default" if ansi else colours.get("foreground", "#d0d0d0")}
    theme = Theme(
        name=name,
        primary=colours["primary"],
        secondary=colours.get("secondary"),
        accent=colours.get("accent"),
        success=colours.get("success"),
        warning=colours.get("warning"),
        error=colours.get("error"),
        foreground=colours.get("foreground"),
        background=colours.get("background"),
        surface=colours.get("surface"),
        panel=colours.get("panel"),
        boost=colours.get("boost"),
        dark=bool(data.get("dark", True)),
        ansi=ansi,
        variables=variables,
    )
    return ThemeFile(theme, filled)


def _fill(roles: dict[str, str], colours: dict[str, str], ansi: bool) -> dict[str, str]:
    primary = colours["primary"]
    grey = "ansi_default" if ansi else "#808080"
    defaults = {
        "ok": colours.get("success", primary),
        "down": grey,
        "unknown": colours.get("secondary", primary),
        "busy": primary,
        "warning": colours.get("warning", primary),
        "error": colours.get("error", primary),
        "muted": grey,
        "mark": colours.get("accent", primary),
        "write": colours.get("accent", primary),
        "cursor": colours.get("panel", primary),
    }
    return defaults | roles


def _colours(path: Path, key: str, value: object, names: tuple[str, ...]) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ThemeError(f"{path}: {key}: expected colours by name: {', '.join(names)}")
    for name, colour in value.items():
        if name not in names:
            raise ThemeError(f"{path}: {key}.{shown(name)}: unknown; expected one of {', '.join(names)}")
        try:
            Color.parse(colour if isinstance(colour, str) else "")
        except (ColorParseError, ValueError, OverflowError) as error:
            raise ThemeError(
                f'{path}: {key}.{name}: {shown(repr(colour))} is no colour; write "#rrggbb" or a name'
            ) from error
    return dict(value)
