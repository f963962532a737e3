"""Commands of a simulated host that look at files and change them."""

from __future__ import annotations

import fnmatch
import hashlib
import operator
import posixpath
import re
import stat
import time
from collections.abc import Callable

from plasmatui.sim.arguments import Options, UsageError
from plasmatui.sim.filetree import File, FileTree
from plasmatui.sim.nodeshell import Call, Command

_OWNER = re.compile(r"(\w*)(?::(\w*))?")
_IDS = {"root": 0, "wheel": 1, "nixbld": 30000, "nixos": 1000, "admin": 1000, "users": 100, "": 0}


def _mode(text: str, old: int = 0) -> int:
    """Permission bits of `600`, `u+x`, `go-rwx`, `a=r`."""
    if text.isdigit():
        return int(text, 8)
    for part in text.split(","):
        found = re.fullmatch(r"([ugoa]*)([+=-])([rwxX]*)", part)
        if found is None:
            raise UsageError(f"invalid mode: '{text}'")
        bits = sum({"r": 4, "w": 2, "x": 1, "X": 1}[letter] for letter in set(found[3]))
        mask = sum(bits << shift for who, shift in (("u", 6), ("g", 3), ("o", 0)) if not found[1] or who in found[1]
                   or "a" in found[1])  # fmt: skip
        whole = sum(7 << shift for who, shift in (("u", 6), ("g", 3), ("o", 0)) if not found[1] or who in found[1]
                    or "a" in found[1])  # fmt: skip
        old = old | mask if found[2] == "+" else old & ~mask if found[2] == "-" else old & ~whole | mask
    return old & 0o7777


def _owner(text: str) -> tuple[int, int]:
    found = _OWNER.fullmatch(text)
    if found is None:
        raise UsageError(f"invalid user: '{text}'")

    def number(name: str | None) -> int:
        return int(name) if name and name.isdigit() else _IDS.get(name or "", 0)

    return number(found[1]), number(found[2])


async def _cat(call: Call) -> int:
    code = 0
    for path in Options(call.arguments).rest or ["-"]:
        try:
            call.write(await call.input() if path == "-" else call.files.read(path))
        except OSError as error:
            code = call.fail(f"cat: {path}: {error.strerror}")
    return code


async def _head_or_tail(call: Call) -> int:
    options = Options(call.arguments, ("n", "c", "lines"), aliases={"lines": "n"})
    data = call.files.read(options.rest[0]) if options.rest else await call.input()
    first = call.argv[0].endswith("head")
    count = int(options.get("n", "10"))
    lines = data.splitlines(keepends=True)
    call.write(b"".join(lines[:count] if first else lines[-count:] if count else []))
    return 0


async def _grep(call: Call) -> int:
    options = Options(call.arguments, ("e",))
    words = ([options["e"]] if "e" in options else []) + options.rest
    data = call.files.read(words[1]) if len(words) > 1 else await call.input()
    expression = re.compile(re.escape(words[0]) if "F" in options else words[0], re.IGNORECASE if "i" in options else 0)
    found = [line for line in data.decode(errors="replace").splitlines()
             if bool(expression.search(line)) is not ("v" in options)]  # fmt: skip
    if "c" in options:
        call.say(str(len(found)))
    elif "q" not in options:
        call.say(*found)
    return 0 if found else 1


async def _wc(call: Call) -> int:
    data = await call.input()
    call.say(str(len(data) if "-c" in call.arguments else data.count(b"\n")))
    return 0


async def _echo(call: Call) -> int:
    arguments = call.arguments
    newline = arguments[:1] != ["-n"]
    call.write(" ".join(arguments if newline else arguments[1:]).encode() + (b"\n" if newline else b""))
    return 0


async def _printf(call: Call) -> int:
    form = call.arguments[0].replace("\\n", "\n").replace("\\t", "\t") if call.arguments else ""
    values = call.arguments[1:]
    for value in values or [""]:
        call.write(re.sub(r"%s", lambda _: value, form).encode())  # noqa: B023 - used at once
    return 0


def _listed(name: str, file: File, target: str = "") -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(file.modified))
    shown = f"{name} -> {target}" if file.is_link else name
    return f"{stat.filemode(file.mode)} 1 {file.uid} {file.gid} {len(file.data)} {at}.000000000 +0000 {shown}"


async def _ls(call: Call) -> int:
    options = Options(call.arguments)
    code = 0
    for path in options.rest or [call.environ.get("HOME", "/root")]:
        files = call.files
        try:
            file = files.stat(path, follow="l" not in options and "d" not in options)
            whole = file.is_directory and "d" not in options
            names = files.names(path) if whole else [path]
        except OSError as error:
            code = call.fail(f"ls: cannot access '{path}': {error.strerror}", 2)
            continue
        for name in names:
            if name.startswith(".") and "a" not in options and "A" not in options and whole:
                continue
            entry = files.stat(posixpath.join(path, name) if whole else name, follow=False)
            call.say(_listed(name, entry, entry.data.decode()) if "l" in options else name)
    return code


async def _stat(call: Call) -> int:
    options = Options(call.arguments, ("c", "format"), aliases={"format": "c"})
    code = 0
    for path in options.rest:
        try:
            file = call.files.stat(path, follow="L" in options)
        except OSError as error:
            code = call.fail(f"stat: cannot statx '{path}': {error.strerror}")
            continue
        mode = file.mode & 0o7777
        kind = "directory" if file.is_directory else "symbolic link" if file.is_link else "regular file"
        values = {
            "%a": f"{mode:o}", "%A": stat.filemode(file.mode), "%s": str(len(file.data)), "%u": str(file.uid),
            "%g": str(file.gid), "%U": "root" if file.uid == 0 else str(file.uid),
            "%G": "root" if file.gid == 0 else str(file.gid), "%n": path, "%F": kind, "%Y": str(int(file.modified)),
            "%f": f"{file.mode:x}",
        }  # fmt: skip
        form = options.get("c", "  File: %n\n  Size: %s\t%F\nAccess: (%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)")
        call.say(re.sub(r"%[a-zA-Z]", lambda found: values.get(found[0], found[0]), form))  # noqa: B023 - used at once
    return code


async def _test(call: Call) -> int:
    words = call.arguments[:-1] if call.argv[0] == "[" else call.arguments
    negated = bool(words) and words[0] == "!"
    words = words[1:] if negated else words
    return int(_holds(call.files, words) is negated)


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "-eq": operator.eq, "-ne": operator.ne, "-lt": operator.lt, "-le": operator.le, "-gt": operator.gt,
    "-ge": operator.ge,
}  # fmt: skip


def _holds(files: FileTree, words: list[str]) -> bool:
    if len(words) == 3 and words[1] in ("=", "==", "!="):
        return (words[0] == words[2]) is not (words[1] == "!=")
    if len(words) == 3 and words[1] in _COMPARISONS:
        numbers = [int(word) if word.strip().lstrip("-").isdigit() else 0 for word in (words[0], words[2])]
        return _COMPARISONS[words[1]](*numbers)
    if len(words) == 2 and words[0] in ("-z", "-n"):
        return bool(words[1]) is (words[0] == "-n")
    if len(words) == 2:
        file = files.find(words[1], follow=words[0] not in ("-L", "-h"))
        if file is None:
            return False
        return {
            "-d": file.is_directory, "-f": stat.S_ISREG(file.mode), "-L": file.is_link, "-h": file.is_link,
            "-b": stat.S_ISBLK(file.mode), "-s": bool(file.data), "-x": bool(file.mode & 0o111),
        }.get(words[0], True)  # fmt: skip
    return bool(words and words[0])


async def _mkdir(call: Call) -> int:
    options = Options(call.arguments, ("m", "mode"), aliases={"mode": "m", "parents": "p"})
    for path in options.rest:
        call.files.mkdir(path, _mode(options.get("m", "755")), parents="p" in options)
        if "m" in options:
            call.files.chmod(path, _mode(options["m"]))
    return 0


async def _rm(call: Call) -> int:
    options = Options(call.arguments, aliases={"R": "r", "recursive": "r", "force": "f"})
    code = 0
    for path in options.rest:
        try:
            file = call.files.stat(path, follow=False)
            if file.is_directory and "r" not in options:
                code = call.fail(f"rm: cannot remove '{path}': Is a directory")
            else:
                call.files.remove(path, recursive="r" in options)
        except FileNotFoundError as error:
            if "f" not in options:
                code = call.fail(f"rm: cannot remove '{path}': {error.strerror}")
    return code


async def _rmdir(call: Call) -> int:
    for path in Options(call.arguments).rest:
        call.files.remove(path)
    return 0


def _target(files: FileTree, source: str, target: str) -> str:
    found = files.find(target)
    inside = found is not None and found.is_directory
    return posixpath.join(target, posixpath.basename(source)) if inside else target


async def _cp(call: Call) -> int:
    *sources, target = Options(call.arguments).rest
    for source in sources:
        file = call.files.stat(source)
        call.files.write(_target(call.files, source, target), call.files.read(source), file.mode & 0o7777)
    return 0


async def _mv(call: Call) -> int:
    options = Options(call.arguments)
    *sources, target = options.rest
    for source in sources:
        if "T" in options and call.files.find(target) is not None:
            return call.fail(f"mv: cannot overwrite '{target}': Directory not empty")
        call.files.rename(source, target if "T" in options else _target(call.files, source, target))
    return 0


async def _ln(call: Call) -> int:
    options = Options(call.arguments)
    source, target = options.rest
    if "s" in options:
        call.files.link(target, source)
    else:
        call.files.join(target, source)
    return 0


async def _chmod(call: Call) -> int:
    options = Options(call.arguments)
    for path in options.rest[1:]:
        names = [name for name, _ in call.files.walk(path)] if "R" in options else [path]
        for name in names:
            call.files.chmod(name, _mode(options.rest[0], call.files.stat(name).mode))
    return 0


async def _chown(call: Call) -> int:
    options = Options(call.arguments)
    uid, gid = _owner(options.rest[0])
    for path in options.rest[1:]:
        for name in [name for name, _ in call.files.walk(path)] if "R" in options else [path]:
            call.files.chown(name, uid, gid)
    return 0


async def _install(call: Call) -> int:
    """`install [-D] [-m MODE] [-o OWNER] [-g GROUP] SOURCE TARGET`, `install -d DIRECTORY...`."""
    options = Options(call.arguments, ("m", "o", "g", "mode", "owner", "group"),
                      aliases={"mode": "m", "owner": "o", "group": "g"})  # fmt: skip
    mode = _mode(options.get("m", "755"))
    if "d" in options:
        for path in options.rest:
            call.files.mkdir(path, mode, parents=True)
            call.files.chmod(path, mode)
        return 0
    source, target = options.rest
    data = await call.input() if source in ("-", "/dev/stdin") else call.files.read(source)
    target = _target(call.files, source, target)
    if "D" in options:
        call.files.mkdir(posixpath.dirname(target), parents=True)
    call.files.write(target, data, mode, uid=_owner(options.get("o"))[0], gid=_owner(options.get("g"))[0])
    return 0


async def _tee(call: Call) -> int:
    options = Options(call.arguments)
    data = await call.input()
    for path in options.rest:
        old = call.files.read(path) if "a" in options and call.files.find(path) is not None else b""
        call.files.write(path, old + data)
    call.write(data)
    return 0


async def _touch(call: Call) -> int:
    for path in Options(call.arguments).rest:
        call.files.write(path, call.files.read(path) if call.files.find(path) is not None else b"")
    return 0


async def _mktemp(call: Call) -> int:
    path = f"/tmp/tmp.{hashlib.sha256(f'{call.host.boot_id}{call.host.uptime()}'.encode()).hexdigest()[:10]}"  # noqa: S108
    if "-d" in call.arguments:
        call.files.mkdir(path, 0o700)
    else:
        call.files.write(path, b"", 0o600)
    call.say(path)
    return 0


async def _sha256sum(call: Call) -> int:
    options = Options(call.arguments, aliases={"check": "c"})
    if "c" in options:
        return await _check_sums(call)
    code = 0
    for path in options.rest or ["-"]:
        try:
            data = await call.input() if path == "-" else call.files.read(path)
            call.say(f"{hashlib.sha256(data).hexdigest()}  {path}")
        except OSError as error:
            code = call.fail(f"sha256sum: {path}: {error.strerror}")
    return code


async def _check_sums(call: Call) -> int:
    """`sha256sum --check --quiet -`: names what is not as listed."""
    failed = 0
    for line in (await call.input()).decode().splitlines():
        digest, _, path = line.partition("  ")
        file = call.files.find(path)
        if file is None or hashlib.sha256(file.data).hexdigest() != digest:
            failed += 1
            call.say(f"{path}: FAILED" + (" open or read" if file is None else ""))
    return call.fail(f"sha256sum: WARNING: {failed} computed checksum did NOT match") if failed else 0


async def _readlink(call: Call) -> int:
    """`readlink` and `realpath`: the latter follows, and with `-m` also through what is not there."""
    options = Options(call.arguments, aliases={
        "canonicalize": "f", "canonicalize-missing": "m", "canonicalize-existing": "e", "no-newline": "n"})  # fmt: skip
    follows = call.argv[0].endswith("realpath") or any(letter in options for letter in "fem")
    code = 0
    for path in options.rest:
        found = call.files.find(path, follow=follows)
        if follows and (found is not None or "m" in options or ("e" not in options and _has_parent(call.files, path))):
            call.say(call.files.resolve(path))
        elif not follows and found is not None and found.is_link:
            call.say(found.data.decode())
        else:
            name = call.argv[0].rpartition("/")[2]
            code = call.fail(f"realpath: {path}: No such file or directory") if name == "realpath" else 1
    return code


def _has_parent(files: FileTree, path: str) -> bool:
    return files.find(posixpath.dirname(files.resolve(path))) is not None


async def _find(call: Call) -> int:
    """`find PATH... [-maxdepth N] [-name PATTERN] [-type X] [-printf FORMAT]`."""
    places = []
    tests = list(call.arguments)
    while tests and not tests[0].startswith("-"):
        places.append(tests.pop(0))
    values = dict(zip(tests[::2], tests[1::2], strict=False))
    form = values.get("-printf", "%p\\n").replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0")
    code = 0
    for place in places or ["."]:
        if call.files.find(place, follow=False) is None:
            code = call.fail(f"find: ‘{place}’: No such file or directory")
            continue
        depth = place.rstrip("/").count("/")
        for path, file in call.files.walk(place):
            kind = "l" if file.is_link else "d" if file.is_directory else "b" if stat.S_ISBLK(file.mode) else "f"
            name = posixpath.basename(path)
            if values.get("-type", kind) != kind or not fnmatch.fnmatch(name, values.get("-name", "*")):
                continue
            if path.count("/") - depth > int(values.get("-maxdepth", "99")):
                continue
            shown = {
                "%f": name, "%p": path, "%l": file.data.decode(errors="replace") if file.is_link else "", "%s":
                str(len(file.data)), "%m": f"{file.mode & 0o7777:o}", "%T@": f"{file.modified:.10f}", "%y": kind,
                "%U": str(file.uid), "%G": str(file.gid), "%P": posixpath.relpath(path, place) if path != place else "",
            }  # fmt: skip
            call.write(re.sub(r"%T@|%[a-zA-Z]", lambda found: shown.get(found[0], ""), form).encode())  # noqa: B023
    return code


async def _du(call: Call) -> int:
    """`du -s -B1 PATH`: the bytes of the files below it."""
    options = Options(call.arguments, ("B", "block-size"))
    code = 0
    for path in options.rest:
        if call.files.find(path) is None:
            code = call.fail(f"du: cannot access '{path}': No such file or directory")
            continue
        call.say(f"{sum(len(file.data) for _, file in call.files.walk(path))}\t{path}")
    return code


COMMANDS: dict[str, Command] = {
    "cat": _cat, "head": _head_or_tail, "tail": _head_or_tail, "grep": _grep, "wc": _wc, "echo": _echo,
    "printf": _printf, "ls": _ls, "stat": _stat, "test": _test, "[": _test, "mkdir": _mkdir, "rm": _rm,
    "rmdir": _rmdir, "cp": _cp, "mv": _mv, "ln": _ln, "chmod": _chmod, "chown": _chown, "install": _install,
    "tee": _tee, "touch": _touch, "mktemp": _mktemp, "sha256sum": _sha256sum, "readlink": _readlink,
    "realpath": _readlink, "find": _find, "du": _du,
}  # fmt: skip
