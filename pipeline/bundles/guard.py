"""Errors inside a bundle: one line on stderr and exit code 2, whatever MONAI wraps around them."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import ParamSpec, TypeVar

from pipeline.errors import REPORT, PipelineError
from pipeline.interrupt import exit_code, interruptible, terminate_as_exception

P = ParamSpec("P")
R = TypeVar("R")


def leave(error: PipelineError) -> SystemExit:
    """Print the error's line and return the exit to raise."""
    print(f"error: {error.line()}", file=sys.stderr)
    return SystemExit(2)


def plain(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function of a config end the program with one line where it refuses.

    MONAI turns every exception of an expression into a `RuntimeError` with a long traceback, but
    lets `SystemExit` pass.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            found = refusal(error)
            if found is None:
                raise
            raise leave(found) from error

    return guarded


@contextmanager
def one_line_exit(interrupted: Callable[[], str]) -> Iterator[None]:
    """Run a block of a config: a refusal or an interruption ends the program in one line.

    Args:
        interrupted: Says after Ctrl-C or SIGTERM what stands.

    Raises:
        SystemExit: 2 for a refusal, 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with interruptible():
            yield
    except KeyboardInterrupt as error:
        print(f"interrupted: {interrupted()}", file=sys.stderr)
        raise SystemExit(exit_code(error)) from None
    except Exception as error:
        found = refusal(error)
        if found is None:
            raise
        raise leave(found) from error


def refusal(error: BaseException | None) -> PipelineError | None:
    """The `PipelineError` in the chain of causes, if there is one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, PipelineError):
            return error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def install_hook() -> None:
    """Let what nobody caught end as the commands do: in one line, and with their exit codes.

    A `PipelineError`, wrapped or not, is 2, Ctrl-C 130 and SIGTERM 143; anything else is a bug, and
    one line says where to report it. For components, whose constructors MONAI calls itself.
    """
    if getattr(sys.excepthook, "unetworks", False):
        return
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
            raise SystemExit(exit_code(error))
        found = refusal(error)
        if found is not None:
            raise leave(found)
        previous(kind, error, trace)
        print(REPORT, file=sys.stderr)

    hook.unetworks = True  # type: ignore[attr-defined]
    sys.excepthook = hook
    terminate_as_exception()
