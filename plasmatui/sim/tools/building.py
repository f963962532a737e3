"""Building on the provisioning host: derivations, phases, times, and what a failure says."""

from __future__ import annotations

from plasmatui.sim.builds import Build, ImagePart, Toplevel, store_hash
from plasmatui.sim.tools.imagefiles import write_part
from plasmatui.sim.tools.nixlog import (
    BUILD,
    BUILDS,
    COPY_PATHS,
    DEBUG,
    LOG_LINE,
    PROGRESS,
    REALISE,
    SET_EXPECTED,
    SET_PHASE,
    UNKNOWN,
    NixLog,
)
from plasmatui.sim.tools.site import Site, ToolError

# name and seconds of what a new system needs built
_STEPS = (("system-units", 4.0), ("etc", 3.0), ("initrd-linux", 9.0))
_LAST_SECONDS, _SCRIPT_SECONDS = 4.0, 1.5


def drv_path(build: Build) -> str:
    """The derivation of a build."""
    name = build.path.partition("-")[2]
    return f"/nix/store/{store_hash('drv', build.path)}-{name}.drv"


def _steps(build: Build) -> list[tuple[str, float]]:
    """Derivations to build, with their times; the last one is the build's own."""
    if not isinstance(build, Toplevel):
        return [(drv_path(build), _SCRIPT_SECONDS)]
    steps = [(f"/nix/store/{store_hash(name, build.path)}-{name}.drv", seconds) for name, seconds in _STEPS]
    return [*steps, (drv_path(build), _LAST_SECONDS)]


async def build_all(site: Site, builds: list[Build], broken: list[Build], log: NixLog) -> None:
    """Build what the store lacks, one derivation after the other.

    Raises:
        ToolError: a build of `broken` failed; the log has it.
    """
    number = log.start(UNKNOWN, "querying info about missing paths", level=DEBUG)
    known = site.builds()
    new = [build for build in builds if build.path not in known or build in broken]
    log.stop(number)
    if not new:
        return
    steps = [(drv, seconds, build) for build in new for drv, seconds in _steps(build)]
    count = len(steps)
    log.message("this derivation will be built:" if count == 1 else f"these {count} derivations will be built:")
    for drv, _, _ in steps:
        log.message(f"  {drv}")
    realise, umbrella, paths = (log.start(kind, level=0) for kind in (REALISE, BUILDS, COPY_PATHS))
    try:
        for done, (drv, seconds, build) in enumerate(steps):
            _progress(log, realise, umbrella, paths, done, count, running=1)
            own = drv == drv_path(build)
            await _one(site, drv, seconds, log, failing=own and build in broken, totals=(umbrella, done, count))
            if own:
                if isinstance(build, ImagePart):
                    write_part(site.local(build.path), build)
                site.add(build)
        _progress(log, realise, umbrella, paths, count, count, running=0)
    finally:
        for activity in (paths, umbrella, realise):
            log.stop(activity)


def _progress(log: NixLog, realise: int, umbrella: int, paths: int, done: int, count: int, *, running: int) -> None:
    log.result(umbrella, PROGRESS, done, count, running, 0)
    log.result(paths, PROGRESS, 0, 0, 0, 0)
    log.result(realise, SET_EXPECTED, 101, 0)
    log.result(realise, SET_EXPECTED, 100, 0)


async def _one(
    site: Site, drv: str, seconds: float, log: NixLog, *, failing: bool, totals: tuple[int, int, int]
) -> None:
    """Build one derivation.

    Raises:
        ToolError: it fails.
    """
    number = log.start(BUILD, f"building '{drv}'", [drv, "", 1, 1])
    lines = ["unpacking sources", "building", "installing"]
    try:
        log.result(number, SET_PHASE, "buildPhase")
        for line in lines:
            await site.sleep(seconds / len(lines))
            log.result(number, LOG_LINE, f"{line} {drv.partition('-')[2].removesuffix('.drv')}")
        if failing:
            log.result(number, LOG_LINE, "error: builder failed: assertion `config.valid' failed")
            umbrella, done, count = totals
            log.result(umbrella, PROGRESS, done, count, 0, 1)
            raise ToolError(
                f"error: Cannot build '{drv}'.\n       Reason: builder failed with exit code 3.\n"
                f"       Output paths:\n         {drv.removesuffix('.drv')}\n       Last 1 log lines:\n"
                "       > error: builder failed: assertion `config.valid' failed\n"
                f"       For full logs, run:\n         nix log {drv}"
            )
    finally:
        log.stop(number)
