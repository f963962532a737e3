"""The stand-ins of nix and its kind, run in the test's own process against a rack that it holds."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

from plasmatui.sim.rack import Rack
from plasmatui.sim.tools.program import execute


class _Kept(io.TextIOWrapper):
    """A text stream that keeps what is written to it, and tells nobody that it is no terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    @property
    def data(self) -> bytes:
        self.flush()
        raw = self.buffer
        assert isinstance(raw, io.BytesIO)
        return raw.getvalue()


class Ran:
    """A program that ended, or runs."""

    def __init__(self) -> None:
        self.stdout, self.stderr, self.both = _Kept(), _Kept(), bytearray()
        self.code: int | None = None

    @property
    def out(self) -> bytes:
        return self.stdout.data

    @property
    def err(self) -> str:
        return self.stderr.data.decode()

    @property
    def text(self) -> bytes:
        """Both outputs, one after the other."""
        return self.stdout.data + self.stderr.data

    @property
    def marks(self) -> list[str]:
        return [line[4:-4] for line in self.out.decode().splitlines() if line.startswith("### ")]


@contextlib.contextmanager
def _outputs(ran: Ran) -> Iterator[None]:
    with contextlib.redirect_stdout(ran.stdout), contextlib.redirect_stderr(ran.stderr):
        yield


async def run(rack: Rack, *argv: str, into: Ran | None = None) -> Ran:
    """Run a program by its vector; the first word may be a path."""
    ran = into or Ran()
    with _outputs(ran):
        ran.code = await execute(rack.provisioning.tools.parent, Path(argv[0]).name, argv[1:])
    return ran


def site_arguments(rack: Rack, node: str) -> tuple[str, ...]:
    """Key and port for nixos-anywhere."""
    return ("-i", str(rack.provisioning.ssh_key), "-p", str(rack.nodes[node].sshd.port))


def host(rack: Rack, node: str) -> str:
    return f"root@{rack.nodes[node].sshd.address}"


def flake(rack: Rack, node: str = "") -> str:
    return f"{rack.provisioning.flake}#{node}" if node else str(rack.provisioning.flake)
