"""Where plasmatui keeps its files: XDG directories, one set per inventory and user.

The engine, its clients and the command line agree on these places without talking to each other: everything is
derived from the inventory's resolved path.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path


class UnsafeDirectoryError(Exception):
    """A directory that must be private belongs to somebody else or lets others in."""


def _xdg(variable: str, fallback: str) -> Path:
    value = os.environ.get(variable, "")
    base = Path(value) if os.path.isabs(value) else Path.home() / fallback
    return base / "plasmatui"


def config_dir() -> Path:
    """The user's settings: `keymap.yaml`, `themes/`."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def state_root() -> Path:
    """All that must outlive a reboot: journals, console recordings, crash files."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def runtime_root() -> Path:
    """Sockets and process files, gone after a reboot. Falls back to a private directory below the temporary one."""
    value = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(value) and os.path.isdir(value):
        return Path(value) / "plasmatui"
    return Path(tempfile.gettempdir()) / f"plasmatui-{os.getuid()}"


def shared_root() -> Path:
    """Sockets of engines that several Unix users share. An administrator makes it; the engine's user owns it, and its
    group is who may come near."""
    value = os.environ.get("PLASMATUI_SHARED", "")
    return Path(value) if os.path.isabs(value) else Path("/run/plasmatui")


def check_shared(directory: Path) -> int:
    """Make sure that nobody but this user can put a socket into `directory`; returns its group.

    Raises:
        UnsafeDirectoryError: it is missing, belongs to another user, is a link, or others may write to it.
    """
    try:
        info = os.lstat(directory)
    except OSError as error:
        raise UnsafeDirectoryError(f"{directory}: {error.strerror}; {_make_shared(directory)}") from None
    if stat.S_ISDIR(info.st_mode) and info.st_uid != os.getuid() and not info.st_mode & 0o022:
        raise UnsafeDirectoryError(
            f"{directory} belongs to user {info.st_uid}, who runs the shared engines; this is user {os.getuid()}: ask "
            "for the engine of this inventory to be started"
        )
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o022:
        raise UnsafeDirectoryError(
            f"{directory} must be a directory of user {os.getuid()} that nobody else may write to; it belongs to user "
            f"{info.st_uid} with mode {stat.S_IMODE(info.st_mode):04o}; {_make_shared(directory)}"
        )
    return info.st_gid


def _make_shared(directory: Path) -> str:
    return f"an administrator makes it: install -d -m 2750 -o ENGINE_USER -g GROUP {directory}"


def make_private(directory: Path) -> Path:
    """Create `directory` with mode 0700 and make sure that it is ours alone. Directories above it that are missing get
    that mode as well (XDG Base Directory Specification, "Referencing this specification").

    Raises:
        UnsafeDirectoryError: it exists and belongs to another user, is a link, or is open to others.
        OSError: it cannot be made (read-only or full file system).
    """
    missing = [parent for parent in directory.parents if not parent.exists()]
    for each in (*reversed(missing), directory):
        each.mkdir(mode=0o700, exist_ok=True)
    info = os.lstat(directory)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise UnsafeDirectoryError(
            f"{directory} must be a directory of user {os.getuid()} with mode 0700; "
            f"it belongs to user {info.st_uid} with mode {stat.S_IMODE(info.st_mode):04o}"
        )
    return directory


@dataclass(frozen=True)
class EnginePaths:
    """The places of one engine, that is of one inventory and one user."""

    inventory: Path
    key: str

    @property
    def socket(self) -> Path:
        """The Unix socket that clients talk to."""
        return runtime_root() / f"{self.key}.sock"

    @property
    def shared(self) -> Path:
        """The socket for other Unix users, there only while the inventory has `policy.access`."""
        return shared_root() / f"{self.key}.sock"

    @property
    def shared_lock(self) -> Path:
        """Held by the engine that listens on `shared`, so that users do not run two for one inventory."""
        return shared_root() / f"{self.key}.lock"

    @property
    def lock(self) -> Path:
        """Held by the running engine, so that there is one at most; contains its process id."""
        return runtime_root() / f"{self.key}.lock"

    @property
    def state(self) -> Path:
        """Directory of everything this engine keeps."""
        return state_root() / self.key

    @property
    def journal(self) -> Path:
        return self.state / "journal.db"

    @property
    def consoles(self) -> Path:
        """Console recordings, one directory per node."""
        return self.state / "consoles"

    @property
    def operations(self) -> Path:
        """What the steps of operations printed, one directory per operation."""
        return self.state / "operations"

    @property
    def jobs(self) -> Path:
        """Local programs that outlive the engine, one directory each."""
        return self.state / "jobs"

    @property
    def known_hosts(self) -> Path:
        """SSH host keys of the nodes that we installed."""
        return self.state / "known_hosts"

    @property
    def screen(self) -> Path:
        """Where this user left the screen."""
        return state_root() / "screens" / f"{self.key}.json"

    @property
    def log(self) -> Path:
        """The engine's own log."""
        return self.state / "engine.log"


def engine_paths(inventory: Path | str) -> EnginePaths:
    """The places that belong to the engine of `inventory` (need not exist yet)."""
    path = Path(os.path.expanduser(inventory)).resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in path.stem)[:24]
    return EnginePaths(path, f"{stem}-{digest}")


def boot_states(source: Path | str) -> Path:
    """Which machines of an inventory, or of a boot service's data directory, are installed (need not exist yet)."""
    return state_root() / "serve" / f"{engine_paths(source).key}.json"


def crash_dir() -> Path:
    """Redacted crash files, mode 0600."""
    return state_root() / "crash"
