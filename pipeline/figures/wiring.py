"""A drawing of a network's wiring: blocks as boxes, a row per level, and what feeds what."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.figures.palette import BACKGROUND, PALETTE, TEXT
from pipeline.io import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNIT_IN: Final = 0.62  # distance of neighbouring boxes
WIDTH, HEIGHT = 0.66, 0.42  # of a box, in units
DPI: Final = 100
NARROWEST_IN: Final = 5.0
DIM: Final = "#9AA0A6"
COLOURS: Final = {"skip": "#8AB4F8", "down": DIM, "up": DIM}
KINDS: Final = {"skip": "along a level", "down": "pooled or resized, down and up"}


@dataclass(frozen=True, slots=True)
class Block:
    """A box.

    Attributes:
        level: 0 for the full resolution; each further one halves it.
        channels: That leave it.
        kind: What it is made of, in a few words.
        convolutions: How many weighted operations it runs.
        output: Whether the network's logits leave it.
    """

    level: int
    channels: int
    kind: str
    convolutions: int
    output: bool = False


@dataclass(frozen=True, slots=True)
class Wiring:
    """Blocks in the order in which they run, and arrows as pairs of their places in it."""

    blocks: tuple[Block, ...]
    arrows: tuple[tuple[int, int], ...]

    @property
    def levels(self) -> int:
        """Number of resolutions."""
        return 1 + max(block.level for block in self.blocks)


def columns(wiring: Wiring) -> tuple[int, ...]:
    """Return each block's column: right of all that feed it, no two blocks at one place."""
    placed: list[int] = []
    taken: set[tuple[int, int]] = set()
    for place, block in enumerate(wiring.blocks):
        column = max((placed[a] + 1 for a, b in wiring.arrows if b == place), default=0)
        while (block.level, column) in taken:
            column += 1
        taken.add((block.level, column))
        placed.append(column)
    return tuple(placed)


def draw_wiring(wiring: Wiring, path: str | Path, title: str) -> Path:
    """Write a PNG of a network's blocks, a row per level, and return its path.

    Args:
        wiring: At least one block.
        path: Where to write; the file appears whole or not at all.
        title: One line above.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = columns(wiring)
    kinds = list(dict.fromkeys(block.kind for block in wiring.blocks))
    rise = 0.5 + max((_rise(wiring, across, a, b) for a, b in wiring.arrows), default=0.0)
    legend = 0.42 * -(-(len(kinds) + len(KINDS)) // 2)
    size = (max(across) + 1.9, wiring.levels + rise + legend + 0.5)
    width = max(size[0] * UNIT_IN, NARROWEST_IN)
    figure = Figure(figsize=(width, size[1] * UNIT_IN), dpi=DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-1.2, width / UNIT_IN - 1.2)
    axes.set_ylim(-(wiring.levels - 0.5) - legend, rise + 0.5)
    axes.text(-0.9, rise + 0.15, title, color=TEXT, fontsize=10, va="center")
    colours = {kind: PALETTE[n % len(PALETTE)] for n, kind in enumerate(kinds)}
    for a, b in wiring.arrows:
        _arrow(axes, wiring, across, a, b)
    for block, column in zip(wiring.blocks, across, strict=True):
        _box(axes, block, column, colours[block.kind])
    for level in range(wiring.levels):
        axes.text(-1.1, -level, f"1/{2**level}", color=DIM, fontsize=7, va="center")
    _legend(axes, colours)
    with atomic_path(path) as draft:
        figure.savefig(
            draft, format="png", dpi=DPI, facecolor=BACKGROUND, metadata={"Software": None}
        )
    return Path(path)


def _box(axes: "Axes", block: Block, column: int, colour: str) -> None:
    """A box with its channels; a white rim and a mark where logits leave it."""
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (column - WIDTH / 2, -block.level - HEIGHT / 2),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=colour,
            edgecolor=TEXT if block.output else "none",
            linewidth=1.8,
            zorder=3,
        )
    )
    axes.text(
        column,
        -block.level,
        str(block.channels),
        color=BACKGROUND,
        fontsize=8,
        ha="center",
        va="center",
        zorder=4,
    )


def _between(wiring: Wiring, across: Sequence[int], a: int, b: int) -> int:
    """Number of boxes that stand on the straight line of an arrow along a level."""
    level = wiring.blocks[a].level
    if wiring.blocks[b].level != level:
        return 0
    return sum(
        block.level == level and across[a] < column < across[b]
        for block, column in zip(wiring.blocks, across, strict=True)
    )


def _rise(wiring: Wiring, across: Sequence[int], a: int, b: int) -> float:
    """Height above row 0 of the arc that an arrow takes around other boxes; 0 for others."""
    if wiring.blocks[a].level or not _between(wiring, across, a, b):
        return 0.0
    return 0.5 * _bend(across[b] - across[a]) * (across[b] - across[a])


def _bend(length: int) -> float:
    """Curvature of an arc around boxes, flatter for long ones."""
    return min(0.3, 1.3 / length)


def _arrow(axes: "Axes", wiring: Wiring, across: Sequence[int], a: int, b: int) -> None:
    """An arrow from box to box, arched where a box is in its way."""
    from matplotlib.patches import FancyArrowPatch

    start, end = wiring.blocks[a].level, wiring.blocks[b].level
    kind = "skip" if start == end else "down" if end > start else "up"
    points: tuple[tuple[float, float], tuple[float, float]]
    if _between(wiring, across, a, b):
        bend, lift = -_bend(across[b] - across[a]), HEIGHT / 2
        points = (across[a], lift - start), (across[b], lift - end)
    elif start == end:
        bend = 0.0
        points = (across[a] + WIDTH / 2, -start), (across[b] - WIDTH / 2, -end)
    else:
        # those over several levels are bent, or they would hide each other
        bend = 0.0 if abs(end - start) == 1 else 0.12
        side = HEIGHT / 2 if end > start else -HEIGHT / 2
        points = (across[a] + WIDTH / 4, -start - side), (across[b] - WIDTH / 4, side - end)
    axes.add_patch(
        FancyArrowPatch(
            *points,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=7,
            shrinkA=0,
            shrinkB=0,
            color=COLOURS[kind],
            linewidth=1.4,
            zorder=2,
        )
    )


def _legend(axes: "Axes", colours: dict[str, str]) -> None:
    """Name the colours of boxes and arrows, in two columns below all."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Patch | Line2D] = [Patch(facecolor=c, label=kind) for kind, c in colours.items()]
    handles += [Line2D([], [], color=COLOURS[kind], label=word) for kind, word in KINDS.items()]
    axes.legend(
        handles=handles,
        loc="lower left",
        ncols=2,
        frameon=False,
        labelcolor=TEXT,
        fontsize=7,
        columnspacing=1.2,
        handlelength=1.3,
    )
