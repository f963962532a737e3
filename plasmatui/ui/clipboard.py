"""Copying: to the terminal's clipboard by OSC 52, and to a file, because no terminal says whether it took it.

OSC 52: xterm's `ctlseqs`, "Manipulate Selection Data". Inside tmux it is sent twice, since what tmux takes
depends on its options (tmux(1)): as it is, for `set-clipboard on`; and wrapped (`DCS tmux ; ... ST` with every ESC
doubled), for `allow-passthrough on`.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from textual.app import App

from plasmatui.paths import UnsafeDirectoryError, make_private, state_root
from plasmatui.text import clean_text

LIMIT = 74_994
"""Bytes of base64 that terminals take at most."""


def sequence(text: str, *, tmux: bool) -> str:
    """The control sequence that gives `text` to the clipboard, "" when it is too long."""
    data = base64.b64encode(text.encode()).decode()
    if len(data) > LIMIT:
        return ""
    osc = f"\x1b]52;c;{data}\x07"
    return f"{osc}\x1bPtmux;{osc.replace(chr(27), chr(27) * 2)}\x1b\\" if tmux else osc


def save(text: str) -> Path:
    """Write the text to a file of the user's own.

    Raises:
        OSError, UnsafeDirectoryError: it cannot be written.
    """
    path = make_private(state_root()) / "copied.txt"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def copy(app: App[int], text: str) -> str:
    """Copy clean text; returns what to tell the operator."""
    text = clean_text(text, limit=100_000)
    try:
        where = f"saved to {save(text)}"
    except (OSError, UnsafeDirectoryError) as error:
        where = f"not saved: {error}"
    osc = sequence(text, tmux=bool(os.environ.get("TMUX")))
    if not osc:
        return f"too long for the terminal's clipboard; {where}"
    driver = app._driver
    if driver is not None and not app.is_headless:
        driver.write(osc)
    return f"copied; also {where}"
