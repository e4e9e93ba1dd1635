"""Ways to begin: the articles' four initialisations, for 2D and 3D alike."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from pipeline.errors import UnknownNameError

DEVIATION: Final = 0.02  # of the normal method, and of the norms' scales about 1

METHODS: Final[dict[str, Callable[[Tensor], Any]]] = {
    "normal": lambda weight: nn.init.normal_(weight, 0.0, DEVIATION),
    "xavier": nn.init.xavier_normal_,
    "kaiming": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}


@torch.no_grad()
def initialise(network: nn.Module, method: str) -> None:
    """Draw all weights of convolutions and linear maps anew; biases become 0, scales about 1.

    A module with `own_initialisation` keeps what its paper gives it.

    Args:
        network: Changed in place, with torch's current seed.
        method: "normal", "xavier", "kaiming" or "orthogonal".

    Raises:
        UnknownNameError: No such method.

    Source: article 004.
    Deviations: the article finds norms by the name BatchNorm2d, so that 3D ones are missed, and
        uses a gain of .02 for all methods, with which xavier and orthogonal vanish; here 1.
    """
    if method not in METHODS:
        near = get_close_matches(method, METHODS) or sorted(METHODS)
        hint = f"did you mean {', '.join(near)}?"
        raise UnknownNameError(f"there is no initialisation {method!r}", hint=hint)
    if isinstance(network, _ConvNd | nn.Linear):
        METHODS[method](network.weight)
        if network.bias is not None:
            nn.init.zeros_(network.bias)
    elif isinstance(network, _BatchNorm | _InstanceNorm | nn.GroupNorm) and network.affine:
        nn.init.normal_(network.weight, 1.0, DEVIATION)
        nn.init.zeros_(network.bias)
    for child in network.children():
        if not getattr(child, "own_initialisation", False):
            initialise(child, method)
