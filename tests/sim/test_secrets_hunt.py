"""Secrets are planted in every place that has one, and looked for byte by byte wherever anything is written, printed or
told: after operations that went well and that failed, a killed engine, bundles, and in the tables of all processes."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from plasmatui.model.operation import BackupOrder, InstallOrder, ProvisionOrder
from plasmatui.model.words import OperationState
from tests.support.operator import Operator, told
from tests.support.site import Site, site

PASSWORD = "bmc-Marker0"  # IPMI 2.0 takes 20 bytes
LUKS = "luks-marker-of-the-disk-passphrase"


def planted(rack: Site) -> dict[str, list[bytes]]:
    """What must not be found, by what it is: each secret, and how it looks quoted and encoded."""
    made = rack.rack.rack
    texts = {"BMC password": PASSWORD, "IAM token": made.token_path.read_text().strip(), "LUKS passphrase": LUKS}
    private = {"provisioning key": made.provisioning.ssh_key}
    for path in sorted(made.provisioning.secrets.rglob("*")):
        if path.is_file() and path.stat().st_mode & 0o077 == 0 and path.name.endswith(("key", "-key.pem")):
            private[f"{path.parent.name}/{path.name}"] = path
    for name, path in private.items():
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("-----")]
        texts[name] = lines[len(lines) // 2]
    return {name: sorted(_forms(text)) for name, text in texts.items()}


def _forms(text: str) -> set[bytes]:
    plain = text.encode()
    encoded = {base64.b64encode(b"x" * lead + plain)[4 : 4 + len(plain)] for lead in range(3) if len(plain) > 12}
    return {plain, quote(text, safe="").encode(), json.dumps(text)[1:-1].encode(), plain.hex().encode(), *encoded}


def found_in(data: bytes, secrets: dict[str, list[bytes]]) -> list[str]:
    return [name for name, forms in secrets.items() if any(form in data for form in forms)]


@contextlib.contextmanager
def watched_processes(rack: Site, secrets: dict[str, list[bytes]]) -> Iterator[list[str]]:
    """Look at the arguments and the environment of every process of the site, again and again."""
    found: list[str] = []
    over = threading.Event()

    def watch() -> None:
        mark = str(rack.directory).encode()
        while not over.wait(0.02):
            for process in Path("/proc").iterdir():
                if not process.name.isdigit():
                    continue
                with contextlib.suppress(OSError):
                    environment = (process / "environ").read_bytes()
                    if mark in environment:
                        line = (process / "cmdline").read_bytes()
                        found.extend(f"{name}: environment of {line!r}" for name in found_in(environment, secrets))
                        found.extend(f"{name}: arguments of {line!r}" for name in found_in(line, secrets))

    thread = threading.Thread(target=watch, name="process watch")
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def written(rack: Site) -> Iterator[Path]:
    """Every file of the site that is not the rack's own."""
    for path in sorted(rack.directory.rglob("*")):
        if path.is_file() and not path.is_relative_to(rack.directory / "rack"):
            yield path


@pytest.mark.timeout(300)
def test_no_secret_is_written_printed_or_told() -> None:
    with site(nodes=3, port=0, on=0, password=PASSWORD) as rack:
        extra = rack.rack.rack.provisioning.secrets / "node01" / "luks.key"
        extra.write_text(LUKS + "\n")
        extra.chmod(0o600)
        secrets = planted(rack)
        assert len(secrets) >= 9
        told_by: list[tuple[str, str]] = []

        def say(*words: str) -> None:
            done = rack.cli(*words, limit=120.0)
            assert done.code != 2, done.err
            assert done.out, words
            told_by.append((" ".join(words), done.out + done.err))

        with watched_processes(rack, secrets) as processes:
            rack.engine()
            rack.consoles_open(3)
            operator = Operator(rack)
            provisioned = operator.run(ProvisionOrder(), "node01", "node02", "node03")
            assert provisioned.state is OperationState.DONE, told(provisioned)
            backup, incident = rack.directory / "backup", rack.directory / "incident"
            kept = operator.run(BackupOrder(str(backup), secrets=False), "node01")
            assert kept.state is OperationState.DONE, told(kept)
            rack.rack.fault("node02", "disko-device-missing")
            failed = operator.run(InstallOrder(), "node02") if _installable(operator) else None
            assert failed is None or failed.state is not OperationState.DONE
            rack.stop_engine(signal.SIGKILL)
            rack.engine()
            for words in (
                ("nodes", "--json"), ("ops", "list", "--json"), ("ops", "show", "1", "--json"),
                ("ops", "log", "1", "node01"),
                ("audit", "--json"), ("info", "--json"), ("check", "--json"), ("certs", "status", "--json"),
                ("sshkeys", "status", "--json"), ("timeline", "node01", "--json"), ("logs", "--json"),
                ("provision", "node01", "--plan", "--json"), ("bundle", "node01", "-o", str(incident)),
                ("backup", "list", str(backup), "--json"), ("health", "--json"),
            ):  # fmt: skip
                say(*words)
            rack.stop_engine()
        leaks = processes[:5]
        leaks += [f"{name}: printed by {words}" for words, text in told_by for name in found_in(text.encode(), secrets)]
        searched = list(written(rack))
        for path in searched:
            leaks += [f"{name}: {path.relative_to(rack.directory)}" for name in found_in(path.read_bytes(), secrets)]
        assert leaks == []
        assert any("journal" in path.name and b"node01" in path.read_bytes() for path in searched)
        assert any(path.name == "bundle.yaml" for path in searched)


def _installable(operator: Operator) -> bool:
    """Whether an installation can be ordered: a node that runs from its disk may refuse one."""
    return not any(node.skipped for node in operator.plan(InstallOrder(), "node02").nodes)
