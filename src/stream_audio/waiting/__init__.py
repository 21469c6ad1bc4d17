"""Clocks, wake-ups, event loops and signals: all that a thread waits for."""
