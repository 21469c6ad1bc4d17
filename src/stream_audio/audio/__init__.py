"""Sound and its bookkeeping: chunks, gaps, formats."""
