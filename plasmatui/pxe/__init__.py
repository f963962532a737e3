"""Configuration of the PXE side, rendered from one inventory: DHCP, TFTP, HTTP, boot script, DNS, firewall, NixOS."""
