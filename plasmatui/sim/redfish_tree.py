"""The Redfish resources of one machine, as JSON (DSP0266, DSP0268). Reading only; orders stand in `redfish`."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable

from plasmatui.model.bmc import Device
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.machine import Machine, Phase
from plasmatui.sim.redfish_readings import Readings
from plasmatui.sim.redfish_shapes import (
    CHASSIS,
    ENTRIES,
    MANAGER,
    OK,
    ROOT,
    SESSIONS,
    SYSTEM,
    collection,
    link,
    resource,
)
from plasmatui.sim.sel import Event
from plasmatui.sim.webserver import Json

RESET_TYPES = ("On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle", "Nmi")
TARGETS = {"None": 0, "Pxe": 1, "Hdd": 2, "Cd": 5, "BiosSetup": 6}
_TARGET_NAMES = {number: name for name, number in TARGETS.items()}

_EVENTS = {
    (0x1D, 1): "System restarted by a hard reset or power-on.",
    (0x22, 0): "The system is powered on (S0).",
    (0x22, 5): "The system is powered off (S5).",
    (0x14, 0): "The power button was pressed.",
    (0x13, 0): "A diagnostic interrupt was sent.",
}


class Tree:
    """Builds the resources of a machine anew at each request.

    Args:
        ipmi_port: where serial over LAN is served.
    """

    def __init__(self, machine: Machine, ipmi_port: int) -> None:
        self._machine = machine
        self._ipmi_port = ipmi_port
        self._readings = Readings(machine)
        self._builders: dict[str, Callable[[], Json]] = {
            ROOT: self._root,
            f"{ROOT}/Systems": lambda: collection(f"{ROOT}/Systems", "ComputerSystem", [SYSTEM]),
            f"{ROOT}/Chassis": lambda: collection(f"{ROOT}/Chassis", "Chassis", [CHASSIS]),
            f"{ROOT}/Managers": lambda: collection(f"{ROOT}/Managers", "Manager", [MANAGER]),
            SYSTEM: self._system,
            f"{SYSTEM}/Processors": self._processors,
            f"{SYSTEM}/Memory": self._memory_collection,
            f"{SYSTEM}/EthernetInterfaces": self._interfaces,
            f"{SYSTEM}/LogServices": lambda: collection(
                f"{SYSTEM}/LogServices", "LogService", [f"{SYSTEM}/LogServices/SEL"]
            ),
            f"{SYSTEM}/LogServices/SEL": self._log_service,
            CHASSIS: self._chassis,
            f"{CHASSIS}/Thermal": self._readings.thermal,
            f"{CHASSIS}/Power": self._readings.power,
            f"{CHASSIS}/Sensors": self._readings.sensors,
            MANAGER: self._manager,
            f"{MANAGER}/NetworkProtocol": self._protocols,
            f"{ROOT}/SessionService": self._session_service,
        }

    def get(self, path: str) -> Json | None:
        """The resource at a path, None where there is none."""
        builder = self._builders.get(path)
        if builder is not None:
            return builder()
        parent, _, name = path.rpartition("/")
        members: dict[str, Callable[[str], Json | None]] = {
            f"{SYSTEM}/Processors": self._processor,
            f"{SYSTEM}/Memory": self._memory,
            f"{SYSTEM}/EthernetInterfaces": self._interface,
            f"{CHASSIS}/Sensors": self._readings.sensor,
            ENTRIES: self._entry,
        }
        return members[parent](name) if parent in members else None

    def entries(self, skip: int, top: int) -> Json:
        """A page of the event log, with the link to the next one."""
        records = self._machine.sel.records()
        page = records[skip : skip + top]
        result = collection(ENTRIES, "LogEntry", [])
        result["Members"] = [self._log_entry(number, record) for number, record in page]
        result["Members@odata.count"] = len(records)
        if skip + len(page) < len(records):
            result["Members@odata.nextLink"] = f"{ENTRIES}?$skip={skip + len(page)}&$top={top}"
        return result

    def _root(self) -> Json:
        return resource(
            ROOT,
            "ServiceRoot.v1_15_0.ServiceRoot",
            "Root service",
            RedfishVersion="1.15.0",
            UUID=str(self._machine.identity.guid),
            Product=f"{self._machine.identity.hardware.maker} BMC",
            Systems=link(f"{ROOT}/Systems"),
            Chassis=link(f"{ROOT}/Chassis"),
            Managers=link(f"{ROOT}/Managers"),
            SessionService=link(f"{ROOT}/SessionService"),
            Links={"Sessions": link(SESSIONS)},
        )

    def _session_service(self) -> Json:
        path = f"{ROOT}/SessionService"
        return resource(
            path,
            "SessionService.v1_1_8.SessionService",
            "Session service",
            ServiceEnabled=True,
            SessionTimeout=300,
            Sessions=link(SESSIONS),
        )

    def power_state(self) -> str:
        return "On" if self._machine.powered else "Off"

    def boot(self) -> Json:
        flags: BootFlags = self._machine.flags
        active = flags.device is not Device.NONE
        return {
            "BootSourceOverrideTarget": _TARGET_NAMES.get(flags.selector, "None") if active else "None",
            "BootSourceOverrideTarget@Redfish.AllowableValues": list(TARGETS),
            "BootSourceOverrideEnabled": ("Continuous" if flags.persistent else "Once") if active else "Disabled",
            "BootSourceOverrideMode": "UEFI" if flags.efi else "Legacy",
            "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI", "Legacy"],
        }

    def _system(self) -> Json:
        machine, identity = self._machine, self._machine.identity
        hardware = identity.hardware
        lit = machine.identify > 0
        reset = f"{SYSTEM}/Actions/ComputerSystem.Reset"
        return resource(
            SYSTEM,
            "ComputerSystem.v1_20_0.ComputerSystem",
            identity.name,
            SystemType="Physical",
            Manufacturer=hardware.maker,
            Model=hardware.product,
            SerialNumber=identity.serial,
            AssetTag=identity.fru().asset,
            UUID=str(identity.guid),
            HostName=identity.name if machine.phase is Phase.UP else "",
            PowerState=self.power_state(),
            Status={**OK, "State": "Enabled" if machine.powered else "StandbyOffline"},
            BootProgress={"LastState": _PROGRESS[machine.phase]},
            Boot=self.boot(),
            IndicatorLED="Blinking" if lit else "Off",
            LocationIndicatorActive=lit,
            ProcessorSummary={"Count": hardware.sockets, "Model": hardware.cpu, "Status": OK},
            MemorySummary={"TotalSystemMemoryGiB": hardware.memory_gib, "Status": OK},
            BiosVersion="3.07" if hardware.uefi else "2.4a",
            SerialConsole={
                "MaxConcurrentSessions": 1,
                "IPMI": {"ServiceEnabled": "sol-disabled" not in machine.faults, "Port": self._ipmi_port},
                "SSH": {"ServiceEnabled": False},
            },
            Processors=link(f"{SYSTEM}/Processors"),
            Memory=link(f"{SYSTEM}/Memory"),
            EthernetInterfaces=link(f"{SYSTEM}/EthernetInterfaces"),
            LogServices=link(f"{SYSTEM}/LogServices"),
            Links={"Chassis": [link(CHASSIS)], "ManagedBy": [link(MANAGER)]},
            Actions={
                "#ComputerSystem.Reset": {
                    "target": reset,
                    "ResetType@Redfish.AllowableValues": list(RESET_TYPES),
                }
            },
        )

    def _processors(self) -> Json:
        count = self._machine.identity.hardware.sockets
        return collection(
            f"{SYSTEM}/Processors", "Processor", [f"{SYSTEM}/Processors/CPU{n + 1}" for n in range(count)]
        )

    def _processor(self, name: str) -> Json | None:
        hardware = self._machine.identity.hardware
        if name not in [f"CPU{n + 1}" for n in range(hardware.sockets)]:
            return None
        return resource(
            f"{SYSTEM}/Processors/{name}",
            "Processor.v1_18_0.Processor",
            name,
            ProcessorType="CPU",
            Manufacturer=hardware.cpu.split()[0].removesuffix("(R)"),
            Model=hardware.cpu,
            TotalCores=hardware.cores,
            TotalThreads=hardware.cores * 2,
            Status=OK,
        )

    def _memory_names(self) -> list[str]:
        return [f"DIMM_A{n + 1}" for n in range(max(1, self._machine.identity.hardware.memory_gib // 32))]

    def _memory_collection(self) -> Json:
        return collection(f"{SYSTEM}/Memory", "Memory", [f"{SYSTEM}/Memory/{name}" for name in self._memory_names()])

    def _memory(self, name: str) -> Json | None:
        if name not in self._memory_names():
            return None
        return resource(
            f"{SYSTEM}/Memory/{name}",
            "Memory.v1_17_0.Memory",
            name,
            CapacityMiB=32768,
            MemoryDeviceType="DDR4",
            OperatingSpeedMhz=3200,
            Manufacturer="Samsung",
            PartNumber="M393A4K40EB3-CWE",
            SerialNumber=f"M{self._machine.identity.serial[1:]}{name[-1]}",
            Status=OK,
        )

    def _interfaces(self) -> Json:
        path = f"{SYSTEM}/EthernetInterfaces"
        return collection(path, "EthernetInterface", [f"{path}/{n}" for n in range(len(self._machine.identity.macs))])

    def _interface(self, name: str) -> Json | None:
        macs = self._machine.identity.macs
        if not name.isdecimal() or int(name) >= len(macs):
            return None
        return resource(
            f"{SYSTEM}/EthernetInterfaces/{name}",
            "EthernetInterface.v1_9_0.EthernetInterface",
            f"NIC {name}",
            MACAddress=macs[int(name)].upper(),
            SpeedMbps=10000,
            LinkStatus="LinkUp" if self._machine.powered else "LinkDown",
            Status=OK,
        )

    def _log_service(self) -> Json:
        path = f"{SYSTEM}/LogServices/SEL"
        return resource(
            path,
            "LogService.v1_4_0.LogService",
            "System event log",
            LogEntryType="SEL",
            MaxNumberOfRecords=512,
            OverWritePolicy="NeverOverWrites",
            DateTime=_time(self._machine.sel.time),
            Entries=link(ENTRIES),
            Actions={"#LogService.ClearLog": {"target": f"{path}/Actions/LogService.ClearLog"}},
        )

    def _entry(self, name: str) -> Json | None:
        found = self._machine.sel.get(int(name)) if name.isdecimal() and 0 < int(name) < 0xFFFF else None
        return None if found is None else self._log_entry(int(name), found[1])

    def _log_entry(self, number: int, record: bytes) -> Json:
        try:
            event = Event.decode(record)
        except ValueError:
            message, created, kind = f"Record of type {record[2]:02X}h", None, None
        else:
            default = f"Sensor {event.sensor}, type {event.sensor_type:02X}h"
            message = _EVENTS.get((event.sensor_type, event.data[0] & 0x0F), default)
            created, kind = event.time, f"{event.sensor_type:02X}h"
        fields: dict[str, object] = {"EntryType": "SEL", "Severity": "OK", "Message": message}
        if created is not None:
            fields["Created"] = _time(created)
        if kind is not None:
            fields["SensorType"] = kind
        fields["SensorNumber"] = struct.unpack_from("<B", record, 11)[0]
        return resource(f"{ENTRIES}/{number}", "LogEntry.v1_15_0.LogEntry", f"Log entry {number}", **fields)

    def _chassis(self) -> Json:
        identity = self._machine.identity
        lit = self._machine.identify > 0
        return resource(
            CHASSIS,
            "Chassis.v1_23_0.Chassis",
            "Chassis",
            ChassisType="RackMount",
            Manufacturer=identity.hardware.maker,
            Model=identity.hardware.product,
            SerialNumber=identity.fru().chassis_serial,
            PartNumber=identity.fru().chassis_part,
            PowerState=self.power_state(),
            LocationIndicatorActive=lit,
            IndicatorLED="Blinking" if lit else "Off",
            Status=OK,
            Thermal=link(f"{CHASSIS}/Thermal"),
            Power=link(f"{CHASSIS}/Power"),
            Sensors=link(f"{CHASSIS}/Sensors"),
            Links={"ComputerSystems": [link(SYSTEM)], "ManagedBy": [link(MANAGER)]},
        )

    def _manager(self) -> Json:
        return resource(
            MANAGER,
            "Manager.v1_18_0.Manager",
            "BMC",
            ManagerType="BMC",
            FirmwareVersion="2.10",
            Model="SimBMC",
            UUID=str(self._machine.identity.guid),
            DateTime=_time(self._machine.sel.time),
            Status=OK,
            NetworkProtocol=link(f"{MANAGER}/NetworkProtocol"),
            SerialConsole={
                "ServiceEnabled": "sol-disabled" not in self._machine.faults,
                "MaxConcurrentSessions": 1,
                "ConnectTypesSupported": ["IPMI"],
            },
            Links={"ManagerForServers": [link(SYSTEM)], "ManagerForChassis": [link(CHASSIS)]},
        )

    def _protocols(self) -> Json:
        return resource(
            f"{MANAGER}/NetworkProtocol",
            "ManagerNetworkProtocol.v1_9_1.ManagerNetworkProtocol",
            "Network protocols",
            IPMI={"ProtocolEnabled": True, "Port": self._ipmi_port},
            SSH={"ProtocolEnabled": False},
            Status=OK,
        )


_PROGRESS = {
    Phase.OFF: "None",
    Phase.BOOTING: "OSBootStarted",
    Phase.SETUP: "SetupEntered",
    Phase.UP: "OSRunning",
    Phase.STUCK: "OSBootStarted",
    Phase.STOPPING: "OSRunning",
}


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
