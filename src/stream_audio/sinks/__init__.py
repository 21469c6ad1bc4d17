"""Where audio goes."""
