"""The scripts in a rack's `bin`, as the programs that an engine starts."""

from __future__ import annotations

import asyncio
import signal

from plasmatui.inventory.loader import load
from plasmatui.model.words import PowerAction
from plasmatui.sim.rack import Rack, RackOptions
from tests.unit.sim.nodes import reachable, until
from tests.unit.sim.toolbox import flake, host, site_arguments


async def test_a_run_that_is_killed_leaves_the_node_at_work() -> None:
    async with Rack(RackOptions(nodes=1, port=0, on=0, speed=20)) as rack:
        machine = rack.machines["node01"]
        machine.order(PowerAction.ON)
        inventory = load(rack.inventory_path)
        assert (inventory.tools, inventory.secrets) == (str(rack.provisioning.tools), str(rack.provisioning.secrets))
        await reachable(machine)
        process = await asyncio.create_subprocess_exec(
            f"{inventory.tools}/nixos-anywhere", "--flake", flake(rack, "node01"), *site_arguments(rack, "node01"),
            "--phases", "disko", host(rack, "node01"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while b"wipefs" not in await process.stdout.readline():
                pass
        process.terminate()
        assert await process.wait() == -signal.SIGTERM
        assert not machine.disks[0].partitions
        await until(lambda: [part.mountpoint for part in machine.disks[0].partitions] == ["/mnt/boot", "/mnt"])


async def test_a_program_says_what_it_is() -> None:
    async with Rack(RackOptions(nodes=1, port=0, on=0)) as rack:
        process = await asyncio.create_subprocess_exec(
            str(rack.provisioning.tools / "nix"), "--version", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert (process.returncode, out) == (0, b"nix (Nix) 2.34.8\n")
