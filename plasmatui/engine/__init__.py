"""Puts the rooms together: state, operations, consoles, journal, and the socket that clients talk to."""
