"""Which input devices there are, and how one is found by name."""
