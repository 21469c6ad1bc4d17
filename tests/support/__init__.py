"""What tests and benchmarks share. Nothing here needs pytest."""
