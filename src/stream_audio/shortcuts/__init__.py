"""The short ways in."""
