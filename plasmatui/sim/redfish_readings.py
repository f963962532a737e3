"""What a Redfish BMC tells of its sensors: Thermal, Power and Sensors of the chassis (DSP0268)."""

from __future__ import annotations

from plasmatui.sim import sdr
from plasmatui.sim.machine import Machine
from plasmatui.sim.redfish_shapes import CHASSIS, OK, collection, resource
from plasmatui.sim.webserver import Json


class Readings:
    """The sensors of one machine, read anew at each request."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _value(self, sensor: sdr.Sensor) -> float | None:
        """The value with the resolution that the sensor has over IPMI."""
        value = self._machine.reading(sensor)
        return None if value is None else sensor.value(sensor.raw(value))

    def _of_kind(self, kind: int) -> list[sdr.Sensor]:
        return [sensor for sensor in sdr.SENSORS if sensor.kind == kind]

    def thermal(self) -> Json:
        path = f"{CHASSIS}/Thermal"
        temperatures = [
            {
                "@odata.id": f"{path}#/Temperatures/{index}",
                "MemberId": str(index),
                "Name": sensor.name,
                "ReadingCelsius": self._value(sensor),
                "UpperThresholdNonCritical": sensor.warning,
                "UpperThresholdCritical": sensor.critical,
                "Status": _status(self._value(sensor)),
            }
            for index, sensor in enumerate(self._of_kind(sdr.TEMPERATURE))
        ]
        fans = [
            {
                "@odata.id": f"{path}#/Fans/{index}",
                "MemberId": str(index),
                "Name": sensor.name,
                "Reading": self._value(sensor),
                "ReadingUnits": "RPM",
                "LowerThresholdCritical": sensor.low,
                "Status": _status(self._value(sensor) if self._machine.powered else None),
            }
            for index, sensor in enumerate(self._of_kind(sdr.FAN))
        ]
        return resource(path, "Thermal.v1_7_1.Thermal", "Thermal", Temperatures=temperatures, Fans=fans)

    def power(self) -> Json:
        path = f"{CHASSIS}/Power"
        watts = self._value(sdr.REPOSITORY.sensors[30])
        voltages = [
            {
                "@odata.id": f"{path}#/Voltages/{index}",
                "MemberId": str(index),
                "Name": sensor.name,
                "ReadingVolts": self._value(sensor),
                "UpperThresholdCritical": sensor.critical,
                "LowerThresholdCritical": sensor.low,
                "Status": _status(self._value(sensor)),
            }
            for index, sensor in enumerate(self._of_kind(sdr.VOLTAGE))
        ]
        supplies = [
            {"MemberId": str(n), "Name": f"PSU{n + 1}", "PowerCapacityWatts": 1100, "Status": OK} for n in range(2)
        ]
        return resource(
            path,
            "Power.v1_7_1.Power",
            "Power",
            PowerControl=[
                {
                    "MemberId": "0",
                    "Name": "System power",
                    "PowerConsumedWatts": watts,
                    "PowerCapacityWatts": 1100,
                    "Status": OK,
                }
            ],
            Voltages=voltages,
            PowerSupplies=supplies,
        )

    def sensors(self) -> Json:
        path = f"{CHASSIS}/Sensors"
        return collection(path, "Sensor", [f"{path}/{_slug(s)}" for s in sdr.SENSORS if not s.discrete])

    def sensor(self, name: str) -> Json | None:
        for sensor in sdr.SENSORS:
            if not sensor.discrete and _slug(sensor) == name:
                kind, units = _READINGS[sensor.kind]
                return resource(
                    f"{CHASSIS}/Sensors/{name}",
                    "Sensor.v1_8_0.Sensor",
                    sensor.name,
                    Reading=self._value(sensor),
                    ReadingType=kind,
                    ReadingUnits=units,
                    Thresholds={
                        key: {"Reading": limit}
                        for key, limit in (
                            ("UpperCaution", sensor.warning),
                            ("UpperCritical", sensor.critical),
                            ("LowerCritical", sensor.low),
                        )
                        if limit is not None
                    },
                    Status=_status(self._value(sensor)),
                )
        return None


_READINGS = {
    sdr.TEMPERATURE: ("Temperature", "Cel"),
    sdr.FAN: ("Rotational", "{rev}/min"),
    sdr.VOLTAGE: ("Voltage", "V"),
    sdr.OTHER_UNITS: ("Power", "W"),
}


def _slug(sensor: sdr.Sensor) -> str:
    return sensor.name.replace(" ", "_")


def _status(value: float | None) -> Json:
    return {"State": "UnavailableOffline"} if value is None else dict(OK)
