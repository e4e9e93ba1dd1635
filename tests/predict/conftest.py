"""The network that knows each voxel's class by its value is in the table of every test here."""

import pytest

from tests.threshold import threshold

__all__ = ["known", "threshold"]


@pytest.fixture(autouse=True)
def known(threshold: None) -> None:
    """Use the network in all tests."""
