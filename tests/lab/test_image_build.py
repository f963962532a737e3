"""Netboot images, built by the real nix from a flake of trivial derivations, without any network."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from plasmatui.cli.main import run
from tests.support import images

CONFIG = """\
build-users-group =
sandbox = false
substituters =
experimental-features = nix-command flakes
"""

FLAKE = """\
{
  outputs = { self }: let
    make = name: text: derivation {
      inherit name;
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-c" text ];
      PATH = "/usr/bin:/bin";
      kernel = ./bzImage;
      initrd = ./initrd;
      script = ./netboot.ipxe;
    };
    toplevel = make "nixos-system-netboot-worker-25.11" "mkdir $out; echo > $out/init";
  in {
    nixosConfigurations.netboot-worker.config.system.build = {
      inherit toplevel;
      kernel = make "linux-6.12" "mkdir $out; echo copying the kernel; cp $kernel $out/bzImage";
      netbootRamdisk = make "initrd" "mkdir $out; cp $initrd $out/initrd";
      netbootIpxeScript =
        make "netboot.ipxe" "mkdir $out; sed s,@top@,${toplevel}, $script > $out/netboot.ipxe";
    };
    nixosConfigurations.netboot-broken.config.system.build = {
      toplevel = make "nixos-system-netboot-broken-25.11" "echo no such module; exit 3";
      kernel = toplevel;
      netbootRamdisk = toplevel;
      netbootIpxeScript = toplevel;
    };
    nixosConfigurations.node01 = { };
  };
}
"""

INVENTORY = """\
version: 1
cluster: {{name: lab}}
networks:
  provisioning: {{cidr: 10.0.100.0/24}}
pxe: {{server: 10.0.100.10, interface: eth0, assets: {root}/www}}
flake: {root}/flake
bmc_defaults: {{username: admin, password: {{env: BMC}}}}
nodes:
  node01: {{bmc: 10.0.10.51, profile: worker}}
"""


@pytest.mark.needs("nix")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: nix without a daemon writes /nix/store")
def test_real_builds_are_deployed_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIX_CONFIG", CONFIG)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    flake = tmp_path / "flake"
    flake.mkdir()
    (flake / "flake.nix").write_text(FLAKE)
    (flake / "netboot.ipxe").write_text(images.script("@top@"))
    (flake / "bzImage").write_bytes(images.x86_kernel())
    (flake / "initrd").write_bytes(images.initrd("gzip", "zstd"))
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(INVENTORY.format(root=tmp_path))

    def told(*arguments: str) -> tuple[int, str]:
        code = run(["-i", str(inventory), "images", *arguments])
        return code, capsys.readouterr().out

    code, out = told("build", "--json")
    builds = json.loads(out)["builds"]
    assert code == 3, out
    worker, broken = builds["worker"], builds["broken"]
    assert worker["ok"], worker
    assert worker["image"]["init"].endswith("-nixos-system-netboot-worker-25.11/init")
    assert os.path.exists(worker["image"]["init"])
    assert "ended with code 3" in broken["error"]["message"]
    assert "no such module" in Path(broken["log"]).read_text()
    code, out = told("deploy", "worker", "--json")
    assert code == 0, out
    code, out = told("verify", "--json")
    assert code == 0, out
    assert (tmp_path / "www/nixos/worker/initrd").read_bytes() == (flake / "initrd").read_bytes()
