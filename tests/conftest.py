"""What all tests share: private directories instead of the user's, and a rule for programs that may be missing."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REQUIRE_LAB = os.environ.get("PLASMATUI_REQUIRE_LAB") == "1"


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell gives jobs in the background an ignored ctrl-c, which the programs under test would inherit.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers",
        "needs(*names): third-party programs on PATH, or absolute paths of files; without them the test is skipped "
        "by name, or runs and fails when PLASMATUI_REQUIRE_LAB=1",
    )


def _is_there(name: str) -> bool:
    return Path(name).exists() if name.startswith("/") else shutil.which(name) is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        missing = [name for marker in item.iter_markers("needs") for name in marker.args if not _is_there(name)]
        if missing and not REQUIRE_LAB:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)}"))


@pytest.fixture(autouse=True)
def private_directories(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test reads or writes the developer's own settings, journals or sockets."""
    # Short on purpose: a Unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pt-") as name:
        base = Path(name)
        for variable, part in (
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "run"),
        ):
            directory = base / part
            directory.mkdir(mode=0o700)
            monkeypatch.setenv(variable, str(directory))
        for variable in ("PLASMATUI_INVENTORY", "NOTIFY_SOCKET", "TMUX", "SSH_CONNECTION", "NO_COLOR"):
            monkeypatch.delenv(variable, raising=False)
        yield base


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Long values are named after their parameter: keys and hostile bytes make no names, and differ at each start."""
    return argname if isinstance(val, str | bytes) and len(val) > 40 else None
