"""Rows of a benchmark that takes long: kept one by one, and put into a page of `docs/`."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.engines.machine import cpu_name
from pipeline.settings import cache_dir

DOCS: Final = Path(__file__).parents[1] / "docs"
Row = dict[str, Any]


class Rows:
    """Rows of JSON in a file, one a line; a second run goes on where the first one ended.

    Args:
        path: The file; None for `UNETWORKS_CACHE/benchmarks/NAME.jsonl`.
        name: Of the benchmark.
        keys: What tells rows apart. A later row replaces an earlier one.
    """

    def __init__(self, path: Path | None, name: str, keys: Sequence[str]) -> None:
        self.path = path or cache_dir() / "benchmarks" / f"{name}.jsonl"
        self.keys = tuple(keys)
        self.rows: dict[tuple[Any, ...], Row] = {}
        if self.path.is_file():
            for line in self.path.read_text().splitlines():
                self._keep(json.loads(line))

    def _keep(self, row: Row) -> None:
        self.rows[tuple(row[key] for key in self.keys)] = row

    def has(self, **where: Any) -> bool:
        """Whether a row of these keys is there."""
        return tuple(where[key] for key in self.keys) in self.rows

    def add(self, row: Row) -> None:
        """Append a row to the file at once."""
        self._keep(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def write_between(page: Path, name: str, text: str) -> None:
    """Replace what stands in a page between `<!-- NAME -->` and `<!-- end of NAME -->`."""
    before, _, after = _between(page, name)
    page.write_text(f"{before}{text.strip()}\n{after}")


def write_of_this_cpu(page: Path, name: str, measured: str, text: str) -> None:
    """Replace what stands there of this kind of CPU, and leave what others have measured.

    Args:
        page: The page.
        name: Of the markers, as for `write_between`.
        measured: How; goes behind the CPU's name.
        text: What was found.
    """
    opening = f"CPU: {cpu_name()}; "
    parts = re.split(r"(?m)^(?=CPU: )", _between(page, name)[1].strip())
    kept = [part.strip() for part in parts if not part.startswith(opening)]
    write_between(page, name, "\n\n".join([*kept, f"{opening}{measured}.\n\n{text.strip()}"]))


def _between(page: Path, name: str) -> tuple[str, str, str]:
    """What stands before, between and after markers; they go with their outer sides."""
    before, begin, rest = page.read_text().partition(f"<!-- {name} -->\n")
    text, end, after = rest.partition(f"<!-- end of {name} -->")
    if not begin or not end:
        raise SystemExit(f"{page} has no markers for {name}")
    return before + begin, text, end + after
