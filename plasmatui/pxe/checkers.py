"""The servers' own syntax checkers, where they are installed, on rendered files.

A checker must not need what only the PXE server has: interfaces are not looked for, nginx listens on a socket file.
What the checkers do not notice is `lint`'s.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from plasmatui.pxe.dnsmasq import HOSTS
from plasmatui.pxe.output import File
from plasmatui.text import clean_text

LIMIT = 60.0
"""Seconds for one checker."""

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where the servers are, which a user's PATH may lack."""


@dataclass(frozen=True)
class Checked:
    """What a checker says of a file. `ok` is None when it could not be asked; `message` says why, or what is wrong."""

    program: str
    file: str
    ok: bool | None
    message: str = ""


@dataclass(frozen=True)
class _Checker:
    """`argv` is given the program's path, a private directory, and the file's path there, whose text `adapt` made."""

    program: str
    pattern: re.Pattern[str]
    argv: Callable[[str, Path, Path], list[str]]
    adapt: Callable[[str, Path], str] = lambda text, directory: text


def _kea(text: str, directory: Path) -> str:
    return re.sub(r'"interfaces": \[[^]]*\]', '"interfaces": []', text)


def _dnsmasq(text: str, directory: Path) -> str:
    return text.replace(f"={HOSTS}\n", f"={directory / HOSTS.lstrip('/').rpartition('/')[2]}\n")


def _nginx(text: str, directory: Path) -> str:
    body = re.sub(r"(?m)^(\s*)listen .*;$", rf"\1listen unix:{directory}/socket;", text)
    temporary = "".join(
        f"{kind}_temp_path {directory};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"pid {directory}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{body}}}\n"


def _zone(program: str, directory: Path, file: Path) -> list[str]:
    return [program, file.name.removeprefix("db."), str(file)]


_CHECKERS = (
    _Checker("kea-dhcp4", re.compile(r"kea-dhcp4\.conf$"), lambda p, d, f: [p, "-t", str(f)], _kea),
    _Checker("dhcpd", re.compile(r"dhcpd\.conf$"), lambda p, d, f: [p, "-t", "-cf", str(f)]),
    _Checker("dnsmasq", re.compile(r"dnsmasq\.d/pxe\.conf$"), lambda p, d, f: [p, "--test", "-C", str(f)], _dnsmasq),
    _Checker("nginx", re.compile(r"nginx/.*/pxe$"), lambda p, d, f: [p, "-t", "-p", str(d), "-c", str(f)], _nginx),
    _Checker("nft", re.compile(r"\.nft$"), lambda p, d, f: [p, "-c", "-f", str(f)]),
    _Checker("iptables-restore", re.compile(r"rules\.v4$"), lambda p, d, f: [p, "--test", str(f)]),
    _Checker("named-checkzone", re.compile(r"/db\.[^/]+$"), _zone),
    _Checker("squid", re.compile(r"squid\.conf$"), lambda p, d, f: [p, "-k", "parse", "-f", str(f)]),
)


def check(files: Iterable[File]) -> tuple[Checked, ...]:
    """Ask the checkers; those that are not installed are named too."""
    files = list(files)
    with tempfile.TemporaryDirectory(prefix="plasmatui-check-") as name:
        directory = Path(name)
        for file in files:
            if f"/{file.path}" == HOSTS:
                (directory / file.path.rpartition("/")[2]).write_text(file.text, encoding="utf-8")
        found = [
            _ask(checker, file, directory)
            for checker in _CHECKERS
            for file in files
            if checker.pattern.search(file.path)
        ]
        return (*found, *_nix([file for file in files if file.path.endswith(".nix")], directory))


def _nix(files: list[File], directory: Path) -> tuple[Checked, ...]:
    """All Nix files at once: a rack has hundreds."""
    if not files:
        return ()
    for file in files:
        path = directory / file.relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
    paths = [str(directory / file.relative) for file in files]
    what = files[0].relative if len(files) == 1 else f"{len(files)} Nix files"
    return (
        _run("nix-instantiate", what, lambda program: [program, "--store", "dummy://", "--parse", *paths], directory),
    )


def _ask(checker: _Checker, file: File, directory: Path) -> Checked:
    path = directory / file.path.rpartition("/")[2]
    path.write_text(checker.adapt(file.text, directory), encoding="utf-8")
    return _run(checker.program, file.relative, lambda program: checker.argv(program, directory, path), directory)


def _run(name: str, what: str, argv: Callable[[str], list[str]], directory: Path) -> Checked:
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if program is None:
        return Checked(name, what, None, "not installed here")
    environment = {**os.environ, "LC_ALL": "C", "KEA_LOCKFILE_DIR": "none", "KEA_PIDFILE_DIR": str(directory)}
    try:
        done = subprocess.run(
            argv(program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            env=environment,
            cwd=directory,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Checked(name, what, None, f"no answer within {LIMIT:.0f} s")
    except OSError as error:
        return Checked(name, what, None, f"cannot be started: {error.strerror}")
    said = clean_text(done.stdout.decode("utf-8", "replace").strip(), lines=40).replace(f"{directory}/", "")
    if done.returncode and re.search(r"Operation not permitted|must be root|Permission denied", said):
        return Checked(name, what, None, "it wants to run as root")
    return Checked(name, what, not done.returncode, said if done.returncode else "")
