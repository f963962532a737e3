"""Sensors, event log, inventory, console; and answers that are no Redfish at all."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plasmatui.bmc import redfish_http, redfish_parse
from plasmatui.bmc.controller import BmcError, BmcTarget, Console, Controller
from plasmatui.bmc.redfish import RedfishController
from plasmatui.bmc.redfish_tls import TlsContexts
from plasmatui.model.bmc import BootDevice, Device, FruField, SensorReading
from plasmatui.model.words import Power, PowerAction
from plasmatui.text import is_clean
from tests.unit.bmc_redfish.conftest import Make
from tests.unit.bmc_redfish.stub import SYSTEM, Asked, Reply, Stub, error

CHASSIS = "/redfish/v1/Chassis/1"
MANAGER = "/redfish/v1/Managers/1"
LOG = f"{SYSTEM}/LogServices/SEL/Entries"
LINE = 2 * redfish_parse.TEXT_LIMIT
HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x9b31mred\u202e[bold]\r\n\x00" + "x" * 100_000


def ref(path: str) -> dict[str, str]:
    return {"@odata.id": path}


# --- sensors -----------------------------------------------------------------------------------------------------


async def test_sensors_of_thermal_and_power(stub: Stub, make: Make) -> None:
    ok = {"State": "Enabled", "Health": "OK"}
    stub.resources[CHASSIS] = {"Thermal": ref(f"{CHASSIS}/Thermal"), "Power": ref(f"{CHASSIS}/Power")}
    stub.resources[f"{CHASSIS}/Thermal"] = {
        "Temperatures": [
            {"Name": "CPU 1", "ReadingCelsius": 41, "Status": {"State": "Enabled", "Health": "Warning"}},
            {"Name": "CPU 2", "ReadingCelsius": None, "Status": {"State": "Absent"}},
            {"Name": "Inlet", "ReadingCelsius": None, "Status": {"State": "UnavailableOffline"}},
            "odd",
        ],
        "Fans": [
            {"FanName": "Fan 1", "Reading": 30, "ReadingUnits": "Percent", "Status": ok},
            {"Name": "Fan 2", "ReadingRPM": 5000, "Status": ok},
        ],
    }
    stub.resources[f"{CHASSIS}/Power"] = {
        "PowerControl": [{"PowerConsumedWatts": 210.5}],
        "Voltages": [{"Name": "P3V3", "ReadingVolts": 3.3, "Status": ok}],
        "PowerSupplies": [{"Name": "PSU 1", "Status": {"State": "Enabled", "Health": "Critical"}}],
    }
    assert await make().sensors() == (
        SensorReading("CPU 1", "temperature", 41, "C", "warning"),
        SensorReading("Inlet", "temperature", None, "C", "unknown", ("UnavailableOffline",)),
        SensorReading("Fan 1", "fan", 30, "%", "ok"),
        SensorReading("Fan 2", "fan", 5000, "RPM", "ok"),
        SensorReading("Power", "power", 210.5, "W", "unknown"),
        SensorReading("P3V3", "voltage", 3.3, "V", "ok"),
        SensorReading("PSU 1", "power supply", None, "W", "critical"),
    )


@pytest.mark.parametrize("expand", [False, True])
async def test_sensors_of_the_newer_subsystems(stub: Stub, make: Make, expand: bool) -> None:
    stub.resources["/redfish/v1/"]["ProtocolFeaturesSupported"] = {"ExpandQuery": {"NoLinks": expand}}
    stub.resources[CHASSIS] = {
        "Sensors": ref(f"{CHASSIS}/Sensors"),
        "ThermalSubsystem": ref(f"{CHASSIS}/ThermalSubsystem"),
        "PowerSubsystem": ref(f"{CHASSIS}/PowerSubsystem"),
    }
    query = "?$expand=." if expand else ""
    temperature = {"Name": "CPU", "ReadingType": "Temperature", "ReadingUnits": "Cel", "Reading": 40}
    fan = {"Name": "Fan", "SpeedPercent": {"Reading": 20, "SpeedRPM": 3000}}
    supply = {"Name": "PSU", "Status": {"Health": "OK", "State": "Enabled"}}
    stub.resources[f"{CHASSIS}/ThermalSubsystem"] = {"Fans": ref(f"{CHASSIS}/Fans")}
    stub.resources[f"{CHASSIS}/PowerSubsystem"] = {"PowerSupplies": ref(f"{CHASSIS}/PowerSupplies")}
    for name, body in (("Sensors", temperature), ("Fans", fan), ("PowerSupplies", supply)):
        path = f"{CHASSIS}/{name}"
        stub.resources[path + query] = {"Members": [{**ref(f"{path}/1"), **body} if expand else ref(f"{path}/1")]}
        stub.resources[f"{path}/1"] = body
    assert await make().sensors() == (
        SensorReading("CPU", "temperature", 40, "C", "unknown"),
        SensorReading("Fan", "fan", 3000, "RPM", "unknown"),
        SensorReading("PSU", "power supply", None, "", "ok"),
    )


async def test_a_chassis_without_sensors_has_none(stub: Stub, make: Make) -> None:
    assert await make().sensors() == ()


async def test_a_resource_that_cannot_be_read_costs_the_others_nothing(stub: Stub, make: Make) -> None:
    stub.resources[CHASSIS] = {"Thermal": ref(f"{CHASSIS}/Thermal"), "Power": ref(f"{CHASSIS}/Power")}
    stub.on("GET", f"{CHASSIS}/Thermal", Reply(raw=b"<html>"))
    stub.resources[f"{CHASSIS}/Power"] = {"PowerControl": [{"PowerConsumedWatts": 1}]}
    assert [reading.kind for reading in await make().sensors()] == ["power"]


async def test_a_bmc_that_goes_away_in_the_middle_is_not_a_machine_without_sensors(stub: Stub, make: Make) -> None:
    stub.on("GET", CHASSIS, Reply(503))
    with pytest.raises(BmcError) as caught:
        await make().sensors()
    assert caught.value.id == "bmc-unreachable"


# --- event log ---------------------------------------------------------------------------------------------------


def log(stub: Stub, numbers: list[int], size: int) -> None:
    """A log with these entries, in pages of `size`."""
    stub.system["LogServices"] = ref(f"{SYSTEM}/LogServices")
    stub.resources[f"{SYSTEM}/LogServices"] = {
        "Members": [ref(f"{SYSTEM}/LogServices/Other"), ref(f"{SYSTEM}/LogServices/SEL")]
    }
    stub.resources[f"{SYSTEM}/LogServices/Other"] = {"Id": "Lifecycle", "Entries": ref("/redfish/v1/nowhere")}
    stub.resources[f"{SYSTEM}/LogServices/SEL"] = {"Id": "SEL", "LogEntryType": "SEL", "Entries": ref(LOG)}
    entries = [{**ref(f"{LOG}/{n}"), "Id": str(n), "Message": f"event {n}", "Severity": "OK"} for n in numbers]
    for start in range(0, len(entries), size):
        page: dict[str, Any] = {"Members@odata.count": len(entries), "Members": entries[start : start + size]}
        if start + size < len(entries):
            page["Members@odata.nextLink"] = f"{LOG}?$skip={start + size}"
        stub.resources[f"{LOG}?$skip={start}"] = page
    stub.resources[LOG] = stub.resources[f"{LOG}?$skip=0"]


async def test_an_entry_of_the_event_log(stub: Stub, make: Make) -> None:
    log(stub, [1], 1)
    stub.resources[LOG]["Members"] = [
        {
            "Id": "7",
            "Created": "2026-03-01T12:00:00Z",
            "SensorType": "Fan",
            "SensorNumber": 3,
            "Message": "Fan 3 failed",
            "Severity": "Critical",
        },
        {"Id": "abc", "Created": "1970-01-01T00:00:10Z", "EntryType": "SEL", "MessageId": "X.1.0.Odd"},
    ]
    second, first = await make().sel()
    assert (first.record, first.time, first.sensor, first.event, first.severity) == (
        7,
        1772366400.0,
        "Fan 3",
        "Fan 3 failed",
        "critical",
    )
    assert (second.record, second.time, second.sensor, second.event) == (2, None, "SEL", "X.1.0.Odd")


async def test_pages_are_followed(stub: Stub, make: Make) -> None:
    log(stub, list(range(1, 8)), 3)
    assert [entry.record for entry in await make().sel()] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("order", "skip", "pages"),
    [("oldest first", False, 30), ("oldest first", True, 11), ("newest first", False, 10)],
)
async def test_a_long_log_gives_its_newest_thousand(stub: Stub, make: Make, order: str, skip: bool, pages: int) -> None:
    numbers = list(range(1, 3001))
    log(stub, numbers if order == "oldest first" else numbers[::-1], 100)
    stub.resources["/redfish/v1/"]["ProtocolFeaturesSupported"] = {"TopSkipQuery": skip}
    assert [entry.record for entry in await make().sel()] == numbers[-1000:]
    assert len([one for one in stub.asked if one.path.startswith(LOG)]) == pages


async def test_pages_that_lead_in_a_circle_end(stub: Stub, make: Make) -> None:
    log(stub, [1, 2, 3, 4], 2)
    stub.resources[f"{LOG}?$skip=2"]["Members@odata.nextLink"] = f"{LOG}?$skip=2"
    assert len(await make().sel()) == 4


async def test_a_log_of_bare_links_is_read_from_its_end(stub: Stub, make: Make) -> None:
    log(stub, [1], 1)
    stub.resources[LOG]["Members"] = [ref(f"{LOG}/{n}") for n in range(1, 151)]
    for n in range(1, 151):
        stub.resources[f"{LOG}/{n}"] = {"Id": str(n), "Message": f"event {n}"}
    assert [entry.record for entry in await make().sel()] == list(range(51, 151))


async def test_the_log_of_the_manager(stub: Stub, make: Make) -> None:
    stub.resources[MANAGER] = {"LogServices": ref(f"{MANAGER}/LogServices")}
    stub.resources[f"{MANAGER}/LogServices"] = {"Members": [ref(f"{MANAGER}/LogServices/Sel")]}
    stub.resources[f"{MANAGER}/LogServices/Sel"] = {"Entries": ref(f"{MANAGER}/E")}
    stub.resources[f"{MANAGER}/E"] = {"Members": [{"Id": "1", "Message": "hello"}]}
    assert [entry.event for entry in await make().sel()] == ["hello"]


async def test_a_bmc_without_a_log(make: Make) -> None:
    with pytest.raises(BmcError, match="no event log") as caught:
        await make().sel()
    assert caught.value.id == "unsupported"


# --- inventory ---------------------------------------------------------------------------------------------------


async def test_inventory(stub: Stub, make: Make) -> None:
    stub.system.update(
        {
            "Manufacturer": "Maker ",
            "ProcessorSummary": {"Count": 2},
            "Memory": ref(f"{SYSTEM}/Memory"),
            "Processors": ref(f"{SYSTEM}/Processors"),
        }
    )
    stub.resources[CHASSIS] = {"Id": "1", "SerialNumber": "C-1"}
    stub.resources[MANAGER] = {"Id": "bmc", "FirmwareVersion": "2.10"}
    stub.resources[f"{SYSTEM}/Memory"] = {"Members": [ref(f"{SYSTEM}/Memory/1"), ref(f"{SYSTEM}/Memory/2")]}
    stub.resources[f"{SYSTEM}/Memory/1"] = {"Id": "DIMM1", "CapacityMiB": 16384}
    stub.resources[f"{SYSTEM}/Memory/2"] = {"Id": "DIMM2", "CapacityMiB": 0, "Status": {"State": "Absent"}}
    stub.on("GET", f"{SYSTEM}/Processors", error(501))
    assert await make().inventory() == (
        FruField("System", "Manufacturer", "Maker"),
        FruField("System", "Processors", "2"),
        FruField("Chassis 1", "Serial number", "C-1"),
        FruField("Manager bmc", "Firmware", "2.10"),
        FruField("Memory DIMM1", "Capacity MiB", "16384"),
    )


# --- console -----------------------------------------------------------------------------------------------------


class FakeConsole:
    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def send_break(self) -> None:
        self.written += b"<break>"

    async def close(self) -> None:
        self.closed = True


class FakeIpmi:
    """The part of an IPMI controller that a console needs."""

    def __init__(self, target: BmcTarget) -> None:
        self.target = target
        self.console = FakeConsole()
        self.connected = False
        self.takeover = False
        self.fail = ""

    async def connect(self) -> None:
        self.connected = True

    async def open_console(
        self, on_data: Callable[[bytes], None], on_down: Callable[[str, str], None], *, takeover: bool
    ) -> Console:
        if self.fail:
            raise BmcError(self.fail, "no")
        self.takeover = takeover
        on_data(b"hello")
        return self.console

    async def close(self) -> None:
        self.connected = False


class Factory:
    def __init__(self, fail: str = "") -> None:
        self.made: list[FakeIpmi] = []
        self.fail = fail

    @property
    def ended(self) -> int:
        """Sessions that are closed again."""
        return len([one for one in self.made if not one.connected])

    def __call__(self, target: BmcTarget) -> Controller:
        self.made.append(FakeIpmi(target))
        self.made[-1].fail = self.fail
        made: Any = self.made[-1]  # only the part that is used
        return made  # type: ignore[no-any-return]


async def test_a_console_is_opened_over_ipmi_at_the_named_port(stub: Stub, make: Make) -> None:
    stub.system["SerialConsole"] = {"IPMI": {"ServiceEnabled": True, "Port": 9623}}
    factory, got = Factory(), bytearray()
    console = await make(ipmi=factory).open_console(got.extend, lambda *_: None, takeover=True)
    (ipmi,) = factory.made
    assert (ipmi.target.driver, ipmi.target.port, ipmi.target.address) == ("ipmi", 9623, "127.0.0.1")
    assert (ipmi.target.username, ipmi.target.password.reveal()) == ("admin", "s3cret-word")
    assert ipmi.takeover
    console.write(b"ls")
    console.send_break()
    await console.close()
    assert (bytes(got), ipmi.console.written, ipmi.console.closed, ipmi.connected) == (
        b"hello",
        b"ls<break>",
        True,
        False,
    )


async def test_closing_the_controller_closes_the_ipmi_session(stub: Stub, make: Make) -> None:
    stub.system["SerialConsole"] = {"IPMI": {"ServiceEnabled": True}}
    factory = Factory()
    controller = make(ipmi=factory)
    await controller.open_console(lambda _: None, lambda *_: None, takeover=False)
    assert factory.made[0].target.port is None
    assert factory.ended == 0
    await controller.close()
    assert stub.tokens == set()
    assert factory.ended == 1


async def test_a_console_that_does_not_open_leaves_no_session(stub: Stub, make: Make) -> None:
    stub.system["SerialConsole"] = {"IPMI": {"ServiceEnabled": True}}
    factory = Factory(fail="sol-in-use")
    with pytest.raises(BmcError) as caught:
        await make(ipmi=factory).open_console(lambda _: None, lambda *_: None, takeover=False)
    assert caught.value.id == "sol-in-use"
    assert not factory.made[0].connected


async def test_what_ipmi_lacks_is_the_consoles_trouble_and_not_the_bmcs(stub: Stub, make: Make) -> None:
    """Redfish answers; a firewall before port 623, or a user without IPMI, must not take power and boot device away."""
    stub.system["SerialConsole"] = {"IPMI": {"ServiceEnabled": True}}
    factory = Factory()
    controller = make(ipmi=factory)

    async def open_console(fail: str, *, takeover: bool = False) -> Console:
        factory.fail = fail
        for made in factory.made:
            made.fail = fail
        return await controller.open_console(lambda _: None, lambda *_: None, takeover=takeover)

    for fail in ("bmc-unreachable", "bmc-auth", ""):  # a login that was refused is not tried again by itself
        with pytest.raises(BmcError) as caught:
            await open_console(fail)
        assert caught.value.id == "console-silent"
    await open_console("", takeover=True)
    assert await controller.power() is Power.OFF


@pytest.mark.parametrize(
    ("system", "manager", "protocol", "outcome"),
    [
        ({"IPMI": {"ServiceEnabled": False}}, {}, {}, "console-silent"),
        ({}, {}, {"IPMI": {"ProtocolEnabled": True, "Port": 6230}}, "6230"),
        ({}, {}, {"IPMI": {"ProtocolEnabled": False}}, "console-silent"),
        ({}, {"ConnectTypesSupported": ["SSH", "IPMI"]}, {}, "None"),
        ({}, {"ConnectTypesSupported": ["IPMI"], "ServiceEnabled": False}, {}, "console-silent"),
        ({}, {"ConnectTypesSupported": ["SSH"]}, {}, "unsupported"),
        ({}, {}, {}, "unsupported"),
    ],
)
async def test_where_a_console_may_be(
    stub: Stub, make: Make, system: object, manager: object, protocol: object, outcome: str
) -> None:
    stub.system["SerialConsole"] = system
    stub.resources[MANAGER] = {"SerialConsole": manager, "NetworkProtocol": ref(f"{MANAGER}/NetworkProtocol")}
    stub.resources[f"{MANAGER}/NetworkProtocol"] = protocol
    factory = Factory()
    try:
        await make(ipmi=factory).open_console(lambda _: None, lambda *_: None, takeover=False)
        got = str(factory.made[0].target.port)
    except BmcError as caught:
        got = caught.id
    assert got == outcome


async def test_no_console_without_an_ipmi_driver(stub: Stub, make: Make) -> None:
    stub.system["SerialConsole"] = {"IPMI": {"ServiceEnabled": True}}
    with pytest.raises(BmcError) as caught:
        await make().open_console(lambda _: None, lambda *_: None, takeover=False)
    assert caught.value.id == "unsupported"


# --- what is no Redfish ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [b"<html>login</html>", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1e999}', b'{"a":' * 60_000],
)
async def test_an_answer_that_is_no_json(stub: Stub, make: Make, raw: bytes) -> None:
    stub.on("GET", SYSTEM, Reply(raw=raw))
    with pytest.raises(BmcError, match="no JSON that can be read") as caught:
        await make().power()
    assert caught.value.id == "rejected"


async def test_an_answer_that_is_too_long(stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish_http, "BODY_LIMIT", 1024**2)
    stub.on("GET", SYSTEM, Reply(raw=b" " * (1024**2 + 1)))
    with pytest.raises(BmcError, match="longer than 1 MB") as caught:
        await make().power()
    assert caught.value.id == "rejected"


async def test_a_compressed_answer(stub: Stub, make: Make) -> None:
    stub.on("GET", SYSTEM, Reply(raw=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(BmcError, match="compressed") as caught:
        await make().power()
    assert caught.value.id == "rejected"
    assert stub.seen("GET", SYSTEM)[0].headers["accept-encoding"] == "identity"


async def test_no_redfish_service(stub: Stub, make: Make) -> None:
    stub.on("GET", "/redfish/v1/", Reply(404))
    with pytest.raises(BmcError, match="no Redfish service") as caught:
        await make().connect()
    assert caught.value.id == "rejected"


async def test_a_redirect_on_the_same_host_is_followed_for_reads(stub: Stub, make: Make) -> None:
    stub.on("GET", "/redfish/v1/", Reply(308, headers={"Location": "/redfish/v1"}))
    stub.resources["/redfish/v1"] = stub.resources["/redfish/v1/"]
    stub.on("GET", "/redfish/v1", Reply(body=stub.resources["/redfish/v1/"]))
    assert await make().power() is Power.OFF


@pytest.mark.parametrize(
    "place", ["https://127.6.6.6/redfish/v1/", "//127.6.6.6/", "https://127.0.0.1:1/", "http://[", ""]
)
async def test_a_redirect_elsewhere_is_not_followed(stub: Stub, make: Make, place: str) -> None:
    stub.on("GET", SYSTEM, Reply(302, headers={"Location": place}))
    with pytest.raises(BmcError, match="redirects") as caught:
        await make().power()
    assert caught.value.id == "rejected"


async def test_a_redirect_in_a_circle(stub: Stub, make: Make) -> None:
    stub.on("GET", SYSTEM, Reply(302, headers={"Location": SYSTEM}))
    with pytest.raises(BmcError, match="in a circle"):
        await make().power()


async def test_links_lead_to_the_same_host_only(stub: Stub, make: Make) -> None:
    stub.resources["/redfish/v1/Systems"]["Members"] = [
        {"@odata.id": "nonsense"},
        {"@odata.id": "http://["},
        {"@odata.id": f"https://127.6.6.6{SYSTEM}"},
    ]
    assert await make().power() is Power.OFF
    assert stub.asked[-1].path == SYSTEM


@pytest.mark.parametrize("header", ["X-Auth-Token", "Location", "ETag"])
async def test_headers_that_cannot_be_sent_back(stub: Stub, make: Make, header: str) -> None:
    def log_in(_: Asked) -> Reply:
        stub.tokens.add("t")
        return Reply(201, {}, {"X-Auth-Token": "t", header: "\u00fc\u00fc"})

    stub.on("POST", "/redfish/v1/SessionService/Sessions", log_in)
    controller = make()
    await controller.connect()
    await controller.close()
    assert any("authorization" in one.headers for one in stub.asked) == (header == "X-Auth-Token")


def clean(value: object) -> bool:
    """Whether no text anywhere in these structs could hurt a terminal, or is longer than a line."""
    if isinstance(value, str):
        return is_clean(value) and len(value) <= LINE
    if isinstance(value, tuple):
        return all(clean(one) for one in value)
    names = getattr(type(value), "__struct_fields__", ())
    return all(clean(getattr(value, name)) for name in names)


async def test_hostile_text_is_clean_wherever_it_comes_from(stub: Stub, make: Make) -> None:
    log(stub, [1], 1)
    stub.resources[LOG]["Members"] = [dict.fromkeys(("Id", "Message", "SensorType", "Severity", "Created"), HOSTILE)]
    stub.system.update(dict.fromkeys(("Manufacturer", "Model", "SerialNumber", "PowerState", "UUID"), HOSTILE))
    stub.resources[CHASSIS] = {"Id": HOSTILE, "Model": HOSTILE, "Thermal": ref(f"{CHASSIS}/Thermal")}
    odd = {"Name": HOSTILE, "ReadingCelsius": 1, "Status": {"State": HOSTILE, "Health": HOSTILE}}
    stub.resources[f"{CHASSIS}/Thermal"] = {"Temperatures": [odd], "Fans": [odd]}
    controller = make()
    for found in (await controller.sensors(), await controller.sel(), await controller.inventory()):
        assert found
        assert clean(found)
    assert await controller.power() is Power.UNKNOWN


NAMES = st.sampled_from(
    [
        "@odata.id", "Members", "Members@odata.nextLink", "Members@odata.count", "Links", "Sessions", "Systems",
        "Chassis", "ManagedBy", "Boot", "BootSourceOverrideTarget", "BootSourceOverrideEnabled",
        "BootSourceOverrideMode", "PowerState", "Actions", "#ComputerSystem.Reset", "target",
        "ResetType@Redfish.AllowableValues", "@Redfish.ActionInfo", "Parameters", "Name", "AllowableValues",
        "IndicatorLED", "LocationIndicatorActive", "SerialConsole", "IPMI", "Port", "ServiceEnabled", "LogServices",
        "Entries", "Id", "Message", "Created", "Severity", "SensorNumber", "Thermal", "Temperatures", "Fans",
        "ReadingCelsius", "Power", "PowerControl", "Sensors", "Reading", "ReadingType", "Status", "State", "Health",
        "Processors", "Memory", "error", "@Message.ExtendedInfo", "MessageId", "ProtocolFeaturesSupported",
        "ExpandQuery", "NoLinks", "TopSkipQuery", "NetworkProtocol", "UUID",
    ]
)  # fmt: skip
PATHS = st.sampled_from(["/a", "/b", "/c?x=1", "//evil/x", "http://[::1", "/\u00e4 \x00", "SEL", "On", "Pxe", "UEFI"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | PATHS
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=25
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=12)


@given(bodies=st.lists(OBJECTS, min_size=1, max_size=4), statuses=st.lists(st.sampled_from([200, 200, 200, 201, 400])))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_json_comes_nothing_but_bmc_errors_go(
    bodies: list[dict[str, Any]], statuses: list[int], monkeypatch: pytest.MonkeyPatch, stub: Stub
) -> None:
    """Every resource answers with one of the bodies; all that a controller can do is done."""
    count = 0

    async def answer(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        headers = {"X-Auth-Token": "t", "Location": "/s"} if request.method == "POST" else {}
        status = statuses[count % len(statuses)] if statuses else 200
        data = json.dumps(_finite(bodies[count % len(bodies)])).encode()
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(data))

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer)
    monkeypatch.setattr("plasmatui.bmc.redfish.CYCLE_LIMIT", 0.01)
    monkeypatch.setattr("plasmatui.bmc.redfish.CYCLE_POLL", 0.01)
    controller = RedfishController(stub.target(False), tls=TlsContexts(), ipmi=Factory())
    calls: list[Callable[[], Any]] = [
        controller.connect,
        controller.power,
        controller.boot_device,
        lambda: controller.set_boot_device(BootDevice(Device.PXE, uefi=True)),
        lambda: controller.set_boot_device(BootDevice(Device.NONE)),
        *(lambda action=action: controller.order_power(action) for action in PowerAction),
        lambda: controller.identify(-1),
        controller.sensors,
        controller.sel,
        controller.inventory,
        lambda: controller.open_console(lambda _: None, lambda *_: None, takeover=False),
    ]
    for call in calls:
        try:
            found = await call()
        except BmcError as error:
            found = (error.message,)
        assert not isinstance(found, tuple) or clean(found)
    assert controller.describe(PowerAction.CYCLE)
    await controller.close()


def _finite(value: Any) -> Any:
    """JSON knows no infinities; httpx refuses to write them."""
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return {name: _finite(one) for name, one in value.items()} if isinstance(value, dict) else value
