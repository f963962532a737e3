"""The Boot view on a terminal, over a real engine: a rendered file that somebody edits is a drift, and is mended."""

from __future__ import annotations

import pytest

from tests.support.site import site

pytestmark = pytest.mark.pty


def test_an_edited_file_is_a_drift_until_it_is_rendered_again() -> None:
    with site(nodes=2, on=0) as lab:
        out = lab.directory / "out"
        text = lab.inventory.read_text()
        lab.inventory.write_text(text.replace("pxe:\n", f"pxe:\n  deployed: {out}\n", 1))
        assert lab.cli("render", "-o", str(out)).code == 0
        lab.engine()
        screen = lab.screen(rows=50, columns=120)
        screen.see("link ok")
        screen.send(b"6")
        screen.see(r"\d+ files as rendered now")
        kea = out / "server/etc/kea/kea-dhcp4.conf"
        kea.write_text(kea.read_text().replace("lifetime", "lifetimo", 1))
        screen.press_until(b"r", r"differs +dhcp +\S+kea-dhcp4.conf")
        screen.see("1 file differs")
        screen.send(b"\t\t\r")
        screen.see(r"-.*lifetimo")
        screen.see(rf"fix plasmatui render --only dhcp -o {out}")
        screen.escape("lifetimo")
        assert lab.cli("render", "--only", "dhcp", "-o", str(out)).code == 0
        screen.send(b"r")
        screen.see("nothing is known to be wrong|services? failed")
        assert "differs" not in screen.text
