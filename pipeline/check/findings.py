"""What a check says: one line of a table, and all of them together."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["error", "warning"]
SET = "-"
"""Stands for the case where a finding is about the whole set."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or unusual.

    Args:
        case: Id of the case, or `SET`.
        level: An error stops a training; a warning is to be looked at.
        what: What is wrong, in a few words.
        measured: The number or fact that shows it.
        remedy: The next thing to do.
    """

    case: str
    level: Level
    what: str
    measured: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of a manifest, errors first.

    Args:
        name: The manifest's name.
        hash: The manifest's hash.
        cases: Cases that were checked.
        read: Cases whose files were read; the others came from the cache.
        findings: What was found.
    """

    name: str
    hash: str
    cases: int
    read: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(finding.level == "error" for finding in self.findings)

    def to_json(self) -> str:
        """Return one JSON document."""
        document = {
            "manifest": self.name,
            "hash": self.hash,
            "cases": self.cases,
            "read": self.read,
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "findings": [asdict(finding) for finding in self.findings],
        }
        return json.dumps(document, indent=1)

    def lines(self) -> list[str]:
        """Return the table and a last line that counts."""
        rows = [(f.case, f.level, f.what, f.measured, f.remedy) for f in self.findings]
        table = [("case", "level", "what", "measured", "remedy"), *rows] if rows else []
        widths = [max(len(row[column]) for row in table) for column in range(5)] if rows else []
        lines = [
            "  ".join(text.ljust(n) for text, n in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        cached = self.cases - self.read
        return [
            *lines,
            f"{self.name}: {self.cases} cases ({cached} unchanged since the last check), "
            f"{self.errors} errors, {len(self.findings) - self.errors} warnings",
        ]
