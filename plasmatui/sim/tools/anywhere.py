"""The stand-in of `nixos-anywhere`: makes a node's installer do what the real program makes it do, with its output.

Texts, order and exit codes: `nixos-anywhere.sh` 1.13 and recorded runs of it. Killed, it leaves the node at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import posixpath
import tarfile
from pathlib import Path

import asyncssh

from plasmatui.sim.builds import Build, DiskoScript, Toplevel
from plasmatui.sim.tools import nix
from plasmatui.sim.tools.anywhereargs import Arguments, abort, attribute, read
from plasmatui.sim.tools.building import build_all
from plasmatui.sim.tools.copying import copy_builds
from plasmatui.sim.tools.evaluate import known_node, parse, to_build
from plasmatui.sim.tools.nixlog import NixLog
from plasmatui.sim.tools.site import Site, ToolError, complain, say
from plasmatui.sim.tools.sshclient import Login, answers, log_in, remote

_SCRIPTS = {"disko": "diskoScript", "format": "formatScript", "mount": "mountScript"}
_COPY_ID_RETRY, _GONE_RETRY, _BACK_RETRY = 3.0, 1.0, 5.0
_KEXEC_FILES = ("kexec/", "kexec/bzImage", "kexec/initrd", "kexec/kexec", "kexec/ip", "kexec/run")


async def run(site: Site, arguments: list[str]) -> int:
    """One run; its exit code."""
    return await _Run(site, read(arguments)).run()


class _Run:
    def __init__(self, site: Site, arguments: Arguments) -> None:
        self._site = site
        self._arguments = arguments
        settings = nix.settings() | arguments.options
        self._log = NixLog(path=settings.get("json-log-path", ""), build_logs=arguments.build_logs)
        self._login = Login("", "")
        self._disko: DiskoScript | None = None
        self._system: Toplevel | None = None
        self._late = ""

    async def run(self) -> int:
        asked = self._arguments
        if asked.vm_test:
            raise ToolError(f"error: flake '{asked.flake.partition('#')[0]}' does not provide attribute 'installTest'")
        if asked.store_paths is not None:
            self._take_store_paths(*asked.store_paths)
        elif asked.build_on != "remote":
            await self._build_first()
        words = ["-p", asked.port] if asked.port else []
        words += ["-i", asked.key] if asked.key else []
        user_host = asked.host
        if "kexec" not in asked.phases:
            user_host = f"root@{asked.host.rpartition('@')[2]}"
        self._login = Login.parse(user_host, [*asked.ssh, *words])
        if not asked.key:
            complain(
                "Warning: Identity file /tmp/tmp.Wc1dYbGVzE/nixos-anywhere not accessible: No such file or directory."
            )
        complain("Pseudo-terminal will not be allocated because stdin is not a terminal.\r")
        await self._upload_keys()
        facts = await self._facts()
        await self._work(facts)
        say("### Done! ###")
        return 0

    async def _work(self, facts: dict[str, str]) -> None:
        asked = self._arguments
        if "kexec" in asked.phases and (facts["isInstaller"] != "y" or asked.force_kexec):
            await self._kexec()
            if (await self._facts())["isInstaller"] != "y":
                raise abort("Failed to kexec into NixOS installer")
        if self._late or (self._system is None and asked.build_on != "remote"):
            raise ToolError(self._late)
        async with await log_in(self._login) as connection:
            if asked.hardware is not None:
                await self._hardware(connection, *asked.hardware)
            if "disko" in asked.phases:
                await self._format(connection)
            if "install" in asked.phases:
                await self._install(connection)
            if "reboot" not in asked.phases:
                return
            say("### Rebooting ###")
            await self._remote(connection, "nohup sh -c 'sleep 6 && reboot' >/dev/null 2>&1 &")
            say("### Waiting for the machine to become unreachable due to reboot ###")
            # Where time runs fast the machine may be back before it is missed: then our connection tells.
            while not connection.is_closed() and await answers(self._login):
                if not self._login.strict:
                    complain(
                        f"Warning: Permanently added '{self._login.place}' (ED25519) to the list of known hosts.\r"
                    )
                await self._pause(_GONE_RETRY)
        complain(f"ssh: connect to host {self._login.host} port {self._login.port}: Connection refused\r")

    async def _pause(self, seconds: float) -> None:
        """Between two tries; never so short that nothing else runs."""
        await self._site.sleep(seconds)
        await asyncio.sleep(0.02)

    async def _remote(self, connection: asyncssh.SSHClientConnection, line: str, data: bytes | None = None) -> None:
        """A step on the node; its failure is ours."""
        code, _ = await remote(connection, self._login, line, data=data)
        if code:
            raise ToolError("", code)

    # What is installed

    def _take_store_paths(self, script: str, system: str) -> None:
        known = self._site.builds()
        disko, toplevel = known.get(script), known.get(system)
        if not isinstance(disko, DiskoScript) or not isinstance(toplevel, Toplevel):
            raise abort(f"{script} and {system} must be existing store-paths")
        self._disko, self._system = disko, toplevel

    def _installables(self) -> tuple[str, str]:
        base = attribute(self._arguments.flake)
        build = f"{base}.config.system.build"
        return f"{build}.{_SCRIPTS[self._arguments.disko_mode]}", f"{build}.toplevel"

    async def _build_first(self) -> None:
        """Evaluate and build here. With `auto` a wrong name is only told after the node was looked at."""
        try:
            builds, broken = await self._evaluate()
        except ToolError as error:
            if self._arguments.build_on == "auto":
                self._late = str(error)
                return
            raise
        try:
            for build in builds:
                await build_all(self._site, [build], [build] if build in broken else [], self._log)
        except ToolError as error:
            self._log.error(str(error))
            raise ToolError("", error.code) from None

    async def _evaluate(self) -> tuple[list[Build], list[Build]]:
        builds: list[Build] = []
        broken: list[Build] = []
        for text in self._installables():
            installable = parse(text)
            await self._site.sleep(nix.EVALUATION_SECONDS)
            build = to_build(installable)
            builds.append(build)
            if installable.flake.configuration(known_node(installable)).broken and isinstance(build, Toplevel):
                broken.append(build)
        for build in builds:
            if isinstance(build, DiskoScript):
                self._disko = build
            elif isinstance(build, Toplevel):
                self._system = build
        return builds, broken

    # The node

    async def _upload_keys(self) -> None:
        say("### Uploading install SSH keys ###")
        key = f"{self._arguments.key or '/tmp/tmp.Wc1dYbGVzE/nixos-anywhere'}.pub"  # noqa: S108 - only shown
        while True:
            complain(f'/usr/bin/ssh-copy-id: INFO: Source of key(s) to be installed: "{key}"')
            complain("/usr/bin/ssh-copy-id: INFO: attempting to log in with the new key(s), "
                     "to filter out any that are already installed")  # fmt: skip
            try:
                async with await log_in(self._login):
                    break
            except ToolError as error:
                text = str(error).splitlines()[-1] + "\r"
                complain(f"\n/usr/bin/ssh-copy-id: ERROR: {text}\n" if "denied" not in text else text)
            await self._pause(_COPY_ID_RETRY)
        complain("/usr/bin/ssh-copy-id: INFO: 1 key(s) remain to be installed -- "
                 "if you are prompted now it is to install the new keys")  # fmt: skip
        say("\nNumber of key(s) added: 1\n\nNow try logging into the machine, with: "
            f"\"ssh -i {key.removesuffix('.pub')} '{self._login.user}@{self._login.host}'\"\n"
            "and check to make sure that only the key(s) you wanted were added.\n")  # fmt: skip

    async def _facts(self) -> dict[str, str]:
        say("### Gathering machine facts ###")
        async with await log_in(self._login) as connection:
            code, text = await remote(connection, self._login, "cat /etc/os-release; id -u", show=False)
        if code:
            raise abort("Retrieving host facts via SSH failed. Check with --debug for the root cause, "
                        "unless you have done so already")  # fmt: skip
        values = dict(line.split("=", 1) for line in text.decode(errors="replace").splitlines() if "=" in line)
        values = {name: value.strip('"') for name, value in values.items()}
        nixos = values.get("ID") == "nixos"
        return {"isInstaller": "y" if nixos and values.get("VARIANT_ID") == "installer" else "n"}

    async def _kexec(self) -> None:
        say("### Switching system into kexec ###")
        async with await log_in(self._login) as connection:
            await self._site.sleep(6.0)
            for text in ("Downloading kexec tarball, this may take a moment...", *_KEXEC_FILES):
                say(text)
            code, text_ = await remote(connection, self._login, "sudo -n /root/kexec/kexec/run")
            if code or b"machine will boot into nixos" not in text_:
                say("Kexec may have failed - check output above")
                raise ToolError(f"Remote output log:\n{text_.decode(errors='replace')}Kexec failed")
            while not connection.is_closed() and await answers(self._login):
                await self._pause(_GONE_RETRY)
        later = self._arguments.later_port
        options = [*self._arguments.ssh, "-p", later, *(["-i", self._arguments.key] if self._arguments.key else [])]
        self._login = Login.parse(f"root@{self._login.host}", options)
        while True:
            with contextlib.suppress(ToolError):
                async with await log_in(self._login):
                    break
            complain(f"ssh: connect to host {self._login.host} port {self._login.port}: Connection refused\r")
            await self._pause(_BACK_RETRY)

    async def _hardware(self, connection: asyncssh.SSHClientConnection, backend: str, target: str) -> None:
        if backend == "nixos-facter":
            say("### Generating facter.json using nixos-facter ###")
            text = b'{"version": 1, "system": "x86_64-linux", "virtualisation": "none"}\n'
        else:
            say("### Generating hardware-configuration.nix using nixos-generate-config ###")
            _, text = await remote(
                connection, self._login, "nixos-generate-config --show-hardware-config --no-filesystems", show=False
            )
        _write(Path(target), text)

    async def _copy(self, connection: asyncssh.SSHClientConnection, build: Build, root: str = "") -> None:
        try:
            await copy_builds(connection, self._login, [build], self._log, root=root)
        except ToolError as error:
            self._log.error(str(error))
            raise ToolError("", error.code) from None

    async def _format(self, connection: asyncssh.SSHClientConnection) -> None:
        for path, local in self._arguments.keys:
            say(f"### Uploading {local} to {path} ###")
            data = await asyncio.to_thread(Path(local).read_bytes)
            await self._remote(connection, f"install -D -m 600 /dev/stdin {path}", data)
        if self._arguments.build_on == "remote" and self._disko is None:
            say("### Building disko script ###")
            await self._evaluate()
            await self._site.sleep(3.0)
        assert self._disko is not None
        await self._copy(connection, self._disko)
        say("### Formatting hard drive with disko ###")
        await self._remote(connection, self._disko.path)

    async def _install(self, connection: asyncssh.SSHClientConnection) -> None:
        asked = self._arguments
        if asked.build_on == "remote" and asked.store_paths is None:
            say("### Building the system closure ###")
            if self._system is None:
                await self._evaluate()
            complain("don't know how to build these paths:")
            await self._site.sleep(25.0)
        else:
            say("### Uploading the system closure ###")
        assert self._system is not None
        await self._copy(connection, self._system, "/mnt")
        if asked.copy_host_keys:
            await self._remote(
                connection,
                "mkdir -p /mnt/etc/ssh && cp /etc/ssh/ssh_host_ed25519_key /mnt/etc/ssh/ssh_host_ed25519_key",
            )
        if asked.extra_files:
            say("### Copying extra files ###")
            await self._remote(connection, "tar -C /mnt -xpf- && chmod 755 /mnt", _packed(Path(asked.extra_files)))
        for path, owner in asked.owners:
            await self._remote(connection, f"chown -R {owner} {posixpath.join('/mnt', path.lstrip('/'))}")
        say("### Installing NixOS ###")
        await self._remote(connection, f"nixos-install --no-root-passwd --no-channel-copy --system {self._system.path}")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _packed(directory: Path) -> bytes:
    """The tree of `--extra-files`, owned by root, modes and links kept."""

    def owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        return info

    if not directory.is_dir():
        raise ToolError(f"tar: {directory}: Cannot open: No such file or directory", 2)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in sorted(os.listdir(directory)):
            tar.add(directory / name, name, filter=owned)
    return target.getvalue()
