"""Boot overrides: Set and Get System Boot Options (IPMI 2.0, sections 28.12 to 28.13, table 28-14)."""

from __future__ import annotations

import logging
from typing import Final, Protocol

import msgspec

from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.rmcp import Reply
from plasmatui.model.bmc import BootDevice, Device

log = logging.getLogger(__name__)

_CHASSIS: Final = 0
_SET, _GET = 0x08, 0x09
_SET_IN_PROGRESS, _VALID_BIT_CLEARING, _INFO_ACKNOWLEDGE, _BOOT_FLAGS = 0, 3, 4, 5
_VALID, _PERSISTENT, _EFI = 0x80, 0x40, 0x20
_SELECTOR: Final = 0x3C
_SET_COMPLETE, _BEGIN, _COMMIT = 0, 1, 2
_KEEP_WITHOUT_POWER_ORDER: Final = 0x08
"""Parameter 3, bit 3: do not drop the override when no chassis control follows within 60 seconds."""
_FOR_FIRMWARE: Final = b"\x01\x01"
"""Parameter 4: the firmware has not handled the boot information yet."""

_CODES: Final = {Device.NONE: 0, Device.PXE: 1, Device.DISK: 2, Device.BIOS: 6}
_DEVICES: Final = {code: device for device, code in _CODES.items()}


class Commander(Protocol):
    """What is needed of the controller."""

    async def command(self, netfn: int, command: int, data: bytes = b"") -> Reply: ...

    def checked(self, reply: Reply, netfn: int, command: int, what: str) -> bytes: ...

    def error(self, id: str, what: str) -> BmcError: ...  # noqa: A002


class BootOptions:
    """The override of one BMC, and whether that BMC can be asked for it."""

    def __init__(self, bmc: Commander) -> None:
        self._bmc = bmc
        self._tells: bool | None = None  # not known until an override was set

    async def read(self) -> BootDevice | None:
        """The override; None when the BMC has shown that it never marks its boot flags as valid."""
        flags = await self._flags()
        if flags[0] & _VALID:
            self._tells = True
        elif self._tells is False:
            return None
        return decode(flags)

    async def write(self, boot: BootDevice) -> None:
        """Set the override so that it lasts until the machine boots, not for 60 seconds only.

        A mode that is not chosen stays as the BMC has it: IPMI cannot leave it open, and a clear bit means BIOS mode.
        """
        if boot.device not in _CODES:
            raise self._bmc.error("unsupported", f"cannot be told to boot from {boot.device}")
        if boot.uefi is None and boot.device is not Device.NONE:
            # Also of flags that are not valid (any more): many BMCs keep the bit of the last override.
            boot = msgspec.structs.replace(boot, uefi=bool((await self._flags())[0] & _EFI))
        flags = self.encode(boot)
        announced = await self._optional(_SET_IN_PROGRESS, bytes([_BEGIN]))
        await self._optional(_VALID_BIT_CLEARING, bytes([_KEEP_WITHOUT_POWER_ORDER]))
        await self._optional(_INFO_ACKNOWLEDGE, _FOR_FIRMWARE)
        reply = await self._set(_BOOT_FLAGS, flags)
        if announced:
            if reply.code == 0:
                await self._optional(_SET_IN_PROGRESS, bytes([_COMMIT]))
            await self._optional(_SET_IN_PROGRESS, bytes([_SET_COMPLETE]))
        self._bmc.checked(reply, _CHASSIS, _SET, "the boot device")
        if boot.device is not Device.NONE and self._tells is None:
            back = await self._flags()
            # Took the device, yet does not call it valid: this BMC never does. With another device it does tell.
            self._tells = bool(back[0] & _VALID) or back[1] & _SELECTOR != flags[1] & _SELECTOR

    def encode(self, boot: BootDevice) -> bytes:
        """The five bytes of parameter 5."""
        first = _VALID | (_PERSISTENT if boot.persistent else 0) | (_EFI if boot.uefi else 0)
        return bytes([first, _CODES.get(boot.device, 0) << 2, 0, 0, 0])

    async def _flags(self) -> bytes:
        reply = await self._bmc.command(_CHASSIS, _GET, bytes([_BOOT_FLAGS, 0, 0]))
        data = self._bmc.checked(reply, _CHASSIS, _GET, "boot options")
        if len(data) < 4:
            raise self._bmc.error("rejected", "gives boot flags that are too short")
        if data[1] & 0x80:  # the parameter itself is marked invalid or locked
            return bytes(5)
        return data[2:7]

    async def _set(self, parameter: int, value: bytes) -> Reply:
        return await self._bmc.command(_CHASSIS, _SET, bytes([parameter]) + value)

    async def _optional(self, parameter: int, value: bytes) -> bool:
        """Set a parameter that many BMCs lack; False when this one does."""
        reply = await self._set(parameter, value)
        if reply.code:
            log.debug("boot option %d refused with code 0x%02x", parameter, reply.code)
        return reply.code == 0


def decode(flags: bytes) -> BootDevice:
    """Parameter 5 as a `BootDevice`; flags that are not marked valid mean no override."""
    code = (flags[1] >> 2) & 0x0F
    if not flags[0] & _VALID or code == 0:
        return BootDevice(Device.NONE)
    return BootDevice(
        _DEVICES.get(code, Device.OTHER), persistent=bool(flags[0] & _PERSISTENT), uefi=bool(flags[0] & _EFI)
    )
