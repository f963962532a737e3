"""The IPMI driver against OpenIPMI's `ipmi_sim`, which somebody else wrote: cipher suite 3 only, short SOL packets,
boot flags that are never marked valid, no sensor records, FRU reads of 16 bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmatui.bmc.controller import BmcError, BmcTarget
from plasmatui.bmc.ipmi import IpmiController
from plasmatui.inventory.secrets import Secret
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.words import Power, PowerAction
from tests.lab.ipmi_sim_rig import BOOT_LINES, PASSWORD, USER, ipmi_sim_rig
from tests.unit.bmc.conftest import until

pytestmark = [pytest.mark.lab, pytest.mark.needs("ipmi_sim")]


async def test_a_bmc_that_we_did_not_write(tmp_path: Path) -> None:
    async with ipmi_sim_rig(tmp_path, 1) as rig:
        node = rig.nodes[0]
        target = BmcTarget(node.name, "ipmi", node.address, rig.port, USER, Secret(literal=PASSWORD))
        bmc = IpmiController(target)
        await bmc.connect()
        assert bmc.session is not None
        assert bmc.session.suite == 3
        heard = bytearray()
        console = await bmc.open_console(heard.extend, lambda *_end: None, takeover=False)

        assert await bmc.power() is Power.OFF
        await bmc.order_power(PowerAction.ON)
        assert await bmc.power() is Power.ON
        await until(lambda: b"login: " in heard, 20)
        assert all(line.encode() in heard for line in BOOT_LINES)
        text = b"".join(b"line %04d of a long paste\r" % i for i in range(100))
        heard.clear()
        console.write(text)
        await until(lambda: text.upper() in heard, 20)

        await bmc.set_boot_device(BootDevice(Device.PXE, uefi=True))
        assert node.boot == "pxe"
        assert await bmc.boot_device() is None  # this one cannot tell

        assert await bmc.sensors() == ()
        assert [entry.severity for entry in await bmc.sel()] == ["critical"]
        assert "SN00001" in [field.value for field in await bmc.inventory()]

        stranger = IpmiController(BmcTarget("x", "ipmi", node.address, rig.port, USER, Secret(literal="wrong")))
        with pytest.raises(BmcError) as caught:
            await stranger.connect()
        assert caught.value.id == "bmc-auth"
        other = IpmiController(target)
        with pytest.raises(BmcError) as caught:
            await other.open_console(heard.extend, lambda *_end: None, takeover=False)
        assert caught.value.id == "sol-in-use"
        taken = await other.open_console(heard.extend, lambda *_end: None, takeover=True)
        await taken.close()
        await other.close()
        await bmc.close()
