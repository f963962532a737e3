"""Orders turned into plans and run: one module per kind of operation, one runner."""
