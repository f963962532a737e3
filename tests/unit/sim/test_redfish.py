"""Redfish BMCs seen by httpx, with the rack's certificate authority verified."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from plasmatui.model.bmc import Device
from plasmatui.sim import redfish_shapes as tree
from plasmatui.sim.rack import Rack, RackOptions
from plasmatui.sim.redfish import SESSION_LIMIT

LOGIN = {"UserName": "admin", "Password": "password"}


@pytest.fixture
async def rack() -> AsyncIterator[Rack]:
    async with Rack(RackOptions(nodes=1, redfish=1, on=0, port=0, speed=200, password="password")) as running:
        yield running


def client(
    rack: Rack, *, auth: tuple[str, str] | None = ("admin", "password"), timeout: float = 5
) -> httpx.AsyncClient:
    entry = rack.nodes["node01"].entry
    context = ssl.create_default_context(cafile=str(rack.ca_path))
    base = f"https://{entry.address}:{entry.port}"
    return httpx.AsyncClient(base_url=base, verify=context, auth=auth, timeout=timeout, trust_env=False)


async def test_conversations_end_with_the_bmc(rack: Rack) -> None:
    async with client(rack) as http:
        assert (await http.get("/redfish/v1")).status_code == 200
        bmc = rack.nodes["node01"].redfish
        assert bmc is not None
        assert len(bmc._serving) == 1
        await bmc.stop()
        assert not bmc._serving


async def test_every_link_leads_somewhere(rack: Rack) -> None:
    async with client(rack) as http:
        waiting, seen = ["/redfish/v1"], set[str]()
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            answer = await http.get(path)
            assert answer.status_code == 200, path
            body = answer.json()
            assert body["@odata.id"] == path
            stack: list[object] = [body]
            while stack:
                value = stack.pop()
                if isinstance(value, dict):
                    link = value.get("@odata.id")
                    if isinstance(link, str) and "#" not in link:
                        waiting.append(link)
                    stack.extend(value.values())
                elif isinstance(value, list):
                    stack.extend(value)
    assert len(seen) > 35
    assert tree.SYSTEM in seen


async def test_only_the_root_is_open(rack: Rack) -> None:
    async with client(rack, auth=None) as http:
        assert (await http.get("/redfish/v1/")).status_code == 200
        refused = await http.get("/redfish/v1/Systems")
        assert refused.status_code == 401
        assert "Basic" in refused.headers["WWW-Authenticate"]
        assert (await http.get(tree.SYSTEM, headers={"X-Auth-Token": "guess"})).status_code == 401
    async with client(rack, auth=("admin", "wrong")) as http:
        assert (await http.get(tree.SYSTEM)).status_code == 401


async def test_sessions_are_made_used_limited_and_ended(rack: Rack) -> None:
    async with client(rack, auth=None) as http:
        answers = [await http.post(tree.SESSIONS, json=LOGIN) for _ in range(SESSION_LIMIT)]
        assert {answer.status_code for answer in answers} == {201}
        assert rack.sessions == SESSION_LIMIT
        refused = await http.post(tree.SESSIONS, json=LOGIN)
        assert refused.status_code == 503
        assert "SessionLimitExceeded" in refused.json()["error"]["code"]
        token, location = answers[0].headers["X-Auth-Token"], answers[0].headers["Location"]
        headers = {"X-Auth-Token": token}
        assert (await http.get(tree.SYSTEM, headers=headers)).status_code == 200
        assert (await http.delete(location, headers=headers)).status_code == 204
        assert (await http.get(tree.SYSTEM, headers=headers)).status_code == 401
        assert (await http.post(tree.SESSIONS, json=LOGIN)).status_code == 201
        assert (await http.post(tree.SESSIONS, json={**LOGIN, "Password": "wrong"})).status_code == 401


async def test_power(rack: Rack) -> None:
    machine = rack.machines["node01"]
    async with client(rack) as http:
        system = (await http.get(tree.SYSTEM)).json()
        assert system["PowerState"] == "Off"
        reset = system["Actions"]["#ComputerSystem.Reset"]
        assert "PowerCycle" in reset["ResetType@Redfish.AllowableValues"]
        assert (await http.post(reset["target"], json={"ResetType": "GracefulShutdown"})).status_code == 409
        assert (await http.post(reset["target"], json={"ResetType": "Nonsense"})).status_code == 400
        for kind, state in (("On", "On"), ("ForceOff", "Off")):
            assert (await http.post(reset["target"], json={"ResetType": kind})).status_code == 204
            for _ in range(200):
                if (await http.get(tree.SYSTEM)).json()["PowerState"] == state:
                    break
            assert machine.powered is (state == "On")


async def test_boot_override_reads_back(rack: Rack) -> None:
    machine = rack.machines["node01"]
    async with client(rack) as http:
        boot = {
            "BootSourceOverrideTarget": "Pxe",
            "BootSourceOverrideEnabled": "Once",
            "BootSourceOverrideMode": "UEFI",
        }
        assert (await http.patch(tree.SYSTEM, json={"Boot": boot})).status_code == 204
        told = (await http.get(tree.SYSTEM)).json()["Boot"]
        assert {name: told[name] for name in boot} == boot
        assert (machine.flags.device, machine.flags.persistent, machine.flags.efi) == (Device.PXE, False, True)
        await http.patch(tree.SYSTEM, json={"Boot": {"BootSourceOverrideEnabled": "Continuous"}})
        assert machine.flags.persistent
        await http.patch(tree.SYSTEM, json={"Boot": {"BootSourceOverrideEnabled": "Disabled"}})
        assert machine.flags.device is Device.NONE
        for wrong in ({"Boot": {"BootSourceOverrideTarget": "Tape"}}, {"Boot": 1}, {"Nonsense": 1}):
            assert (await http.patch(tree.SYSTEM, json=wrong)).status_code == 400
        await rack.set_fault("node01", "override-ignored")
        assert (await http.patch(tree.SYSTEM, json={"Boot": boot})).status_code == 204
        assert (await http.get(tree.SYSTEM)).json()["Boot"]["BootSourceOverrideTarget"] == "None"


async def test_identify_light_by_both_names(rack: Rack) -> None:
    machine = rack.machines["node01"]
    async with client(rack) as http:
        for body, lit in (
            ({"LocationIndicatorActive": True}, True),
            ({"LocationIndicatorActive": False}, False),
            ({"IndicatorLED": "Blinking"}, True),
            ({"IndicatorLED": "Off"}, False),
        ):
            assert (await http.patch(tree.CHASSIS, json=body)).status_code == 204
            assert bool(machine.identify) is lit
            assert (await http.get(tree.CHASSIS)).json()["LocationIndicatorActive"] is lit
        assert (await http.patch(tree.CHASSIS, json={"IndicatorLED": "Purple"})).status_code == 400


async def test_event_log_comes_in_pages(rack: Rack) -> None:
    sel = rack.machines["node01"].sel
    for _ in range(45):
        sel.log(0x1D, 0, b"\x01\xff\xff")
    async with client(rack) as http:
        path: str | None = tree.ENTRIES
        found: list[str] = []
        while path is not None:
            page = (await http.get(path)).json()
            assert page["Members@odata.count"] == len(sel)
            found += [member["Id"] for member in page["Members"]]
            path = page.get("Members@odata.nextLink")
        assert found == [str(number) for number, _ in sel.records()]
        assert (await http.get(f"{tree.ENTRIES}?$skip=x")).status_code == 400
        await http.post(f"{tree.SYSTEM}/LogServices/SEL/Actions/LogService.ClearLog", json={})
        assert len(sel) == 0


async def test_unchanged_resources_are_not_sent_again(rack: Rack) -> None:
    async with client(rack) as http:
        first = await http.get(tree.SYSTEM)
        again = await http.get(tree.SYSTEM, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_faults(rack: Rack) -> None:
    async with client(rack, timeout=0.4) as http:
        await rack.set_fault("node01", "bmc-slots")
        assert (await http.post(tree.SESSIONS, json=LOGIN)).status_code == 503
        await rack.clear_faults("node01")
        await rack.set_fault("node01", "bmc-auth")
        assert (await http.get(tree.SYSTEM)).status_code == 401
        await rack.clear_faults("node01")
        await rack.set_fault("node01", "bmc-dead")
        with pytest.raises(httpx.TimeoutException):
            await http.get(tree.SYSTEM)
        await rack.clear_faults("node01")
        assert (await http.get(tree.SYSTEM)).status_code == 200
        await rack.set_fault("node01", "sol-disabled")
        assert (await http.get(tree.SYSTEM)).json()["SerialConsole"]["IPMI"]["ServiceEnabled"] is False


async def test_expired_certificate_comes_and_goes(rack: Rack) -> None:
    await rack.set_fault("node01", "certificate-expired")
    async with client(rack) as http:
        with pytest.raises(httpx.ConnectError, match="expired"):
            await http.get("/redfish/v1/")
    await rack.clear_faults("node01")
    async with client(rack) as http:
        assert (await http.get("/redfish/v1/")).status_code == 200


async def test_odd_requests(rack: Rack) -> None:
    async with client(rack) as http:
        assert (await http.get("/nothing")).status_code == 404
        assert (await http.put(tree.SYSTEM, json={})).status_code == 405
        assert (await http.post(tree.SESSIONS, content=b"{")).status_code == 400
        assert (await http.post(tree.SESSIONS, content=b"x" * 70000)).status_code == 413
        assert (await http.get("/redfish/v1/", headers={"X-Long": "x" * 20000})).status_code == 431
        assert (await http.get("/redfish/v1/")).status_code == 200
