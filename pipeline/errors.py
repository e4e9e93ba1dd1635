"""The one family of errors that a user may see without a traceback."""

from collections.abc import Callable

REPORT = (
    "a bug of unetworks; please report it with the output of unetworks info: "
    "https://github.com/unetworks/unetworks/issues"
)


class PipelineError(Exception):
    """What went wrong, in one line; the command prints `error: MESSAGE; HINT` and exits with 2.

    Any other exception is a bug of ours and keeps its traceback.

    Args:
        message: The fact, with names, paths and sizes in their unit.
        hint: The next thing to type or to look at.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[Callable[..., "PipelineError"], tuple[object, ...]]:
        """Pickle with the hint: errors travel between processes."""
        return _rebuilt, (type(self), str(self), self.hint)

    def line(self) -> str:
        """Return `MESSAGE; HINT` on one line, whatever line breaks the parts had."""
        return " ".join(f"{self}; {self.hint}".split())


def _rebuilt(kind: type[PipelineError], message: str, hint: str) -> PipelineError:
    return kind(message, hint=hint)


class UnknownNameError(PipelineError, ValueError):
    """A name that no table has: a network, a window, a preset, a setting, an engine."""


class InvalidValueError(PipelineError, ValueError):
    """A known setting with a value outside its range."""


class DataError(PipelineError):
    """A file, a manifest or a case that is missing, unreadable or does not match."""


class GeometryError(DataError):
    """Grids, affines or orientations that do not fit each other."""


class ResourceError(PipelineError):
    """Not enough memory or disk, or a missing optional library."""
