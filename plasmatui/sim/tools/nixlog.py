"""How nix tells what it does: lines for people, internal-json, or both (`json-log-path`). Shapes of nix 2.34."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from pathlib import Path

from plasmatui.sim.tools.site import complain

INFO, TALKATIVE, DEBUG = 3, 4, 6
UNKNOWN, COPY_PATH, REALISE, COPY_PATHS, BUILDS, BUILD = 0, 100, 102, 103, 104, 105
LOG_LINE, SET_PHASE, PROGRESS, SET_EXPECTED = 101, 104, 105, 106


class NixLog:
    """One program's messages.

    Args:
        internal: internal-json on standard error instead of lines for people.
        path: a file or Unix socket that gets internal-json without its prefix; "" for none.
        build_logs: show what builders print.
    """

    def __init__(self, *, internal: bool = False, path: str = "", build_logs: bool = False) -> None:
        self._internal = internal
        self._build_logs = build_logs
        self._next = os.getpid() << 32
        self._names: dict[int, str] = {}
        self._socket: socket.socket | None = None
        self._file = None
        if path:
            with contextlib.suppress(OSError):
                if Path(path).exists() and stat.S_ISSOCK(os.stat(path).st_mode):
                    self._socket = socket.socket(socket.AF_UNIX)
                    self._socket.connect(path)
                else:
                    self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def message(self, text: str, level: int = INFO) -> None:
        self._send({"action": "msg", "level": level, "msg": text})
        if not self._internal and level <= INFO:
            complain(text)

    def error(self, text: str) -> None:
        """The error block; `text` begins with `error: `."""
        shown = text.replace("error:", "\x1b[31;1merror:\x1b[0m", 1)
        raw = text.removeprefix("error: ")
        self._send(
            {"action": "msg", "column": None, "file": None, "level": 0, "line": None, "msg": shown, "raw_msg": raw}
        )
        if not self._internal:
            complain(text)

    def start(self, kind: int, text: str = "", fields: list[object] | None = None, level: int = INFO) -> int:
        """Begin an activity; gives its id."""
        number = self._next
        self._next += 1
        record: dict[str, object] = {
            "action": "start",
            "id": number,
            "level": level,
            "parent": 0,
            "text": text,
            "type": kind,
        }
        if fields is not None:
            record["fields"] = fields
        self._send(record)
        if not self._internal and kind in (BUILD, COPY_PATH, COPY_PATHS) and text:
            complain(f"{text}...")
        if kind == BUILD and fields is not None:
            self._names[number] = str(fields[0]).rpartition("-")[0][44:] or "build"
        return number

    def result(self, number: int, kind: int, *fields: object) -> None:
        self._send({"action": "result", "fields": list(fields), "id": number, "type": kind})
        if kind == LOG_LINE and self._build_logs and not self._internal:
            complain(f"{self._names.get(number, 'build')}> {fields[0]}")

    def stop(self, number: int) -> None:
        self._send({"action": "stop", "id": number})

    def _send(self, record: dict[str, object]) -> None:
        text = json.dumps(record, separators=(",", ":"), sort_keys=True)
        if self._internal:
            complain(f"@nix {text}")
        with contextlib.suppress(OSError):
            if self._file is not None:
                os.write(self._file, text.encode() + b"\n")
            if self._socket is not None:
                self._socket.sendall(text.encode() + b"\n")
