"""Evidence from serial consoles: raw bytes to lines, lines to signals."""

from plasmatui.watch.console.reader import ConsoleReader

__all__ = ["ConsoleReader"]
