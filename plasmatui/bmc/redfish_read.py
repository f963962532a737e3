"""Readings that take many Redfish resources: sensors, event log, inventory. All walks are bounded.

A resource that a BMC announces but cannot give (some answer 404 or 501 there) is left out; a BMC that has gone is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from plasmatui.bmc import redfish_parse as parse
from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.redfish_http import SYSTEMS, RedfishHttp
from plasmatui.bmc.redfish_parse import Json
from plasmatui.model.bmc import FruField, SelEntry, SensorReading
from plasmatui.text import clean_line

CHASSIS_LIMIT: Final = 4
MEMBER_LIMIT: Final = 256
PAGE_LIMIT: Final = 200
LOG_LIMIT: Final = 1000
"""Entries of an event log that are kept, the newest."""
SINGLE_LIMIT: Final = 100
"""Entries read one by one, where a BMC gives only links to them."""

# Where the hardware's events stand, best first: the usual name, HPE's, OpenBMC's, and what is left.
_LOG_RANKS: Final = ("sel", "iml", "eventlog", "event", "log")


async def resource(http: RedfishHttp, path: str) -> Json:
    """A resource that need not be there: {} when there is no path to it or the BMC does not give it."""
    if not path:
        return {}
    try:
        return (await http.get(path)).body
    except BmcError as error:
        if error.id not in ("unsupported", "rejected"):
            raise
        return {}


async def members(http: RedfishHttp, path: str, limit: int = MEMBER_LIMIT, first: Json | None = None) -> list[Json]:
    """The members of a collection through all its pages, at most `limit`: links, or whole resources.

    `first` is its first page where that was read already.
    """
    found: list[Json] = []
    seen: set[str] = set()
    if first is not None:
        seen.add(path)
        found += parse.parts(first, "Members")
        path = parse.local(first.get("Members@odata.nextLink"))
    while path and path not in seen and len(found) < limit:
        seen.add(path)
        page = await resource(http, path)
        found += parse.parts(page, "Members")
        path = parse.local(page.get("Members@odata.nextLink"))
    return found[:limit]


async def whole_members(http: RedfishHttp, path: str, limit: int = MEMBER_LIMIT) -> list[tuple[str, Json]]:
    """The members of a collection as resources, each with its path."""
    found = []
    for member in await members(http, _expanded(http, path), limit):
        place = parse.link(member)
        found.append((place, member if len(member) > 1 else await resource(http, place)))
    return found


def _expanded(http: RedfishHttp, path: str) -> str:
    """The path that gives a collection with its members, where the service says that it can (DSP0266, $expand)."""
    expand = parse.part(http.root, "ProtocolFeaturesSupported", "ExpandQuery")
    if not path or "?" in path:
        return path
    if expand.get("NoLinks") is True:
        return f"{path}?$expand=."
    return path


async def find_system(http: RedfishHttp, wanted: str) -> str:
    """Path of the system with this id, name or UUID; with "" of the only one.

    Raises:
        BmcError: "rejected": there is none like that, or none is named where there are several.
    """
    if not http.logged_on:
        await http.log_on()
    systems = parse.link(http.root, "Systems") or SYSTEMS
    first = (await http.get(systems)).body  # an error there is the answer, not an empty collection
    paths = [path for path in map(parse.link, await members(http, systems, first=first)) if path]
    ids = {path.rstrip("/").rsplit("/", 1)[-1]: path for path in paths}
    if wanted in ids:
        return ids[wanted]
    if not wanted and len(paths) == 1:
        return paths[0]
    if wanted:
        for path in paths:
            body = await resource(http, path)
            if wanted.lower() in {parse.text(body, name).lower() for name in ("Id", "Name", "UUID")}:
                return path
    found = clean_line(", ".join(ids), 300) or "none"
    asked = f"no system {clean_line(wanted, 60)}" if wanted else "not one system; name one of them as `system`"
    raise BmcError("rejected", f"{http.where}: {asked}: there are {found}")


async def ipmi_port(http: RedfishHttp, system: parse.System) -> int | None:
    """The port at which the BMC offers its console over IPMI; None for the usual one.

    `ComputerSystem.SerialConsole.IPMI`, else of the manager `NetworkProtocol.IPMI` and `SerialConsole`.

    Raises:
        BmcError: "console-silent": IPMI is switched off; "unsupported": the BMC does not say that it has it.
    """
    enabled, port = system.ipmi_console, system.ipmi_port
    for path in system.managers[:1]:
        if enabled is not None:
            break
        manager = await resource(http, path)
        protocol = parse.part(await resource(http, parse.link(manager, "NetworkProtocol")), "IPMI")
        said, port = protocol.get("ProtocolEnabled"), parse.port(protocol)
        console = parse.part(manager, "SerialConsole")
        if isinstance(said, bool):
            enabled = said
        elif "IPMI" in parse.strings(console, "ConnectTypesSupported"):
            enabled = console.get("ServiceEnabled") is not False
    if enabled is None:
        raise BmcError(
            "unsupported",
            f"{http.where}: Redfish carries no console, and this BMC does not say that it has one over IPMI; "
            "if it has, use driver ipmi",
        )
    if not enabled:
        raise BmcError(
            "console-silent", f"{http.where}: the console needs IPMI, which is switched off: enable it there"
        )
    return port


# --- sensors -----------------------------------------------------------------------------------------------------


async def sensors(http: RedfishHttp, system: parse.System) -> tuple[SensorReading, ...]:
    """The readings of the system's chassis: Thermal and Power, or the newer subsystems and Sensors instead."""
    found: list[SensorReading] = []
    for path in await _chassis(http, system):
        chassis = await resource(http, path)
        thermal, power = parse.link(chassis, "Thermal"), parse.link(chassis, "Power")
        before = len(found)
        found += parse.thermal(await resource(http, thermal))
        found += parse.power_supplies(await resource(http, power))
        if len(found) == before:
            found += await _subsystems(http, chassis)
    return tuple(found)


async def _subsystems(http: RedfishHttp, chassis: Json) -> list[SensorReading]:
    found = await _each(http, parse.link(chassis, "Sensors"), parse.sensor)
    thermal = await resource(http, parse.link(chassis, "ThermalSubsystem"))
    if not any(reading.kind == "fan" for reading in found):
        found += await _each(http, parse.link(thermal, "Fans"), parse.fan)
    power = await resource(http, parse.link(chassis, "PowerSubsystem"))
    return found + await _each(http, parse.link(power, "PowerSupplies"), parse.power_supply)


async def _each(http: RedfishHttp, path: str, read: Callable[[Json], SensorReading | None]) -> list[SensorReading]:
    readings = [read(body) for _, body in await whole_members(http, path) if body]
    return [reading for reading in readings if reading is not None]


async def _chassis(http: RedfishHttp, system: parse.System) -> tuple[str, ...]:
    """The system's own chassis; where it names none, those of the service."""
    if system.chassis:
        return system.chassis[:CHASSIS_LIMIT]
    found = [parse.link(member) for member in await members(http, parse.link(http.root, "Chassis"), CHASSIS_LIMIT)]
    return tuple(path for path in found if path)


# --- event log ---------------------------------------------------------------------------------------------------


async def sel(http: RedfishHttp, system: parse.System) -> tuple[SelEntry, ...]:
    """The newest entries of the system's event log, oldest first.

    Raises:
        BmcError: "unsupported" when there is no log.
    """
    path = await _log(http, system)
    if not path:
        raise BmcError("unsupported", f"{http.where}: it offers no event log over Redfish")
    entries = await _entries(http, path)
    bare = [parse.link(item) for item in entries if len(item) <= 1]
    if bare:
        wanted = [place for place in bare if place][-SINGLE_LIMIT:]
        entries = [item for item in entries if len(item) > 1] + [await resource(http, place) for place in wanted]
    found = [parse.sel_entry(item, place) for place, item in enumerate(entries, 1) if item]
    found.sort(key=lambda entry: (entry.time or 0.0, entry.record))
    return tuple(found[-LOG_LIMIT:])


async def _log(http: RedfishHttp, system: parse.System) -> str:
    """Path of the entries of the log that holds the hardware's events, of the system or of its manager."""
    services = [system.log_services]
    for manager in system.managers[:1]:
        services.append(parse.link(await resource(http, manager), "LogServices"))
    best, best_rank = "", len(_LOG_RANKS) + 1
    for service in services:
        for place, body in await whole_members(http, service, 16):
            entries = parse.link(body, "Entries")
            rank = _log_rank(place, body)
            if entries and rank < best_rank:
                best, best_rank = entries, rank
    return best


def _log_rank(path: str, body: Json) -> int:
    if parse.text(body, "LogEntryType") == "SEL":
        return 0
    name = (parse.text(body, "Id") or path.rstrip("/").rsplit("/", 1)[-1]).lower()
    return next((rank for rank, word in enumerate(_LOG_RANKS) if word in name), len(_LOG_RANKS))


async def _entries(http: RedfishHttp, path: str) -> list[Json]:
    """The newest entries of a log, whichever end its pages begin at.

    A log with the newest first is read until there are enough. One with the oldest first is read from its end where
    the service can skip (DSP0266, $skip), else through.
    """
    page = (await http.get(path)).body
    found = parse.parts(page, "Members")
    following = parse.local(page.get("Members@odata.nextLink"))
    newest_first = len(found) > 1 and parse.sel_entry(found[0], 0).record > parse.sel_entry(found[-1], 0).record
    total = int(parse.number(page, "Members@odata.count") or 0)
    if following and not newest_first and total > LOG_LIMIT + len(found) and _can_skip(http):
        found, following = [], f"{path}?$skip={total - LOG_LIMIT}"
    seen: set[str] = set()
    while following and following not in seen and len(seen) < PAGE_LIMIT:
        if newest_first and len(found) >= LOG_LIMIT:
            break
        seen.add(following)
        page = (await http.get(following)).body
        found += parse.parts(page, "Members")
        following = parse.local(page.get("Members@odata.nextLink"))
    return found[:LOG_LIMIT] if newest_first else found[-LOG_LIMIT:]


def _can_skip(http: RedfishHttp) -> bool:
    return parse.part(http.root, "ProtocolFeaturesSupported").get("TopSkipQuery") is True


# --- inventory ---------------------------------------------------------------------------------------------------


async def inventory(http: RedfishHttp, system: parse.System) -> tuple[FruField, ...]:
    """System, chassis, managers, and the system's processors, memory and network interfaces."""
    body = (await http.get(system.path)).body
    found = list(parse.fru("System", "System", body))
    for path in await _chassis(http, system):
        chassis = await resource(http, path)
        found += parse.fru("Chassis", _area("Chassis", chassis), chassis)
    for path in system.managers[:CHASSIS_LIMIT]:
        manager = await resource(http, path)
        found += parse.fru("Manager", _area("Manager", manager), manager)
    for kind, name in (("Processor", "Processors"), ("Memory", "Memory"), ("NIC", "EthernetInterfaces")):
        for _, part in await whole_members(http, parse.link(body, name), 64):
            found += parse.fru(kind, _area(kind, part), part)
    return tuple(found)


def _area(kind: str, body: Json) -> str:
    name = parse.text(body, "Id", limit=40)
    return kind if not name or name == kind else f"{kind} {name}"
