"""Fuzzers: everything that reads what comes from outside is fed with damaged, lying and hostile input."""
