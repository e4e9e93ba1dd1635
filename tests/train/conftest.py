"""Data and runs that the tests of training share."""

from tests.tiny import base, tiny, trained

__all__ = ["base", "tiny", "trained"]
