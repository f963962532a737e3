"""A rack of simulated machines that speaks the real protocols. Knows nothing of the engine."""
