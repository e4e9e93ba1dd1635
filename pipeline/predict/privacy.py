"""What of a refusal may be kept on disk."""

import re
from pathlib import Path
from typing import Final

from pipeline.predict.inputs import InputCase

DESCRIBED: Final = re.compile(r'(\[\d+\] \S+ \d+x\d+x\d+) "[^"]*"')
"""A series in a listing: its description is free text, and may name anybody."""

UID: Final = re.compile(r"\b(?:[0-2](?:\.\d+){3,}|2\.25\.\d+)\b")


def stored(reason: str, given: str | Path, case: InputCase, output: Path | None = None) -> str:
    """A refusal as it may be kept: no folder above INPUT or OUTPUT, no UID, no text."""
    known = (Path(given), *case.images, *(() if output is None else (output,)))
    folders = {form.parent for p in known for form in (p, p.absolute(), p.resolve())}
    for folder in sorted(folders, key=lambda f: len(str(f)), reverse=True):
        if str(folder) not in (".", folder.anchor):
            reason = reason.replace(f"{folder}/", "")
    return UID.sub("[UID]", DESCRIBED.sub(r"\1", reason))
