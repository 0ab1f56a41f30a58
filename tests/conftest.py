"""Hypothesis draws the same examples in every run, and compiling a numba function does not count as slow."""

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=False)
settings.load_profile("repeatable")
