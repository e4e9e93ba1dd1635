"""Where torch's kernels for a CPU compute wrong gradients, or write beyond their memory."""

import torch
from torch import nn

NARROW = 16  # input channels, below which a gradient of oneDNN's is unsafe


@torch.no_grad()
def has_shallow_maps(network: nn.Module, image: torch.Tensor) -> bool:
    """Whether a 3D convolution's kernel is deeper than the map `(B, C, *S)` that it gets.

    With 1 < depth < kernel and a stride of 1, oneDNN's bfloat16 gradient of the weights reads
    memory that nobody wrote (torch 2.13 on x86): finite or not by chance.
    """
    found: list[bool] = []

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv3d)
        found.append(1 < inputs[0].shape[2] < module.kernel_size[0])

    hooks = [
        module.register_forward_pre_hook(look)
        for module in network.modules()
        if isinstance(module, nn.Conv3d)
    ]
    if hooks:
        network.eval()(image)
        network.train()
    for hook in hooks:
        hook.remove()
    return any(found)


def has_narrow_shortcuts(network: nn.Module) -> bool:
    """Whether a 2D convolution of one pixel has a stride and fewer than 16 input channels.

    In channels-last memory oneDNN's single-precision gradient of its weights writes beyond its
    buffer where the CPU has AVX-512 (torch 2.13): the process dies.
    """
    return any(
        isinstance(module, nn.Conv2d)
        and set(module.kernel_size) == {1}
        and max(module.stride) > 1
        and module.in_channels // module.groups < NARROW
        for module in network.modules()
    )
