"""Boot flags: parameter 5 of the system boot options (IPMI 2.0, section 28.13, table 28-14)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from plasmatui.model.bmc import Device

_SELECTORS = {Device.NONE: 0, Device.PXE: 1, Device.DISK: 2, Device.BIOS: 6}
_DEVICES = {selector: device for device, selector in _SELECTORS.items()}


@dataclass(frozen=True, slots=True)
class BootFlags:
    """The five data bytes. `selector` is the boot device; `rest` holds the bits that the machine ignores."""

    valid: bool = False
    persistent: bool = False
    efi: bool = False
    selector: int = 0
    rest: bytes = bytes(5)

    @classmethod
    def decode(cls, data: bytes) -> BootFlags:
        """Read five bytes.

        Raises:
            ValueError: there are not five.
        """
        if len(data) != 5:
            raise ValueError("boot flags are five bytes")
        rest = bytes([data[0] & 0x1F, data[1] & 0xC3]) + data[2:]
        return cls(
            valid=bool(data[0] & 0x80),
            persistent=bool(data[0] & 0x40),
            efi=bool(data[0] & 0x20),
            selector=data[1] >> 2 & 0x0F,
            rest=rest,
        )

    def encode(self) -> bytes:
        first = self.valid << 7 | self.persistent << 6 | self.efi << 5 | self.rest[0] & 0x1F
        return bytes([first, self.selector << 2 | self.rest[1] & 0xC3]) + self.rest[2:]

    @classmethod
    def of(cls, device: Device, *, persistent: bool = False, efi: bool = False) -> BootFlags:
        """Flags for one of the devices that the product names; `none` clears the override."""
        if device is Device.NONE:
            return cls()
        return cls(valid=True, persistent=persistent, efi=efi, selector=_SELECTORS[device])

    @property
    def device(self) -> Device:
        """The override as it acts: `none` when the flags are not valid."""
        return _DEVICES.get(self.selector, Device.OTHER) if self.valid else Device.NONE

    def consumed(self) -> BootFlags:
        """The flags after a boot: a one-shot override is gone."""
        return self if self.persistent else replace(BootFlags(), efi=self.efi, rest=self.rest)
