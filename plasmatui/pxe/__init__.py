"""The PXE side: configuration of its servers, rendered from one inventory, and a boot service of our own."""
