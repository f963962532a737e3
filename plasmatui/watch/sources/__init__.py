"""Where log lines come from: files and journals, here and on other hosts."""
