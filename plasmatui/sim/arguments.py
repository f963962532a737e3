"""Options of commands, GNU style: `--name=value`, `--name value`, `-n value`, `-nvalue`, `-abc`, `--`."""

from __future__ import annotations

from collections.abc import Collection, Sequence


class UsageError(ValueError):
    """An option that is unknown or lacks its value."""


class Options:
    """What was given: `"x" in options`, `options["x"]` (the last one), `options.each("x")`; `rest` are the operands.

    Args:
        values: names of options that take a value, without dashes.
        flags: names of those that take none; None: any.
        aliases: short for long names.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        values: Collection[str] = (),
        flags: Collection[str] | None = None,
        aliases: dict[str, str] | None = None,
    ) -> None:
        self.rest: list[str] = []
        self._given: dict[str, list[str]] = {}
        self._values, self._flags, self._aliases = set(values), flags, aliases or {}
        todo = list(arguments)
        while todo:
            word = todo.pop(0)
            if word == "--":
                self.rest += todo
                break
            if word.startswith("--"):
                name, equals, value = word[2:].partition("=")
                self._take(name, value if equals else None, todo)
            elif word.startswith("-") and len(word) > 1:
                self._cluster(word[1:], todo)
            else:
                self.rest.append(word)

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def __getitem__(self, name: str) -> str:
        return self._given[name][-1]

    def get(self, name: str, default: str = "") -> str:
        return self._given[name][-1] if name in self._given else default

    def each(self, name: str) -> list[str]:
        return self._given.get(name, [])

    def _cluster(self, letters: str, todo: list[str]) -> None:
        if self._aliases.get(letters, letters) in self._values and len(letters) > 1:  # -maxdepth 1
            self._take(letters, None, todo)
            return
        while letters:
            name, letters = letters[0], letters[1:]
            takes = self._aliases.get(name, name) in self._values
            self._take(name, letters if takes and letters else None, todo)
            if takes:
                return

    def _take(self, name: str, value: str | None, todo: list[str]) -> None:
        name = self._aliases.get(name, name)
        if name in self._values:
            if value is None:
                if not todo:
                    raise UsageError(f"option requires an argument -- '{name}'")
                value = todo.pop(0)
        elif self._flags is not None and name not in self._flags:
            raise UsageError(f"unrecognized option '{'-' if len(name) == 1 else '--'}{name}'")
        self._given.setdefault(name, []).append(value or "")
