"""What the engine asks of sources, sinks and those who run its turns."""
