"""Rendered files in a directory: written so that no file is ever half there.

A manifest in the directory names what was rendered into it. Only what it names is ever overwritten or removed.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from plasmatui.pxe.output import File

MANIFEST = ".plasmatui-render.json"


class WriteError(Exception):
    """The files cannot be written; nothing was changed. The message says why and what to do."""


@dataclass(frozen=True)
class Written:
    """What a writing changed, as paths below the directory."""

    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def write(files: Collection[File], directory: Path, only: Collection[str] = ()) -> Written:
    """Put files into a directory, and take away what was rendered into it before and is no longer.

    All files are written beside their places first; only then are they moved there, each in one step.

    Args:
        only: outputs that were rendered; files of other outputs stay as they are.

    Raises:
        WriteError: a file that is not ours is in the way, a path leads out of the directory, or the disk is full.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        before = _manifest(directory)
        wanted = {file.relative: file for file in files}
        kept = {path: name for path, name in before.items() if only and name not in only and path not in wanted}
        stale = [path for path in before if path not in wanted and path not in kept]
        changed = [path for path, file in wanted.items() if _text(directory / path) != file.text]
        for path in changed:
            _refuse_foreign(directory, path, path in before)
        staged = _stage(directory, {path: wanted[path].text for path in changed})
        names = {path: file.name for path, file in wanted.items()}
        _save_manifest(directory, {**before, **names})  # so that an interrupted run still knows what is ours
        for temporary, target in staged:
            os.replace(temporary, target)
        removed = [path for path in stale if _remove(directory, path)]
        _save_manifest(directory, {**kept, **names})
    except OSError as error:
        raise WriteError(f"{error.filename or directory}: {error.strerror or error}") from error
    same = tuple(path for path in wanted if path not in changed)
    return Written(tuple(changed), same, tuple(removed))


def _manifest(directory: Path) -> dict[str, str]:
    """Paths rendered before, each with its output's name."""
    try:
        found = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in found.items()):
        raise WriteError(f"{directory / MANIFEST} is damaged; remove it together with the files beside it")
    return {path: name for path, name in found.items() if ".." not in Path(path).parts and not path.startswith("/")}


def _save_manifest(directory: Path, names: dict[str, str]) -> None:
    text = json.dumps({"version": 1, "files": dict(sorted(names.items()))}, indent=1) + "\n"
    if _text(directory / MANIFEST) != text:
        ((temporary, target),) = _stage(directory, {MANIFEST: text})
        os.replace(temporary, target)


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _refuse_foreign(directory: Path, path: str, ours: bool) -> None:
    target = directory / path
    if not target.parent.resolve().is_relative_to(directory.resolve()):
        raise WriteError(f"{target} leads out of {directory} through a symbolic link; remove the link")
    if os.path.lexists(target) and not ours:
        raise WriteError(f"{target} is there already and was not rendered; move it away, or name another directory")


def _stage(directory: Path, texts: dict[str, str]) -> list[tuple[Path, Path]]:
    """Write texts beside their places; on failure nothing of them stays."""
    staged: list[tuple[Path, Path]] = []
    try:
        for path, text in texts.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            staged.append((temporary, target))
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fchmod(descriptor, 0o644)  # daemons of other users read them
                os.fsync(descriptor)
    except BaseException:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
        raise
    return staged


def _remove(directory: Path, path: str) -> bool:
    """Remove a file and the directories that it leaves empty. False when it is not there any more."""
    target = directory / path
    if not target.parent.resolve().is_relative_to(directory.resolve()):
        return False
    try:
        target.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    parent = target.parent
    while parent != directory and not any(parent.iterdir()):
        parent.rmdir()
        parent = parent.parent
    return True
