"""Paths and the common shape of Redfish resources (DSP0266)."""

from __future__ import annotations

from plasmatui.sim.webserver import Json

ROOT = "/redfish/v1"
SYSTEM = f"{ROOT}/Systems/1"
CHASSIS = f"{ROOT}/Chassis/1"
MANAGER = f"{ROOT}/Managers/bmc"
ENTRIES = f"{SYSTEM}/LogServices/SEL/Entries"
SESSIONS = f"{ROOT}/SessionService/Sessions"
PAGE = 20

OK = {"State": "Enabled", "Health": "OK"}


def resource(path: str, kind: str, name: str, **fields: object) -> Json:
    """A resource with the properties that all of them have."""
    return {"@odata.id": path, "@odata.type": f"#{kind}", "Id": path.rsplit("/", 1)[-1], "Name": name, **fields}


def collection(path: str, kind: str, members: list[str]) -> Json:
    return {
        "@odata.id": path,
        "@odata.type": f"#{kind}Collection.{kind}Collection",
        "Name": f"{kind} collection",
        "Members": [{"@odata.id": member} for member in members],
        "Members@odata.count": len(members),
    }


def link(path: str) -> Json:
    return {"@odata.id": path}
