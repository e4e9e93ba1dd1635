"""Every network becomes ONNX by torch's exporter, and ONNX Runtime computes the same logits."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.networks import NETWORKS, build_network, preset_options

pytest.importorskip("onnxscript", reason="onnxscript is in the extra unetworks[onnx]")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is in the extra unetworks[onnx]")

# torch 2.13's exporter copies tree specs in a way that it calls deprecated itself
pytestmark = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec:FutureWarning")

WRAPPED = ("vnet", "segresnet", "mednext", "unetr", "dynunet", "swin_unetr")  # MONAI's
MARKS = {  # large graphs, not large networks
    **{(name, 3): pytest.mark.heavy for name in WRAPPED},
    ("swin_unetr", 2): pytest.mark.slow,
    ("crunet", 3): pytest.mark.slow,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "unet": {"skip": "add"},
    "unet3d": {"padded": True},
    "unet_bilinear": {"up": "transposed"},
    "unetpp": {"deep_supervision": True, "mode": "accurate"},
    "unet3plus": {"deep_supervision": True, "cgm": True},
    "bcdunet": {"bidirectional": True},
    "bionet": {"integrate": False},
    "mednext": {"size": "B", "filters": 8},
}


def assert_onnx_agrees(name: str, dims: int, **options: Any) -> None:
    torch.manual_seed(0)
    options = {**preset_options(name, "compact", dims), **options}
    if name == "unet_valid":  # 188 voxels a side take their time
        options["widths"] = (2, 2, 2, 2, 2)
    network = build_network(name, dims, 2, 3, **options).eval()
    x = torch.randn(1, 2, *network.next_size([20] * dims))
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        expected = network(x).numpy()
        program = torch.onnx.export(network, (x,), dynamo=True)
    assert program is not None
    session = runtime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        pytest.param(name, dims, marks=MARKS.get((name, dims), ()))
        for name in NETWORKS
        for dims in (2, 3)
    ],
)
def test_onnx_runtime_computes_the_logits_of_torch(name: str, dims: int) -> None:
    assert_onnx_agrees(name, dims)


@pytest.mark.parametrize("name", VARIANTS)
def test_options_that_change_the_graph_export_too(name: str) -> None:
    assert_onnx_agrees(name, 2, **VARIANTS[name])
