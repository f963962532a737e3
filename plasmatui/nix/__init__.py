"""What plasmatui knows of nix, nixos-anywhere, disko and NixOS: argument vectors, and what their output means.

Nearly all of it are pure functions. Who runs the vectors, and where, is decided elsewhere; `job` alone starts programs.
"""
