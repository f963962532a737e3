"""Evidence: log sources, one parser per log format, console text, the boot timeline and its diagnosis."""
