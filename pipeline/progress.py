"""The one progress bar: on stderr, silent when stderr is no terminal."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], label: str, *, total: int | None = None, quiet: bool = False
) -> Iterator[Item]:
    """Yield `items` under a bar called `label`.

    Args:
        items: What to pass through.
        label: A word or two before the bar.
        total: Number of items where `items` has no length.
        quiet: Show nothing even on a terminal.
    """
    disable = quiet or not sys.stderr.isatty()
    yield from tqdm(items, desc=label, total=total, disable=disable, file=sys.stderr, leave=False)
