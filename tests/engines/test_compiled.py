"""torch.compile behind the interface; compilation is most of the time."""

import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipeline.contract import Network
from pipeline.engines import open_engine
from pipeline.engines.compiled import COMPILERS
from pipeline.engines.exported import ConversionError

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)), reason="no C++ compiler is installed"
)


@pytest.mark.slow
def test_compiled_kernels_give_torchs_logits_and_leave_the_network_as_it_was(
    blobs_of: Callable[..., Network], windows_like: Callable[..., list[Tensor]]
) -> None:
    network, windows = blobs_of(2), windows_like(2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    engine = open_engine("compile", "fp32", network, "a" * 64, (12, 12), batch=4)
    batches = [torch.stack(windows[:4]), torch.stack(windows[4:])]
    found = [logits.clone() for logits in engine.run(batches)]
    with torch.no_grad():
        for logits, batch in zip(found, batches, strict=True):
            assert torch.allclose(logits, network(batch), atol=1e-4)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    engine.close()
    engine.close()


def test_a_network_that_cant_be_compiled_is_refused_in_one_line() -> None:
    class Branching(Network):
        divisor = 1

        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if float(x.sum()) > 0 else x

    with pytest.raises(ConversionError, match=r"torch\.compile failed") as refused:
        open_engine("compile", "fp32", Branching(2, 1, 1), "a" * 64, (8, 8))
    assert "\n" not in refused.value.line()
