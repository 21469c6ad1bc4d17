"""Sound files: what is written to disk, byte by byte."""
