"""Every network trains under DistributedDataParallel, without unused parameters."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from pipeline.networks import NETWORKS, build_network, preset_options


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file: Path = tmp_path_factory.mktemp("group") / "store"
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("name", NETWORKS)
def test_two_steps_of_one_process_reduce_every_gradient(name: str) -> None:
    torch.manual_seed(0)
    options = preset_options(name, "compact", 2)
    parallel = DistributedDataParallel(build_network(name, 2, 1, 2, **options).train())
    size = parallel.module.next_size([40, 20])
    for _ in range(2):  # the second forward raises where the first left a parameter unused
        output = parallel(torch.randn(2, 1, *size))
        heads = [output] if isinstance(output, Tensor) else output
        torch.stack([head.square().mean() for head in heads]).sum().backward()  # type: ignore[no-untyped-call]
