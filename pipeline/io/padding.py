"""What a scanner writes outside its field: a value that stands for nothing measured."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.io.values import Array
from pipeline.io.volume import Volume


def without_padding(volume: Volume) -> Volume:
    """Return an image with its padding at the lowest value that is none, as `unpadded`."""
    array = unpadded(volume.array, volume.facts)
    return volume if array is volume.array else replace(volume, array=array)


def unpadded(array: Array, facts: Mapping[str, str | int | float | bool]) -> Array:
    """Return values with the padding at the lowest value that is none, as air.

    -3024 around the round field of a CT would spoil every mean and percentile. An image stays as
    it is where its own values lie within the range of the padding, which a rescale of each slice
    may bring about, or where all of it is padding.

    Args:
        array: Values after rescale.
        facts: `Volume.facts` of it.
    """
    low, count = facts.get("padding_value"), facts.get("padding_voxels")
    if not isinstance(low, int | float) or not count:
        return array
    high = facts.get("padding_limit", low)
    padded = np.greater_equal(array, low) & np.less_equal(array, high)
    if np.count_nonzero(padded) != count or count == array.size:
        return array
    out = array.copy()
    out[padded] = array[~padded].min()
    return out
