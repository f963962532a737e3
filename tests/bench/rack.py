"""A simulated rack in a process of its own, so that its CPU time is not ours.

As a program: `python -m tests.bench.rack OPTIONS_AS_JSON` serves a rack until its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from plasmatui.bmc.controller import BmcTarget
from plasmatui.inventory.loader import load
from plasmatui.inventory.secrets import Secret
from plasmatui.sim.rack import Rack, RackOptions

ADDRESS = "127.61.0.1"


@dataclass(frozen=True)
class BenchRack:
    inventory: Path
    targets: list[BmcTarget]
    pid: int

    @property
    def hosts(self) -> str:
        """The addresses as FreeIPMI takes them."""
        return ",".join(f"{target.address}:{target.port}" for target in self.targets)


@contextlib.asynccontextmanager
async def rack_process(**options: object) -> AsyncIterator[BenchRack]:
    """Start a rack with `RackOptions` given as words."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.rack", json.dumps({"password": "password", **options})),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        path = Path((await process.stdout.readline()).decode().strip())
        inventory = load(path)
        secret = Secret(literal="password")
        targets = [
            BmcTarget(
                *(name, bmc.driver, bmc.address, bmc.port, bmc.username, secret),
                cipher_suite=bmc.cipher_suite,
                verify_tls=bmc.verify_tls,
                system=bmc.system,
            )
            for name, bmc in inventory.bmcs.items()
        ]
        yield BenchRack(path, targets, process.pid)
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(options: RackOptions) -> None:
    async with Rack(options) as rack:
        print(rack.inventory_path, flush=True)  # noqa: T201 - the protocol with the parent process
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(RackOptions(**json.loads(sys.argv[1]))))
