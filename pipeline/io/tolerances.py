"""All tolerances of geometry in one place: what counts as equal, straight, even and in place."""

POSITION_TOLERANCE_MM = 0.01
POSITION_TOLERANCE_SHARE = 0.01
"""Slices may be uneven or off their line by the larger of both; the share is of the spacing."""

COSINE_TOLERANCE = 1e-4
"""Direction cosines may differ by this between the slices of a series."""

UNIT_TOLERANCE = 1e-2
"""Row and column directions may be off unit length and off a right angle by this."""

SPACING_TOLERANCE = 1e-4
"""Relative difference of PixelSpacing between the slices of a series."""

GRID_TOLERANCE_VOXELS = 0.1
"""Two grids, or the two forms of a NIfTI, may be this many voxels apart at a corner."""

SHEAR_TOLERANCE = 1e-4
"""Cosine between two axes from which on an affine counts as sheared."""

LABEL_TOLERANCE = 1e-3
"""A label stored as a float may lie this far off a whole number."""

CONTOUR_TOLERANCE_SHARE = 0.01
"""A contour may lie off the plane of its slice by this share of the spacing, in silence."""


def position_tolerance(spacing: float) -> float:
    """Return how far in mm a slice may be off its place at a spacing in mm."""
    return max(POSITION_TOLERANCE_MM, POSITION_TOLERANCE_SHARE * abs(spacing))
