"""Modal questions. None of them holds a device; each gives back an answer."""
