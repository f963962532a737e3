"""Prepare the process for the screen and open it. The environment is read by Textual at import, so it is set before."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping

from plasmatui.ui.options import TuiOptions


class NoTerminalError(Exception):
    """There is no terminal that a screen can be drawn on; the message says what to use instead."""


def check_terminal() -> None:
    """Make sure that input and output are a terminal that understands cursor addressing.

    Raises:
        NoTerminalError: it is a pipe, a file, or `TERM` is unset or "dumb".
    """
    hint = "use the commands instead: `plasmatui nodes`, `plasmatui power`, `plasmatui --help`"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminalError(f"the screen needs a terminal, and standard input or output is none; {hint}")
    term = os.environ.get("TERM", "")
    if term in ("", "dumb"):
        raise NoTerminalError(f"the screen cannot be drawn on TERM={term or 'unset'}; {hint}")


def forget_stale_size() -> None:
    """Let the terminal's own size count: COLUMNS and LINES win over it otherwise, and never follow a resize.

    Whatever uses readline exports them, so they are often those of another terminal. A terminal that does not know its
    size, as on a serial line, is left with them.
    """
    try:
        size = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except (OSError, ValueError):
        return
    if size.columns and size.lines:
        os.environ.pop("COLUMNS", None)
        os.environ.pop("LINES", None)


def prepare_environment() -> None:
    """Defaults that the user's own settings override."""
    forget_stale_size()
    os.environ.setdefault("TEXTUAL_FPS", "120")
    os.environ.setdefault("ESCDELAY", "50")
    if "SSH_CONNECTION" in os.environ:
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
        os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")


def only_ascii(environment: Mapping[str, str]) -> bool:
    """Whether the locale names a character set that has none of our signs: not UTF-8, or none at all by `LC_ALL`.

    `LANG=C` alone says nothing, since it is what hosts have that were never told; Python takes UTF-8 there (PEP 538).
    """
    name = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    _, dot, charset = name.partition("@")[0].partition(".")
    if dot:
        return charset.lower().replace("-", "") != "utf8"
    return environment.get("LC_ALL", "") in ("C", "POSIX")


def start(options: TuiOptions) -> int:
    """Open the screen and stay until the operator leaves it. Returns the exit code.

    Raises:
        NoTerminalError: see `check_terminal`.
    """
    check_terminal()
    prepare_environment()
    gc.disable()  # a tenth of the time to the first frame; `MainScreen` switches it on again when that is drawn
    from plasmatui.ui.app import run_tui

    return run_tui(options)
