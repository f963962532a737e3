"""The boot service: boot scripts, configurations and images over HTTP, as bootcfg, as matchbox or from an inventory."""
