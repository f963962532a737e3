"""Commands of a simulated host that pack files and unpack them."""

from __future__ import annotations

import asyncio
import posixpath
import shutil

from plasmatui.sim.arguments import Options
from plasmatui.sim.nodeshell import Call, Command
from plasmatui.sim.nodetar import pack, unpack


async def _tar(call: Call) -> int:
    """`tar -C DIR -xpf-` from the input, `tar -C DIR -cf- PATH...` to the output; `z` for gzip, `--zstd`."""
    arguments = call.arguments
    if arguments and not arguments[0].startswith("-"):
        arguments = [f"-{arguments[0]}", *arguments[1:]]
    options = Options(arguments, ("C", "f", "exclude", "strip-components"), aliases={
        "directory": "C", "extract": "x", "create": "c", "file": "f", "gzip": "z"})  # fmt: skip
    directory, from_pipe = options.get("C", "/"), options.get("f", "-") == "-"
    if "x" in options:
        archive = await call.input() if from_pipe else call.files.read(options["f"])
        if "zstd" in options:
            archive = await _through_zstd(archive, "-dcq")
        strip = int(options.get("strip-components", "0"))
        problem = unpack(call.files, directory, archive, strip=strip, owners="same-owner" in options)
        return call.fail(f"tar: {problem}", 2) if problem else 0
    if call.files.find(posixpath.join(directory, options.rest[0])) is None:
        return call.fail(f"tar: {options.rest[0]}: Cannot stat: No such file or directory", 2)
    data = pack(call.files, directory, options.rest, compressed="z" in options, exclude=options.each("exclude"))
    if "zstd" in options:
        data = await _through_zstd(data, "-cq")
    if from_pipe:
        call.write(data)
    else:
        call.files.write(options["f"], data)
    return 0


async def _through_zstd(data: bytes, *options: str) -> bytes:
    """What the zstd of this host makes of it; nothing when it fails."""
    process = await asyncio.create_subprocess_exec(
        "zstd", *options, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return (await process.communicate(data))[0]


async def _zstd(call: Call) -> int:
    call.write(await _through_zstd(await call.input(), *call.arguments))
    return 0


COMMANDS: dict[str, Command] = {"tar": _tar, **({"zstd": _zstd} if shutil.which("zstd") else {})}
