"""Stand-ins of the programs that install and update machines, as real programs that act on a simulated rack."""
