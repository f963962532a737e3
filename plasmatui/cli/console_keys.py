"""The escape prefix of `plasmatui console`: conserver's, ctrl-e c and a letter. Also ctrl-e and a full stop leaves."""

from __future__ import annotations

from enum import StrEnum

PREFIX = 0x05  # ctrl-e
_COMMAND = ord("c")
_LEAVE = ord(".")

HELP = (
    "ctrl-e c .   leave (also ctrl-e .)",
    "ctrl-e c b   send a serial break",
    "ctrl-e c o   close and open the console again",
    "ctrl-e c ?   this list",
    "ctrl-e ctrl-e   send ctrl-e itself",
)


class Command(StrEnum):
    """What the operator asks of the console client itself."""

    LEAVE = "leave"
    BREAK = "break"
    REOPEN = "reopen"
    HELP = "help"


_COMMANDS = {ord("."): Command.LEAVE, ord("b"): Command.BREAK, ord("o"): Command.REOPEN, ord("?"): Command.HELP}


class PrefixParser:
    """Splits typed bytes, cut anywhere, into what goes to the console and commands for us.

    A prefix that no command follows is sent with what came after it, so that ctrl-e in a shell works with the next
    key; an unknown command shows the list and sends nothing.
    """

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes | Command]:
        """The bytes to send and the commands, in the order in which they were typed."""
        done: list[bytes | Command] = []
        send = bytearray()
        for byte in data:
            command = self._step(byte, send)
            if command is not None:
                if send:
                    done.append(bytes(send))
                    send.clear()
                done.append(command)
        if send:
            done.append(bytes(send))
        return done

    def _step(self, byte: int, send: bytearray) -> Command | None:
        held, self._held = self._held, b""
        if not held:
            if byte == PREFIX:
                self._held = b"\x05"
            else:
                send.append(byte)
            return None
        if len(held) == 2:
            return _COMMANDS.get(byte, Command.HELP)
        if byte == _LEAVE:
            return Command.LEAVE
        if byte == _COMMAND:
            self._held = b"\x05c"
        elif byte == PREFIX:
            send.append(PREFIX)
        else:
            send += bytes((PREFIX, byte))
        return None
