"""The boot script, walked as iPXE would walk it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from plasmatui.pxe.ipxe import TRIES, boot_script, mac_mappings
from plasmatui.pxe.netboot import Netboot, NetbootError, parse_netboot
from plasmatui.pxe.quoting import RefusedError
from plasmatui.pxe.site import Site

INIT = "/nix/store/8f2xk0c4v2jz9y1w3m5n7p9q1r3s5t7v-nixos-system-nixos-25.11/init"
NETBOOT = f"""#!ipxe
# Use the cmdline variable to allow the user to specify custom kernel params
kernel bzImage init={INIT} initrd=initrd nohibernate loglevel=4 ${{cmdline}}
initrd initrd
boot
"""
BASE = "http://10.0.100.10:8080/boot"


class Machine:
    """Runs a script: variables, labels, `&&`, `||`. Fetches succeed but for those in `missing`."""

    def __init__(self, script: str, mac: str, platform: str = "efi", missing: str = "", chosen: str = "") -> None:
        self.lines = script.splitlines()
        assert self.lines[0] == "#!ipxe"
        self.variables = {"mac": mac, "mac:hexhyp": mac.replace(":", "-"), "platform": platform}
        self.missing, self.chosen = missing, chosen
        self.items: dict[str, str] = {}
        self.kernel: list[str] = []
        self.initrds: list[str] = []
        self.fetched: list[str] = []
        self.timeout = 0
        self.end = ""
        self.at = 0

    def run(self) -> Machine:
        for _ in range(10_000):
            if self.end:
                return self
            line = self.lines[self.at].strip()
            self.at += 1
            if line and not line.startswith(("#", ":")):
                self.statement(line)
        raise AssertionError("the script does not end")

    def statement(self, line: str) -> None:
        ok, skip = True, False
        for part in re.split(r"(?<!\S)(&&|\|\|)(?!\S)", line):
            if part == "&&":
                skip = not ok
            elif part == "||":
                skip = ok
            elif not skip:
                words = re.sub(r"\$\{([^}]*)\}", lambda m: self.variables.get(m[1], ""), part).split()
                before = self.at
                ok = self.command(words) if words else True
                if self.at != before:
                    return
        assert ok, f"the script ends at: {line}"

    def command(self, words: list[str]) -> bool:
        name, rest = words[0], words[1:]
        if name == "set":
            self.variables[rest[0].partition(":")[0]] = " ".join(rest[1:])
        elif name == "clear":
            self.variables.pop(rest[0], None)
        elif name == "inc":
            self.variables[rest[0]] = str(int(self.variables[rest[0]]) + 1)
        elif name == "isset":
            return bool(rest)
        elif name == "iseq":
            return len(rest) == 2 and rest[0] == rest[1]
        elif name == "goto":
            self.at = self.lines.index(f":{rest[0]}") + 1
        elif name == "item":
            if rest[0] != "--gap":
                self.items[rest[0]] = " ".join(rest[1:])
        elif name == "choose":
            assert rest[0] == "--default"
            assert rest[2] == "--timeout"
            self.timeout = int(rest[3])
            self.variables[rest[4]] = self.chosen or rest[1]
            self.chosen = ""
        elif name in ("chain", "kernel", "initrd"):
            return self.fetch(name, rest)
        elif name in ("boot", "exit", "shell", "reboot", "sanboot"):
            self.end = name
        else:
            assert name in ("echo", "menu", "imgfree", "sleep"), name
        return True

    def fetch(self, kind: str, words: list[str]) -> bool:
        url = next(word for word in words if word.startswith("http"))
        if self.missing and url.endswith(self.missing):
            self.fetched.append(f"{url} failed")
            return False
        self.fetched.append(url)
        if kind == "kernel":
            self.kernel = words
        elif kind == "initrd":
            self.initrds.append(" ".join(words))
        else:
            self.end = "chain"
        return True


def images(*profiles: str) -> dict[str, Netboot]:
    return {profile: parse_netboot(NETBOOT) for profile in profiles}


def test_a_pending_installation_boots_its_image_without_a_menu(site: Site) -> None:
    script = boot_script(site, images("control-plane"), {"node01"})
    for mac in ("52:54:00:12:34:56", "52:54:00:ab:34:56"):
        machine = Machine(script, mac).run()
        assert machine.end == "boot"
        assert machine.fetched == [f"{BASE}/nixos/control-plane/bzImage", f"{BASE}/nixos/control-plane/initrd"]
        assert machine.initrds == [f"--name initrd {BASE}/nixos/control-plane/initrd"]
        assert f"init={INIT}" in machine.kernel
        assert "initrd=initrd" in machine.kernel
        assert "plasma.hostname=node01" in machine.kernel
        consoles = [word for word in machine.kernel if word.startswith("console=")]
        assert consoles == ["console=tty0", "console=ttyS0,115200n8"]
        assert machine.items == {}


@pytest.mark.parametrize(("platform", "end"), [("efi", "exit"), ("pcbios", "sanboot")])
@pytest.mark.parametrize("mac", ["52:54:00:12:34:57", "52:54:00:99:99:99"])
def test_every_other_machine_goes_on_to_its_disk(site: Site, mac: str, platform: str, end: str) -> None:
    machine = Machine(boot_script(site, images("worker"), {"node01"}), mac, platform).run()
    assert machine.end == end
    assert machine.fetched == []
    assert machine.timeout == 10_000
    assert list(machine.items) == [
        "local", "profile-control-plane", "profile-worker", "profile-rescue", "shell", "restart",
    ]  # fmt: skip


def test_every_item_of_the_menu_leads_somewhere(site: Site) -> None:
    script = boot_script(site, images("worker"), ())
    ends = {
        item: Machine(script, "52:54:00:12:34:60", chosen=item).run().end
        for item in Machine(script, "52:54:00:12:34:60").run().items
    }
    assert ends == {
        "local": "exit",
        "profile-control-plane": "chain",
        "profile-worker": "boot",
        "profile-rescue": "chain",
        "shell": "shell",
        "restart": "reboot",
    }


def test_a_profile_without_a_given_image_leaves_init_to_the_builds_own_script(site: Site) -> None:
    script = boot_script(site, {}, {"node01"})
    machine = Machine(script, "52:54:00:12:34:56").run()
    assert machine.fetched == [f"{BASE}/nixos/control-plane/netboot.ipxe"]
    assert machine.variables["cmdline"].split()[-2:] == ["console=tty0", "console=ttyS0,115200n8"]
    assert "init=" not in script.replace("exact init=", "")


def test_a_published_version_is_named_itself_since_another_has_another_init(site: Site) -> None:
    version = "worker.20261128T010203Z-0123abcd"
    text = NETBOOT.replace("bzImage", f"../../versions/{version}/bzImage")
    machine = Machine(boot_script(site, {"worker": parse_netboot(text)}, {"worker01"}), "52:54:00:12:34:60").run()
    assert machine.fetched == [f"{BASE}/versions/{version}/bzImage", f"{BASE}/versions/{version}/initrd"]


def test_a_failing_download_is_tried_again_and_then_given_up(site: Site) -> None:
    script = boot_script(site, images("control-plane"), {"node01"})
    machine = Machine(script, "52:54:00:12:34:56", missing="initrd").run()
    assert machine.end == "exit"
    assert machine.fetched.count(f"{BASE}/nixos/control-plane/initrd failed") == TRIES
    assert machine.initrds == []


def test_labels_are_there_once_and_macs_are_lower_case(site: Site) -> None:
    script = boot_script(site, images("worker"), {"node01"})
    labels = re.findall(r"(?m)^:(\S+)", script)
    assert len(labels) == len(set(labels))
    assert set(re.findall(r"goto ([a-z-]+)(?!\$)\b", script)) <= {*labels, "profile-", "profile"}
    assert "52:54:00:ab:34:56" in script
    assert not re.search(r"iseq \$\{mac\} [0-9a-f:]*[A-F]", script)
    assert "*" not in script
    assert "52:54:00:ab:34:56 control-plane node01\n" in mac_mappings(site)


def test_a_glob_or_a_missing_init_is_refused() -> None:
    for text, why in (
        (NETBOOT.replace(INIT, "/nix/store/*/init"), r"a \*"),
        (NETBOOT.replace(f"init={INIT}", ""), "no exact init="),
        (NETBOOT.replace("nohibernate", "a;b"), "cannot be passed on"),
        ("#!ipxe\nboot\n", "no kernel line"),
        ("", "no kernel line"),
    ):
        with pytest.raises(NetbootError, match=why):
            parse_netboot(text)
    assert parse_netboot(NETBOOT) == Netboot(INIT, ("nohibernate", "loglevel=4"))


def test_a_name_that_is_a_command_is_refused(site: Site) -> None:
    for name in ("a && shell", "a || shell", "${net0/mac}", "a\nshell", "#!ipxe"):
        other = replace(site, machines=(replace(site.machines[0], name=name),))
        with pytest.raises(RefusedError):
            boot_script(other, {}, ())
