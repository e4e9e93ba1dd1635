"""Class colours: fixed, in the declared order, told apart by colour-blind readers too."""

PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
"""Seven colours of Okabe and Ito; their eighth, black, is the background here.

Source: M. Okabe, K. Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/.
"""

BACKGROUND = "#0D0F12"
TEXT = "#E8EAED"


def colour_of(index: int) -> str:
    """Return the colour of the class at `index` of the declared order; more than seven repeat."""
    return PALETTE[index % len(PALETTE)]
