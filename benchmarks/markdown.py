"""Tables in Markdown, and their place in a page."""

from collections.abc import Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first column is text, the others stand to the right."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def replace_between(page: Path, markers: tuple[str, str], text: str) -> None:
    """Put text between two marker lines of a page, in place of what stands there.

    Raises:
        SystemExit: The page has not both markers.
    """
    first, last = markers
    content = page.read_text()
    if first not in content or last not in content:
        raise SystemExit(f"error: {page} has no {first} ... {last}")
    before, after = content.split(first, 1)[0], content.split(last, 1)[1]
    page.write_text(f"{before}{first}\n{text}\n{last}{after}")
