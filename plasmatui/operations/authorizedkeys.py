"""The authorized keys of the user that nodes are logged in to as, over connections with one key and no other."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.site import Site

if TYPE_CHECKING:
    from plasmatui.remote.host import Host

LIMIT: Final = 30.0

_PLACE: Final = 'printf "%s" "$HOME/.ssh/authorized_keys"'


@contextlib.asynccontextmanager
async def login(site: Site, node: str, key: str) -> AsyncIterator[Host]:
    """A fresh connection to a node with one private key, shown to work. Raises CommandError."""
    host = site.hosts().by_key(node, key)
    try:
        await host.run(("true",), limit=LIMIT, sudo=False, check=True)
        yield host
    finally:
        await host.shut("the key was tried")


async def tried(site: Site, node: str, key: str) -> bool:
    """Whether a node lets a key in.

    Raises:
        CommandError: it cannot be asked.
    """
    from plasmatui.remote.failures import ConnectError, Why

    try:
        async with login(site, node, key):
            return True
    except ConnectError as error:
        if error.why is Why.DENIED:
            return False
        raise


async def read_keys(host: Host) -> tuple[str, str]:
    """Where the file is and what it holds, nothing where there is none. Changes nothing.

    Raises:
        NodeFailedError: "ssh-refused": it is a link, which something else keeps.
        CommandError: as `Host.run`.
    """
    place = await host.run(("sh", "-c", _PLACE), limit=LIMIT, sudo=False, check=True)
    path = place.out.decode(errors="replace").strip()
    if not path.startswith("/"):
        raise NodeFailedError("ssh-refused", f"{host.node}: the user that logs in has no home directory")
    if (await host.run(("test", "-L", path), limit=LIMIT, sudo=False)).status == 0:
        raise NodeFailedError(
            "ssh-refused", f"{host.node}: {path} is a link: its keys are kept elsewhere; change them there"
        )
    if (await host.run(("test", "-e", path), limit=LIMIT, sudo=False)).status != 0:
        return path, ""
    return path, (await host.get(path, limit=LIMIT, sudo=False)).decode(errors="surrogateescape")


async def write_keys(host: Host, path: str, text: str) -> None:
    """Replace the file in one step. Raises CommandError."""
    directory = path.rpartition("/")[0]
    if (await host.run(("test", "-d", directory), limit=LIMIT, sudo=False)).status != 0:
        await host.run(("mkdir", "-m", "0700", "--", directory), limit=LIMIT, sudo=False, check=True)
    await host.put(text.encode(errors="surrogateescape"), path, mode=0o600, limit=LIMIT, sudo=False)
