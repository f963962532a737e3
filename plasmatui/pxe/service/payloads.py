"""Configurations that a booted machine asks for: templates of a matchbox directory, filled in and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from plasmatui.inventory.tree import parse
from plasmatui.pxe.service.answers import JSON, Answer
from plasmatui.pxe.service.documents import WrongDocumentError, go_text
from plasmatui.pxe.service.gofunctions import TemplateError
from plasmatui.pxe.service.gotemplate import GoTemplate

_RAW: Final = (".ign", ".ignition")
_VARIANT: Final = re.compile(r"^variant\s*:", re.MULTILINE)


class PayloadError(Exception):
    """A configuration that cannot be served for a machine; the message says why."""


class Template:
    """A file of `ignition/`, `cloud/` or `generic/`. A raw Ignition file is served as it stands."""

    def __init__(self, folder: str, name: str, text: str) -> None:
        """Raises WrongDocumentError: it is no template, or no Ignition configuration."""
        self.folder = folder
        self.text = text
        self.raw = folder == "ignition" and name.endswith(_RAW)
        if self.raw:
            _check_json(text)
        else:
            self._template = GoTemplate(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and (other.folder, other.raw, other.text) == (
            self.folder,
            self.raw,
            self.text,
        )

    __hash__ = None  # type: ignore[assignment]

    def fill(self, variables: Mapping[str, Any]) -> str:
        """The text for a machine. Raises TemplateError."""
        return self.text if self.raw else self._template.fill(variables)


def render(template: Template, variables: Mapping[str, Any]) -> Answer:
    """What a machine gets.

    Raises:
        PayloadError: a variable is missing, or what comes out is not what the endpoint promises.
    """
    try:
        text = template.fill(variables)
    except TemplateError as error:
        raise PayloadError(str(error)) from None
    if template.folder == "ignition":
        return _ignition(text)
    if template.folder == "cloud":
        _check_cloud(text)
    return Answer(text.encode())


def _ignition(text: str) -> Answer:
    """Ignition as it is, or Butane, which is YAML that names its variant."""
    try:
        _check_json(text)
    except WrongDocumentError as error:
        if _VARIANT.search(text):
            return Answer(text.encode(), butane=True)
        raise PayloadError(f"is neither Ignition ({error.message}) nor Butane (no variant)") from None
    return Answer(text.encode(), JSON)


def environment(variables: Mapping[str, Any]) -> str:
    """`KEY=value` lines, sorted: nested keys joined by `_`, in capitals; lists and nulls have no such form."""
    return "".join(f"{line}\n" for line in sorted(_lines("", variables)))


def _lines(prefix: str, variables: Mapping[str, Any]) -> Iterator[str]:
    for key, value in variables.items():
        if isinstance(value, Mapping):
            yield from _lines(f"{prefix}{key}_", value)
        elif isinstance(value, str | bool | int | float):
            yield f"{(prefix + key).upper()}={go_text(value)}"


def _check_json(text: str) -> None:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise WrongDocumentError(error.lineno, f"no JSON: {error.msg} (column {error.colno})") from None
    except (ValueError, RecursionError) as error:
        raise WrongDocumentError(0, f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise WrongDocumentError(1, "expected an object")


def _check_cloud(text: str) -> None:
    """What cloud-init and coreos-cloudinit take: a script, or YAML under its header."""
    first = text.partition("\n")[0].rstrip()
    if first.startswith("#!"):
        return
    if first != "#cloud-config":
        raise PayloadError("begins with neither #cloud-config nor #!")
    for problem in parse(text).problems:
        raise PayloadError(f"line {problem.line}: no YAML: {problem.message}")
