"""What a forward in torch takes, without computing it."""

import weakref
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

KERNELS: Final = 1.5
"""Times the tensors, for what kernels take beside them: reordered inputs, padded channels."""


def forward_bytes(network: nn.Module, shape: Sequence[int]) -> int | None:
    """About the most that one forward of a batch adds to the memory; None: it can't be told.

    The network runs on tensors without values; those that live at the same time are counted.

    Args:
        network: In evaluation; its weights are not counted.
        shape: Of the input, `(B, C, *patch)`.
    """
    state = dict([*network.named_parameters(), *network.named_buffers()])
    hollow = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
    given = torch.empty(tuple(shape), device="meta")
    alive = Alive()
    try:
        with torch.no_grad(), alive:
            torch.func.functional_call(network, hollow, (given,))
    except (RuntimeError, NotImplementedError):  # it looks at values on its way
        return None
    return round(KERNELS * alive.peak)


class Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make, until they are dropped.

    Attributes:
        peak: Bytes at most.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count what it gives."""
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if _is_tensor(t)}
        result = func(*args, **(kwargs or {}))
        for tensor in filter(_is_tensor, tree_leaves(result)):
            storage = tensor.untyped_storage()
            if id(storage) not in self._known | given:  # a view of what is there takes nothing
                self._known.add(id(storage))
                self._now += storage.nbytes()
                weakref.finalize(storage, self._dropped, id(storage), storage.nbytes())
        self.peak = max(self.peak, self._now)
        return result

    def _dropped(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)
