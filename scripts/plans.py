"""Writes the plans of docs/planning.md anew: below each marked command stands what it prints.

    python scripts/plans.py [PAGE]

A mark is `<!-- unetworks data plan ... --markdown -->`, the text after it is replaced up to
`<!-- end -->`. Sets that do not lie on this machine keep what stands there.
"""

import contextlib
import io
import re
import sys
from pathlib import Path

from pipeline.cli import main
from pipeline.io import atomic_path

PAGE = Path(__file__).parents[1] / "docs" / "planning.md"
MARK = re.compile(r"(<!-- unetworks (data plan .*? --markdown) -->\n).*?(<!-- end -->)", re.S)


def printed(command: str) -> str | None:
    """What a command prints; None where it is refused."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(command.split())
    return out.getvalue() if code == 0 else None


def renewed(text: str) -> str:
    """The page with every marked section written anew, where that can be."""

    def section(match: re.Match[str]) -> str:
        new = printed(match[2])
        return match[0] if new is None else f"{match[1]}\n{new}\n{match[3]}"

    return MARK.sub(section, text)


if __name__ == "__main__":
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    found = renewed(page.read_text(encoding="utf-8"))
    with atomic_path(page) as draft:
        draft.write_text(found, encoding="utf-8")
