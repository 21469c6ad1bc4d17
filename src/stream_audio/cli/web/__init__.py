"""The page of ``stream-audio serve``: nothing here is loaded by another command."""
