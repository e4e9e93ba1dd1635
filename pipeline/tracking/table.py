"""Text tables for a terminal: aligned columns, cut to its width where there is one."""

import math
import re
import shutil
import sys
from collections.abc import Sequence

GAP = "  "
SHORTEST = 8
LARGEST = sys.float_info.max  # how MLflow keeps an infinity


def terminal_width() -> int | None:
    """Return the columns of the terminal on standard output, None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None
) -> str:
    """Return `rows` under `header`; columns of numbers lean right.

    Args:
        header: A name a column.
        rows: One text a column each.
        width: Columns of the terminal; the widest columns are cut to fit. None: no limit.
    """
    columns = [[name, *(row[i] for row in rows)] for i, name in enumerate(header)]
    widths = [max(len(text) for text in column) for column in columns]
    while width is not None and sum(widths) + len(GAP) * (len(widths) - 1) > width:
        widest = widths.index(max(widths))
        if widths[widest] <= SHORTEST:
            break
        widths[widest] -= 1
    right = [all(_is_number(text) for text in column[1:]) for column in columns]
    lines = []
    for row in (header, *rows):
        cells = [
            _fit(text, size).rjust(size) if lean else _fit(text, size).ljust(size)
            for text, size, lean in zip(row, widths, right, strict=True)
        ]
        lines.append(GAP.join(cells).rstrip())
    return "\n".join(lines)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number of a table; what is missing is a dash."""
    if value is None or math.isnan(value):
        return "-"
    if abs(value) >= LARGEST:
        return "inf" if value > 0 else "-inf"
    plain = value == 0 or 10**-digits <= abs(value) < 1e7
    return f"{value:.{digits}f}" if plain else f"{value:.2e}"


def minutes(value: float) -> str:
    """Return a duration in minutes, a dash where it is not known."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def _fit(text: str, size: int) -> str:
    """Return `text`, cut to `size` characters."""
    return text if len(text) <= size else f"{text[: size - 1]}…"


def _is_number(text: str) -> bool:
    """Say whether a cell is a number or its absence."""
    return re.fullmatch(r"-?(\d+(\.\d+)?(e[-+]\d+)?|inf)?", text) is not None
