"""Pictures of results: dark, anatomical, without a word about the patient."""

from pipeline.figures.overlay import overlay
from pipeline.figures.palette import PALETTE, colour_of

__all__ = ["PALETTE", "colour_of", "overlay"]
