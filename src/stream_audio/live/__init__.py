"""What a user holds of a running session beside the session itself."""
