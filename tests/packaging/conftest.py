"""Programs here that are run by scripts, and are not tests."""

collect_ignore = ["contents.py"]  # of scripts/wheel, whose packages the tests need not have
