"""`plasmatui completions` and `plasmatui reset-terminal`: the shell and the terminal around us."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import click

from plasmatui.cli.failure import DONE
from plasmatui.cli.output import result

RESET = (
    "\x1b[!p"  # soft reset: margins, insert mode, cursor keys, character sets (DECSTR)
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l"  # mouse reports
    "\x1b[?1004l\x1b[?2004l\x1b[?2026l"  # focus reports, bracketed paste, synchronised output
    "\x1b[<u\x1b[>4;0m"  # keyboard protocols of kitty and xterm
    "\x1b[?1049l"  # back to the main screen
    "\x1b[?7h\x1b[?25h\x1b(B\x0f\x1b[0m"  # wrap, cursor, ASCII, colours
)
"""Undoes every mode that a screen program may have left on. Keeps the scrollback and what is on the screen."""

_BASH = """\
# bash hands over a word in pieces, cut at @ and : as it does for user@host:path. So the line is cut here, and of each
# answer only what stands behind the last cut ($2) is given back.
_plasmatui_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" words type value
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local before="${words[-1]%"$2"}"
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done < <(COMP_WORDS="$line" COMP_CWORD=$((${#words[@]} - 1)) _PLASMATUI_COMPLETE=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F _plasmatui_completion plasmatui
"""


@click.command(name="reset-terminal")
def reset_terminal() -> int:
    """Put a terminal in order after a program was killed.

    Keeps the scrollback and what is on the screen.
    """
    sys.stdout.write(RESET)  # as it is: click would take the sequences out when stdout is no terminal
    sys.stdout.flush()
    if sys.stdin.isatty():
        with contextlib.suppress(OSError):  # without stty the modes above are still reset
            subprocess.run(["stty", "sane"], check=False)
    return DONE


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completions(ctx: click.Context, shell: str) -> int:
    """Print the shell's completion script: commands, options, nodes and groups of the inventory, findings.

    Save it where the shell looks: bash ~/.local/share/bash-completion/completions/plasmatui, zsh a directory of $fpath
    as _plasmatui, fish ~/.config/fish/completions/plasmatui.fish.
    """
    if shell == "bash":
        result(_BASH.rstrip())
        return DONE
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    result(kind(ctx.find_root().command, {}, "plasmatui", "_PLASMATUI_COMPLETE").source())
    return DONE
