"""What waits for a slow sink, in memory and on disk."""
