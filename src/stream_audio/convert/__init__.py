"""From a source's samples to the format that a sink asked for."""
