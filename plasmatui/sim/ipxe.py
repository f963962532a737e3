"""iPXE on a simulated machine: DHCP again, then a script, kernel and initrd that are really fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from plasmatui.sim.boot import Boot
from plasmatui.sim.bootfiles import KERNEL_MAGIC, KERNEL_MAGIC_AT
from plasmatui.sim.download import DownloadError, Image, Route, download
from plasmatui.sim.identity import BOOT_SERVER, GATEWAY
from plasmatui.sim.ipxescript import CommandError, Ending, Script
from plasmatui.sim.steps import Player, Step, line

VERSION = "1.21.1+git"

# Words and addresses as seen on real boots, EFI and BIOS builds; see https://ipxe.org/err.
_ERRORS = {
    "missing": ("No such file or directory", "2d0c618e", "2d0c613b"),
    "reset": ("Connection reset", "0f0a6095", "0f0a6039"),
    "timeout": ("Connection timed out", "4c0a6092", "4c0a6035"),
    "protocol": ("Input/output error", "1d0c6598", "1d0c6539"),
    "exec": ("Exec format error", "2e008081", "2e008001"),
    "command": ("No such file or directory", "2d02808e", "2d02803b"),
    "unsupported": ("Operation not supported", "3c092083", "3c092003"),
    "invalid": ("Invalid argument", "1c03e183", "1c03e103"),
}
_SCRIPT_SECONDS = 0.2
_KERNEL_SECONDS = 0.9
_INITRD_SECONDS = 4.2
_PROMPT = b"Press Ctrl-B for the iPXE command line..."


@dataclass(frozen=True)
class Loaded:
    """What iPXE starts.

    Attributes:
        initrd: bytes of all initrds.
    """

    arguments: str
    initrd: int
    images: tuple[Image, ...]


class Ipxe:
    """One run of iPXE. `run` gives what it loaded, or how it ended."""

    def __init__(self, facts: Boot, player: Player) -> None:
        self._facts = facts
        self._player = player
        self._route = Route(str(facts.address), f"iPXE/{VERSION}", facts.services.aliases)

    async def run(self) -> Loaded | Ending:
        """From the banner to the kernel's start. `EXIT`: the firmware goes on; `SHELL`: a prompt waits for a person."""
        while True:
            await self._player.play(self._banner())
            await self._player.play(self._configure())
            if "ipxe-loop" not in self._facts.faults:
                break
            await self._player.play(self._load_again())
        outcome = await self._follow(self._facts.script_url)
        if outcome is Ending.EXIT:
            await self._player.play(self._leave())
        return outcome

    # What Script asks for

    async def say(self, text: str) -> None:
        await self._player.play([line(0.02, text)])

    async def sleep(self, seconds: float) -> None:
        await self._player.play([Step(seconds)])

    def error(self, name: str) -> str:
        """An error as iPXE writes it, with the address that explains it."""
        words, efi, bios = _ERRORS[name]
        return f"{words} (https://ipxe.org/{efi if self._facts.identity.uefi else bios})"

    async def fetch_kernel(self, url: str) -> Image:
        """Fetch what `boot` will start, which has to look like a kernel."""
        image = await self._download(url, _KERNEL_SECONDS)
        if image.head[KERNEL_MAGIC_AT : KERNEL_MAGIC_AT + len(KERNEL_MAGIC)] != KERNEL_MAGIC:
            await self.say(f"Could not select: {self.error('exec')}")
            raise CommandError(self.error("exec"))
        return image

    async def fetch_initrd(self, url: str) -> Image:
        """Fetch an archive. Machines with the fault `stalled` never come to its end."""
        return await self._download(url, _INITRD_SECONDS, stalls="stalled" in self._facts.faults)

    async def fetch_text(self, url: str) -> str:
        image = await self._download(url, _SCRIPT_SECONDS, shown=False)
        text = image.head.decode(errors="replace")
        if not text.startswith("#!ipxe"):
            raise CommandError(self.error("exec"))
        await self.say(f"{image.name} : {image.size} bytes [script]")
        return text

    # The parts of a run

    async def _follow(self, url: str) -> Loaded | Ending:
        facts = self._facts
        settings = {
            "mac": facts.mac,
            "ip": str(facts.address),
            "uuid": str(facts.identity.guid),
            "serial": facts.identity.serial,
            "hostname": facts.identity.name,
            "next-server": str(BOOT_SERVER),
            "filename": url,
            "platform": "efi" if facts.identity.uefi else "pcbios",
            "buildarch": "x86_64" if facts.identity.uefi else "i386",
            "cwuri": url,
        }
        script = Script(self, settings)
        try:
            ending = await script.run(await self.fetch_text(url), url)
        except CommandError:
            return Ending.EXIT
        if ending is Ending.BOOT:
            return Loaded(script.arguments, sum(image.size for image in script.initrds), tuple(script.initrds))
        if ending is Ending.SHELL:
            await self._player.play([Step(0.05, b"iPXE> ")])
            return ending
        if ending is Ending.FAILED:
            await self.say(f"Could not boot image: {script.failure}")
        return Ending.EXIT

    async def _download(self, url: str, seconds: float, *, shown: bool = True, stalls: bool = False) -> Image:
        """Fetch in about so many machine seconds, with the percentage on the console."""
        facts, player = self._facts, self._player
        if urlsplit(url).scheme == "https":
            await self.say(f"Could not start download: {self.error('unsupported')}")
            raise CommandError(self.error("unsupported"))
        pace = facts.around(seconds) / 100
        await player.play([Step(0.1, f"{url}... ".encode())])
        done = 0

        async def progress(share: int) -> None:
            nonlocal done
            text = f"{share}%".encode() if shown else b""
            await player.play([Step(pace * (share - done), text + b"\x08" * len(text))])
            done = share
            if stalls and share >= facts.faults.number("stalled"):
                await asyncio.Event().wait()  # until power or reset

        try:
            if "http-unreachable" in facts.faults:
                raise DownloadError("reset")
            image = await download(url, self._route, self._shares() if shown else [100], progress)
        except DownloadError as failed:
            text = self.error(failed.reason)
            await player.play([line(0.05, text)])
            raise CommandError(text) from failed
        await player.play([Step(0.02, (b"    \x08\x08\x08\x08" if shown else b"") + b"ok\r\n")])
        return image

    def _shares(self) -> list[int]:
        """At which percentages progress is shown."""
        shares = [0]
        while shares[-1] < 100:
            shares.append(min(100, shares[-1] + self._facts.numbers.randint(3, 9)))
        return shares[1:]

    def _banner(self) -> Iterator[Step]:
        facts = self._facts
        identity, mac = facts.identity, facts.mac
        yield line(facts.around(0.5), "iPXE initialising devices...ok")
        yield Step(0.05, f"\r\n\r\n\r\n\x1b[1m\x1b[37m\x1b[40miPXE {VERSION}\x1b[0m\x1b[37m\x1b[40m".encode())
        yield Step(0, b" -- Open Source Network Boot Firmware -- \x1b[0m\x1b[36m\x1b[40mhttps://ipxe.org")
        features = (
            "DNS HTTP iSCSI NFS TFTP SRP VLAN AoE EFI Menu"
            if identity.uefi
            else "DNS HTTP iSCSI TFTP AoE bzImage Menu PXEXT"
        )
        yield line(0, f"\x1b[0m\x1b[37m\x1b[40m\r\nFeatures: {features}\r\n")
        yield Step(0.02, _PROMPT)
        yield Step(facts.around(1.6), b"\x08 \x08" * len(_PROMPT))
        yield line(0.02, f"net0: {mac} using {identity.hardware.nic} on 0000:01:00.0 (Ethernet) [open]")
        yield line(0.02, "  [Link:up, TX:0 TXE:0 RX:0 RXE:0]")

    def _configure(self) -> Iterator[Step]:
        facts = self._facts
        dhcp, query = facts.services.dhcp, facts.ipxe_query()
        events = {0: dhcp.offered, 8: dhcp.offered, 17: dhcp.acknowledged}
        yield Step(0.05, f"Configuring (net0 {facts.mac})".encode())
        for dot in range(18):
            event = facts.happens(events[dot], query) if dot in events else None
            yield Step(facts.around(0.06), b".", event)
        yield line(0.02, " ok")
        yield line(0.01, f"net0: {facts.address}/255.255.0.0 gw {GATEWAY}")
        yield line(0.01, f"Next server: {BOOT_SERVER}")
        yield line(0.01, f"Filename: {query.filename}")

    def _load_again(self) -> Iterator[Step]:
        """iPXE fetches and starts itself."""
        facts = self._facts
        tftp, (name, size), address = facts.services.tftp, facts.loader, str(facts.address)
        yield Step(0.1, f"tftp://{BOOT_SERVER}/{name}... ".encode(), facts.happens(tftp.begun, address, name, size))
        yield Step(facts.around(0.8), b"ok\r\n", facts.happens(tftp.ended, address, name))
        yield line(0.05, f"{name} : {size} bytes [{'EFI' if facts.identity.uefi else 'PXE-NBP'}]")

    def _leave(self) -> Iterator[Step]:
        yield line(0.1, "No more network devices")
        yield Step(0.1, b"\r\n" + _PROMPT)
        yield Step(self._facts.around(1.6), b"\x08 \x08" * len(_PROMPT))
