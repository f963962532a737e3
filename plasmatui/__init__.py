"""plasmatui: mission control for bare metal, in a terminal."""

__version__ = "0.1.0"
