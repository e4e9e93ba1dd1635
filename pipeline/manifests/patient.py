"""From a case's id to its patient, so that no patient is divided."""

import re
from pathlib import Path
from typing import Any

from pipeline.errors import DataError


class PatientRule:
    """The patient of a case, taken from its id.

    Args:
        expression: Regular expression with one group; None: each case is its own patient.
        group_size: So many consecutive numbers, counted from 1, are one patient.
        path: The manifest, for errors.

    Raises:
        DataError: The expression is none, or has not one group.
    """

    def __init__(self, expression: str | None, group_size: int, path: Path) -> None:
        self.group_size = group_size
        self.path = path
        try:
            self.expression = re.compile(expression) if expression else None
        except re.error as error:
            raise DataError(
                f'manifest {path}: patient "{expression}" is no regular expression: {error}',
                hint=r'write one with one group, as "(sub-\\d+)_.*"',
            ) from None
        if self.expression and self.expression.groups != 1:
            raise DataError(
                f'manifest {path}: patient "{expression}" has {self.expression.groups} groups',
                hint=r'write one group, as "(sub-\\d+)_.*"',
            )

    def __call__(self, case_id: str) -> str:
        """The patient of a case.

        Raises:
            DataError: The rule does not fit the id.
        """
        if self.expression is None:
            return case_id
        match = self.expression.match(case_id)
        if not match or match[1] is None or (self.group_size > 1 and not match[1].isdecimal()):
            raise DataError(
                f'manifest {self.path}: the patient rule "{self.expression.pattern}" does not fit '
                f'case "{case_id}"',
                hint="widen the expression, or list the cases",
            )
        if self.group_size == 1:
            return match[1]
        return str((int(match[1]) + self.group_size - 1) // self.group_size)


def read_patient_rule(raw: Any, path: Path) -> PatientRule:
    """The rule of a pattern in a manifest: nothing, an expression, or one with a group size."""
    if isinstance(raw, dict):
        return PatientRule(raw["pattern"], raw["group_size"], path)
    return PatientRule(raw, 1, path)
