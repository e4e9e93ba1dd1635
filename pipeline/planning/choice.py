"""Who decides a value: the user where one is set, else a rule; and the reason of each."""

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.planning.overrides import Overrides

USER = "set by the user"


class Choice:
    """Chooses values and remembers why.

    Args:
        user: Values that stand.

    Attributes:
        why: The reason of each value chosen so far.
    """

    def __init__(self, user: Overrides) -> None:
        self.user = user
        self.why: dict[str, str] = {}

    def value(self, name: str, rule: Callable[[], tuple[Any, str]]) -> Any:
        """The user's value of `name`, or what the rule gives."""
        given = getattr(self.user, name)
        if given is not None:
            self.why[name] = USER
            return given
        planned, self.why[name] = rule()
        return planned

    def name(self, name: str, rule: Callable[[], tuple[str, str]], table: Sequence[str]) -> str:
        """A value that must be one of `table`."""
        value = self.value(name, rule)
        check_known(name, value, table)
        return str(value)

    def number(self, name: str, rule: Callable[[], tuple[float, str]]) -> float:
        """A value that must be above 0."""
        value = float(self.value(name, rule))
        if not value > 0:
            given = getattr(self.user, name)
            raise InvalidValueError(f"{name} is {given}", hint="give a value above 0")
        return value


def check_known(name: str, value: Any, table: Sequence[str]) -> None:
    """Refuse a word that is not in a table.

    Raises:
        UnknownNameError: The hint lists the table.
    """
    if value not in table:
        raise UnknownNameError(f"{name} is {value!r}", hint=f"use {', '.join(table)}")
