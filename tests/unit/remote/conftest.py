"""A node that is a server of asyncssh's, and one that is OpenSSH's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plasmatui.inventory.inventory import Ssh
from tests.unit.remote.opensshd import SSHD, OpenSshd
from tests.unit.remote.rig import Rig
from tests.unit.watch.sources.sshd import Sshd


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no agent of the developer's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
async def inprocess(tmp_path: Path) -> AsyncIterator[Rig]:
    server = Sshd(tmp_path)
    await server.start()
    rig = Rig(server, tmp_path, Ssh("root", str(tmp_path / "id")))
    yield rig
    await rig.hosts.close()
    await server.close()


@pytest.fixture
async def openssh(tmp_path: Path) -> AsyncIterator[Rig]:
    server = OpenSshd(tmp_path)
    await server.start()
    rig = Rig(server, tmp_path, Ssh(server.user, str(server.key_file)))
    yield rig
    await rig.hosts.close()
    await server.close()


@pytest.fixture(params=["inprocess", pytest.param("openssh", marks=pytest.mark.needs(SSHD))])
def rig(request: pytest.FixtureRequest) -> Rig:
    """A node whose host key is known, of either server."""
    found: Rig = request.getfixturevalue(request.param)
    found.know()
    return found
