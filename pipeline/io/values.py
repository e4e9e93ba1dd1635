"""Which type holds the values of a file: whole numbers stay whole, nothing wraps or is rounded."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline.io.tolerances import LABEL_TOLERANCE

Array = npt.NDArray[np.generic]

_FLOAT32_RELATIVE = 1e-6


def _slabs(array: Array, slope: float, intercept: float) -> Iterator[Array]:
    """Yield rescaled parts along the last axis, float64 where there is something to compute."""
    for index in range(array.shape[-1]):
        part = array[..., index]
        if (slope, intercept) != (1.0, 0.0):
            part = part.astype(np.float64) * slope + intercept
        yield part


def _fits_float32(part: Array) -> bool:
    if part.dtype in (np.float32, np.float16):
        return True
    finite: npt.NDArray[np.float64] = part[np.isfinite(part)].astype(np.float64)
    with np.errstate(over="ignore"):
        rounded: npt.NDArray[np.float64] = finite.astype(np.float32).astype(np.float64)
    return bool(np.all(np.abs(rounded - finite) <= _FLOAT32_RELATIVE * np.abs(finite)))


def _is_whole(part: Array) -> bool:
    return part.dtype.kind in "biu" or bool(np.all(np.rint(part) == part))


def _smallest(array: Array, slope: float, intercept: float) -> np.dtype[np.generic]:
    """Return the type that `rescale` takes."""
    whole, low, high = True, 0.0, 0.0
    for part in _slabs(array, slope, intercept):
        if part.size and not (whole := _is_whole(part)):
            break
        if part.size:
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    for integer in (np.int16, np.int32):
        if whole and np.iinfo(integer).min <= low and high <= np.iinfo(integer).max:
            return np.dtype(integer)
    single = all(_fits_float32(part) for part in _slabs(array, slope, intercept))
    return np.dtype(np.float32 if single else np.float64)


def rescale(array: Array, slope: float = 1.0, intercept: float = 0.0) -> Array:
    """Return `array * slope + intercept` `(*S)` in the smallest type that holds every value.

    int16 if all are whole and fit, else int32, else float32; float64 where float32 would be
    off by more than 1 part in a million.
    """
    plain = (slope, intercept) == (1.0, 0.0)
    if plain and array.dtype == np.int16:
        return array
    dtype = _smallest(array, slope, intercept)
    if plain and array.dtype == dtype:
        return array
    out: Array = np.empty(array.shape, dtype, order="F")
    for index, part in enumerate(_slabs(array, slope, intercept)):
        out[..., index] = part
    return out


def widest(dtypes: set[np.dtype[np.generic]]) -> np.dtype[np.generic]:
    """Return the type that holds values of all `dtypes`, which `rescale` chose one by one."""
    order = [np.dtype(name) for name in ("int16", "int32", "float32", "float64")]
    return max(dtypes, key=order.index)


def whole_numbers(array: Array, slope: float = 1.0, intercept: float = 0.0) -> Array | float:
    """Return the integers `(*S)` of a label map, or the first value that is none.

    The type is the smallest of uint8, uint16 and int32 that holds them.
    """
    if array.dtype.kind in "biu" and (slope, intercept) == (1.0, 0.0):
        exact = array
    else:
        values: npt.NDArray[np.float64] = array.astype(np.float64) * slope + intercept
        exact = np.rint(values)
        # a NaN is on neither side of the tolerance: it must count as off
        off = ~(np.abs(np.subtract(values, exact)) <= LABEL_TOLERANCE)
        if off.any():
            return float(values[off][0])
    low, high = (int(exact.min()), int(exact.max())) if exact.size else (0, 0)
    for integer in (np.uint8, np.uint16, np.int32):
        if np.iinfo(integer).min <= low and high <= np.iinfo(integer).max:
            return exact.astype(integer, copy=False)
    return float(high if high > np.iinfo(np.int32).max else low)
