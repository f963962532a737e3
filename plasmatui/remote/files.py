"""Files to and from a node through a program's input and output.

Any POSIX system has what this takes, also one without an SFTP server, and it works by sudo, which SFTP does not.
"""

from __future__ import annotations

from typing import Final

# The size tells a whole file from one that ends where the connection broke: `cat` cannot.
_PUT: Final = (
    'umask 077; trap \'rm -f -- "$1"\' EXIT; cat >"$1" && [ "$(wc -c <"$1")" -eq "$4" ] && chmod -- "$2" "$1" && '
    'mv -f -- "$1" "$3"'
)


def put_argv(path: str, mode: int, size: int, token: str) -> list[str]:
    """The program that writes its input of `size` bytes to `path`, in one step, by way of a private file beside it."""
    beside = f"{path}.{token}.part"
    return ["sh", "-c", _PUT, "sh", beside, f"{mode:04o}", path, str(size)]


def get_argv(path: str) -> list[str]:
    """The program that writes the file at `path` to its output."""
    return ["cat", "--", path]
