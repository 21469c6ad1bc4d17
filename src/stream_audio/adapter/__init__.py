"""What stands between a user's sink and the engine."""
