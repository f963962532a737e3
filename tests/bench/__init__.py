"""Measurements, printed as figures with their reference beside them: `python -m tests.bench`."""
