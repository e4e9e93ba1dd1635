"""The page of an overlay: panels of one scale on a dark ground, captions, legend, scale bar."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.figures.palette import BACKGROUND, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN = 14.0
DPI = 100

_MARGIN_IN = 0.18
_STRIP_IN = 0.42
"""Height of the title and of one legend row, width of the strip of row captions."""
_BODY_AT_MOST_IN = 8.4
_ROW_AT_MOST_IN = 6.0
_INSET_POINTS = 9
"""Distance of letters from a panel's edge."""
_LEGEND_COLUMNS = 8
_BARS_MM = (200, 100, 50, 20, 10, 5, 2, 1)


def _inset(at: float) -> int:
    """Return the shift in points that brings text from a panel's edge inside."""
    return _INSET_POINTS * {0.0: 1, 1.0: -1}.get(at, 0)


class Page:
    """A figure of rows of panels, all at one scale, without matplotlib's global state.

    Args:
        sizes: (height, width) of every panel in mm (or pixels), row by row.
        legend: Number of legend entries.
        title: Leave room for a title.
        captions: Leave room for words beside the rows.
    """

    def __init__(
        self,
        sizes: Sequence[Sequence[tuple[float, float]]],
        *,
        legend: int,
        title: bool,
        captions: bool,
    ) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._sizes = sizes
        across = max(sum(width for _, width in row) for row in sizes)
        panels = max(len(row) for row in sizes)
        self._left = _MARGIN_IN + (_STRIP_IN if captions else 0.0)
        room = WIDTH_IN - self._left - _MARGIN_IN * panels
        tallest = max(height for row in sizes for height, _ in row)
        tall_at_most = min(_ROW_AT_MOST_IN, _BODY_AT_MOST_IN / len(sizes))
        self._scale = min(room / across, tall_at_most / tallest)
        self._shift = (room - across * self._scale) / 2
        self._heights = [max(height for height, _ in row) * self._scale for row in sizes]
        self._top = _MARGIN_IN + (_STRIP_IN if title else 0.0)
        self._legend_rows = -(-legend // _LEGEND_COLUMNS)
        body = sum(self._heights) + _MARGIN_IN * len(sizes)
        self.height = self._top + body + _STRIP_IN * self._legend_rows
        self.figure = Figure(figsize=(WIDTH_IN, self.height), dpi=DPI, facecolor=BACKGROUND)
        FigureCanvasAgg(self.figure)
        self._first: Axes | None = None

    def panel(self, row: int, column: int) -> "Axes":
        """Return empty axes at a place of the grid, centred in its row."""
        height, width = (side * self._scale for side in self._sizes[row][column])
        before = sum(width for _, width in self._sizes[row][:column]) * self._scale
        x = self._left + self._shift + before + _MARGIN_IN * column
        y = self._row_middle(row) - height / 2
        axes = self.figure.add_axes(
            (x / WIDTH_IN, y / self.height, width / WIDTH_IN, height / self.height)
        )
        axes.set_axis_off()
        self._first = self._first or axes
        return axes

    def _row_middle(self, row: int) -> float:
        above = self._top + sum(self._heights[:row]) + _MARGIN_IN * row
        return self.height - above - self._heights[row] / 2

    def caption(self, axes: "Axes", text: str) -> None:
        """Write a word into the upper left corner of a panel."""
        self.write(axes, text, 0.0, 1.0, across="left", size=13)

    def row_caption(self, row: int, text: str) -> None:
        """Write a word upright beside a row."""
        self.figure.text(
            (self._left + self._shift - _STRIP_IN / 2) / WIDTH_IN,
            self._row_middle(row) / self.height,
            text,
            color=TEXT,
            fontsize=14,
            rotation=90,
            ha="center",
            va="center",
        )

    @staticmethod
    def write(
        axes: "Axes", text: str, x: float, y: float, *, across: str = "center", size: int = 11
    ) -> None:
        """Write text at a fraction of a panel, just inside its edge, with a dark rim.

        The rim lets it be read on bright tissue.
        """
        from matplotlib.patheffects import withStroke

        axes.annotate(
            text,
            (x, y),
            xycoords="axes fraction",
            xytext=(_inset(x), _inset(y)),
            textcoords="offset points",
            color=TEXT,
            fontsize=size,
            ha=across,
            va="center",
            path_effects=[withStroke(linewidth=2.5, foreground=BACKGROUND)],
        )

    def scale_bar(self) -> None:
        """Draw a bar of a round length in mm into the first panel."""
        if self._first is None:
            return
        height, width = self._sizes[0][0]
        length = next((bar for bar in _BARS_MM if bar <= width / 4), _BARS_MM[-1])
        end, y = width * 0.97, height * 0.97
        self._first.plot(
            [end - length, end], [y, y], color=TEXT, linewidth=2.5, solid_capstyle="butt"
        )
        self.write(self._first, f"{length} mm", 0.97 - length / width / 2, 0.065, size=10)

    def title(self, text: str) -> None:
        """Write one line above all panels."""
        y = self.height - _MARGIN_IN - _STRIP_IN / 2.5
        self.figure.text(
            (self._left + self._shift) / WIDTH_IN,
            y / self.height,
            text,
            color=TEXT,
            fontsize=15,
            ha="left",
            va="center",
        )

    def legend(self, entries: Sequence[tuple[str, str]], *, outline: str | None) -> None:
        """Name the colours below all panels, and what the white outline is."""
        from matplotlib.patches import Patch

        handles = [Patch(facecolor=colour, label=name) for name, colour in entries]
        if outline:
            handles.append(Patch(facecolor="none", edgecolor=TEXT, label=outline))
        if not handles:
            return
        self.figure.legend(
            handles=handles,
            loc="lower center",
            bbox_to_anchor=(0.5, _MARGIN_IN / 2 / self.height),
            ncols=min(len(handles), _LEGEND_COLUMNS),
            frameon=False,
            labelcolor=TEXT,
            fontsize=13,
            handlelength=1.1,
            handleheight=1.1,
            columnspacing=1.8,
            borderaxespad=0,
        )

    def save(self, path: Path) -> None:
        """Write the page as PNG, without the name and version of the writing program."""
        self.figure.savefig(
            path, format="png", dpi=DPI, facecolor=BACKGROUND, metadata={"Software": None}
        )
