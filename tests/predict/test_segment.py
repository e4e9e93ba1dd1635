"""One case through `segment`: what is computed, where, and in how much memory."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.contract import Engine, Network
from pipeline.errors import InvalidValueError, ResourceError
from pipeline.inferers.cells import peak_voxels
from pipeline.inferers.layout import lay_windows
from pipeline.inferers.memory import MemoryPlan, plan_memory
from pipeline.inferers.sweep import Block
from pipeline.inferers.target import Target
from pipeline.io import write_nifti
from pipeline.networks import build_network
from pipeline.predict.computing import Computing, Engines
from pipeline.predict.inputs import InputCase
from pipeline.predict.members import Member, _output_bytes, _sums_device, _try, blocks_of, meet
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.preparing import Prepared, prepare, read_case
from pipeline.predict.segment import Segmented, segment
from pipeline.transforms.grid import restore_grid
from tests.inferers.stub import monai
from tests.threshold import facts_of, plan_of

AFFINE = np.array([[0, 0, 2.0, 5], [-1.25, 0, 0, 7], [0, 1.5, 0, -3], [0, 0, 0, 1]])
SPACING = [1.6, 1.4, 1.3]
CPU = torch.device("cpu")
OFF = SegmentOptions(body_box="off")


class Blurred(Network):
    """A convolution whose answer depends on a voxel's neighbours and its place in the window."""

    divisor = 1

    def __init__(self, dims: int, channels: int, classes: int, seed: int) -> None:
        super().__init__(dims, channels, classes)
        torch.manual_seed(seed)
        kind = nn.Conv2d if dims == 2 else nn.Conv3d
        self.layer = kind(channels, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layer(x)
        return logits


def model_of(network: Network, facts: dict[str, Any], plan: dict[str, Any], name: str) -> Model:
    return Model(name, network.eval(), facts, plan, f"{name}{id(network)}", CPU)


def blurred(dims: int = 3, seed: int = 0, head: str = "softmax", **plan: Any) -> Model:
    facts = facts_of(head=head)
    network = Blurred(dims, 1, 3 if head == "softmax" else 2, seed)
    given = {"spacing": SPACING, "patch": [6] * dims, **plan}
    return model_of(network, facts, plan_of(dims, **given), f"blurred{seed}")


@pytest.fixture
def case(tmp_path: Path) -> InputCase:
    rng = np.random.default_rng(1)
    image = rng.normal(100, 60, (14, 12, 9)).astype(np.int16)
    write_nifti(tmp_path / "scan.nii.gz", image, AFFINE)
    return InputCase("scan", (tmp_path / "scan.nii.gz",), "scan.nii.gz")


def stock(case: InputCase, model: Model, flat: int | None = None) -> tuple[Tensor, Any]:
    """MONAI's logits on the network's grid, and the prepared case."""
    ready = prepare(case.id, read_case(case), model, OFF)
    patch = tuple(model.plan["patch"])
    return monai(ready.image, model.network, patch, model.plan["overlap"], flat=flat), ready


def back(values: NDArray[Any], ready: Any) -> NDArray[Any]:
    """On the source's grid by nearest neighbour."""
    return restore_grid(values, ready.affine, AFFINE, (14, 12, 9))


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_labels_equal_monais_window_argmax_and_nearest_inversion(
    case: InputCase, head: str
) -> None:
    model = blurred(head=head)
    logits, ready = stock(case, model)
    found = segment(case, [model], OFF)
    if head == "softmax":
        wanted = np.array([0, 1, 4])[back(logits.argmax(0, keepdim=True).numpy(), ready)[0]]
    else:
        wanted = np.moveaxis(back((logits > 0).numpy(), ready), 0, -1)
    assert (found.mask == wanted).all()
    assert len(np.unique(found.mask)) > 1
    assert found.affine == pytest.approx(AFFINE, abs=1e-5)
    assert found.engines == (("torch", "fp32"),)
    assert found.windows == ready.layout.windows
    assert set(found.seconds) == {"read", "engine", "network", "restore"}


@pytest.mark.parametrize("flat", [0, 2])
def test_a_2d_network_goes_through_a_volume_slice_by_slice(case: InputCase, flat: int) -> None:
    model = blurred(2, slice_axis=flat)
    logits, ready = stock(case, model, flat)
    wanted = np.array([0, 1, 4])[back(logits.argmax(0, keepdim=True).numpy(), ready)[0]]
    assert (segment(case, [model], OFF).mask == wanted).all()


def test_resampled_logits_are_interpolated_before_the_decision(case: InputCase) -> None:
    model = blurred()
    logits, ready = stock(case, model)
    found = segment(case, [model], replace(OFF, resample="logits", probabilities=("lesion",)))
    nearest = segment(case, [model], OFF)
    target = ready.target
    for axis, line in enumerate(target.positions):
        place = torch.from_numpy(np.clip(line, 0, logits.shape[axis + 1] - 1))
        low = place.floor().long()
        high = (low + 1).clamp_max(logits.shape[axis + 1] - 1)
        share = (place - low).float().view(-1, *[1] * (2 - axis))
        below = logits.index_select(axis + 1, low)
        logits = torch.lerp(below, logits.index_select(axis + 1, high), share)
    order = [target.axes.index(a) for a in range(3)]
    wanted = np.array([0, 1, 4])[logits.argmax(0).permute(*order).numpy()]
    assert (found.mask == wanted).all()
    assert (found.mask != nearest.mask).any()
    assert found.probabilities is not None
    share = logits.softmax(0)[2].permute(*order)
    assert np.abs(found.probabilities[..., 0] - share.numpy() * 255).max() < 0.51


def test_probabilities_are_those_of_the_named_classes_in_the_order_asked_for(
    case: InputCase,
) -> None:
    model = blurred()
    logits, ready = stock(case, model)
    shares = back(logits.softmax(0)[[2, 1]].numpy(), ready)
    found = segment(case, [model], replace(OFF, probabilities=("lesion", "organ"))).probabilities
    assert found is not None
    assert np.abs(np.moveaxis(found, -1, 0) - shares * 255).max() < 0.51
    every = segment(case, [model], replace(OFF, probabilities=())).probabilities
    assert every is not None
    assert (every[..., ::-1] == found).all()
    assert segment(case, [model], OFF).probabilities is None


def ensemble_mask(case: InputCase, models: list[Model]) -> NDArray[Any]:
    """Mean of the probabilities on the source's grid, nearest voxel."""
    shares = []
    for model in models:
        logits, ready = stock(case, model, model.plan["slice_axis"])
        shares.append(back(logits.softmax(0).numpy(), ready))
    return np.asarray(np.array([0, 1, 4])[np.mean(shares, axis=0).argmax(0)])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({}, id="the same grid and windows"),
        pytest.param({"patch": [7, 5, 6]}, id="other windows"),
        pytest.param({"spacing": [2.1, 1.2, 1.5]}, id="another grid"),
        pytest.param({"spacing": None, "dims": 2, "slice_axis": 2}, id="slices and volumes"),
    ],
)
def test_an_ensemble_is_the_mean_of_the_probabilities(
    case: InputCase, other: dict[str, Any]
) -> None:
    models = [blurred(seed=1), blurred(**{"seed": 2, **other})]
    found = segment(case, models, OFF)
    wanted = ensemble_mask(case, models)
    assert (found.mask != wanted).mean() < 1e-3, "ties alone may differ"
    assert len(found.engines) == 2
    assert found.windows == sum(stock(case, m, m.plan["slice_axis"])[1].layout.windows
                                for m in models)  # fmt: skip


def test_the_same_model_twice_changes_nothing(case: InputCase) -> None:
    model = blurred()
    assert (segment(case, [model, model], OFF).mask == segment(case, [model], OFF).mask).all()


def test_mirroring_takes_the_mean_over_all_flips(case: InputCase) -> None:
    model = blurred()
    ready = prepare(case.id, read_case(case), model, OFF)
    axes = [[a for n, a in enumerate((2, 3, 4)) if bits >> n & 1] for bits in range(8)]

    def mirrored(x: Tensor) -> Tensor:
        return torch.stack([model.network(x.flip(f)).flip(f) for f in axes]).mean(0)

    wanted = monai(ready.image, mirrored, (6, 6, 6), 0.5).argmax(0, keepdim=True).numpy()
    found = segment(case, [model], replace(OFF, mirror=True))
    equal = found.mask == np.array([0, 1, 4])[back(wanted, ready)[0]]
    assert equal.mean() > 0.999
    assert (found.mask != segment(case, [model], OFF).mask).any()


def nested(**options: Any) -> Model:
    torch.manual_seed(0)
    network = build_network("unetpp", 3, 1, 3, widths=[2, 2, 4, 4, 4], deep_supervision=True)
    plan = plan_of(spacing=SPACING, patch=[16, 16, 16])
    return model_of(network, facts_of(), plan, "unetpp")


def test_levels_of_a_nested_network_are_chosen(case: InputCase) -> None:
    model = nested()
    network: Any = model.network
    for level in ("1", "2", "accurate", None):
        mode = ("fast", int(level) if level else None) if level != "accurate" else ("accurate",)
        network.set_mode(*mode)
        logits, ready = stock(case, model)
        network.set_mode("fast")
        wanted = back(logits.argmax(0, keepdim=True).numpy(), ready)[0]
        found = segment(case, [model], replace(OFF, level=level))
        assert (found.mask == np.array([0, 1, 4])[wanted]).all(), level
    assert network.mode == "fast", "the model itself is as it was"


def test_a_level_of_another_network_is_refused(case: InputCase) -> None:
    with pytest.raises(InvalidValueError, match="blurred0 has no levels"):
        segment(case, [blurred()], replace(OFF, level="2"))


@torch.no_grad()
def test_an_unpadded_network_sees_mirrored_borders(case: InputCase) -> None:
    torch.manual_seed(0)
    network = build_network("unet3d", 3, 1, 3, widths=[2, 4, 4, 4], norm=None).eval()
    model = model_of(network, facts_of(), plan_of(patch=[92, 92, 92]), "unet3d")
    ready = prepare(case.id, read_case(case), model, OFF)
    assert ready.layout.patch == (4, 4, 4)
    shape = ready.image.shape[1:]  # 9 x 14 x 12
    grown = network.next_size([n + 88 for n in shape])
    index = [np.arange(-44, g - 44) for g in grown]
    folded: Any = [
        np.minimum(i % (2 * n - 2), -i % (2 * n - 2)) for i, n in zip(index, shape, strict=True)
    ]
    around = ready.image.numpy()[(slice(None), *np.ix_(*folded))]
    logits = network(torch.from_numpy(around)[None])[0][:, : shape[0], : shape[1], : shape[2]]
    wanted = back(logits.argmax(0, keepdim=True).numpy(), ready)[0]
    found = segment(case, [model], OFF)
    assert (found.mask == np.array([0, 1, 4])[wanted]).mean() > 0.999


def body(tmp_path: Path) -> InputCase:
    """A cylinder in air."""
    x, y = np.ogrid[:60, :60]
    image = np.where((x - 34) ** 2 + (y - 30) ** 2 < 13**2, 60, -1000)
    scan = np.repeat(image[..., None], 20, axis=2).astype(np.int16)
    write_nifti(tmp_path / "body.nii.gz", scan, np.diag([-4.0, -4.0, 4.0, 1]))
    return InputCase("body", (tmp_path / "body.nii.gz",), "body.nii.gz")


def test_the_box_of_the_body_is_on_for_volumes_of_ct_and_spares_windows(tmp_path: Path) -> None:
    case, model = body(tmp_path), blurred(spacing=None, patch=[12, 12, 12], window=[[-200, 200]])
    found = {kind: segment(case, [model], SegmentOptions(body_box=kind))
             for kind in (None, "even", "lattice", "off")}  # fmt: skip
    assert found[None].windows == found["even"].windows < found["lattice"].windows
    assert found["lattice"].windows < found["off"].windows
    assert found["off"].box is None
    (x, y, z) = found["even"].box or ()
    inside: Any = tuple(slice(*span) for span in (x, y, z))
    assert z == (0, 20)
    assert x[1] - x[0] < 40
    assert (found["lattice"].mask == found["off"].mask)[::-1, ::-1][inside].mean() > 0.99
    outside = np.ones((60, 60, 20), bool)
    covered = prepare("body", read_case(case), model, SegmentOptions()).layout.region
    outside[tuple(slice(*span) for span in covered)] = False
    assert outside.mean() > 0.5
    assert not found["even"].mask[::-1, ::-1][outside].any()


def test_the_box_is_off_for_other_images_and_refused_if_asked_for(case: InputCase) -> None:
    model = blurred()
    other = replace(model, facts=facts_of(modality=["MR"]))
    assert segment(case, [other]).box is None
    with pytest.raises(InvalidValueError, match="no box of the body"):
        segment(case, [other], SegmentOptions(body_box="even"))


def test_a_limit_of_memory_is_planned_for_kept_to_and_told(case: InputCase) -> None:
    lines: list[str] = []
    model = blurred()
    with Engines(lines.append) as engines:
        plain = segment(case, [model], OFF, engines=engines)
        limited = segment(case, [model], replace(OFF, max_ram_gib=64), engines=engines)
    assert (plain.mask == limited.mask).all()
    assert limited.memory is not None
    assert limited.memory.limit == 64 * 2**30
    assert {"held", "sums"} <= set(limited.memory.parts)
    assert "windows" in lines[-1]


@pytest.mark.parametrize("slices", [1, 3])
def test_slices_are_predicted_within_a_limit_too(case: InputCase, slices: int) -> None:
    network = Blurred(2, slices, 3, seed=0)
    plan = plan_of(2, spacing=SPACING, patch=[6, 6], slice_axis=1, slices=slices)
    model = model_of(network, facts_of(), plan, f"slices{slices}")
    plain = segment(case, [model], OFF)
    limited = segment(case, [model], replace(OFF, max_ram_gib=64))
    assert plain.mask.any()
    assert (plain.mask == limited.mask).all()


@pytest.mark.parametrize("resample", ["label", "logits"])
def test_tiles_change_no_label(
    case: InputCase, resample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, options = blurred(), replace(OFF, resample=resample)
    whole = segment(case, [model], options)
    monkeypatch.setattr("pipeline.predict.members.resident_bytes", lambda: 0)
    monkeypatch.setattr("pipeline.predict.members.added_bytes", lambda step: 0)
    monkeypatch.setattr("pipeline.predict.preparing.refuse_preparing", lambda *case: None)
    tight = segment(
        case, [model], replace(options, max_ram_gib=1e-5 if resample == "label" else 1.6e-5)
    )
    assert tight.memory is not None
    assert len(tight.memory.tiles) > 1
    assert tight.windows > whole.windows
    assert (tight.mask == whole.mask).all()


def test_a_limit_that_cannot_be_kept_names_the_smallest_that_would_do(case: InputCase) -> None:
    with pytest.raises(ResourceError, match=r"0\.01 GiB are too few") as caught:
        segment(case, [blurred()], replace(OFF, max_ram_gib=0.01))
    assert "--max-ram" in caught.value.hint


def test_memory_is_planned_without_what_is_free_and_what_a_failed_plan_opened(
    case: InputCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    batches: list[list[int]] = []

    def planned(layout: Any, needs: Any, limit: int | None, **more: Any) -> Any:
        batches.append([computing.engine.batch for computing in engines._open.values()])
        if len(batches) == 1:
            raise ResourceError("too little", hint="more")
        return plan_memory(layout, needs, limit, **more)

    def noted(name: str) -> None:
        def note() -> int:
            steps.append(name)
            return 0

        monkeypatch.setattr(f"pipeline.predict.members.{name}", note)

    noted("resident_bytes")
    noted("release_free_memory")
    monkeypatch.setattr("pipeline.predict.members.plan_memory", planned)
    with Engines() as engines:
        segment(case, [blurred()], replace(OFF, max_ram_gib=64), engines=engines)
    assert batches == [[16], [1]]
    assert steps == ["release_free_memory", *["release_free_memory", "resident_bytes"] * 2]


class FullGPU:
    """Stands for `blocks_of` on a GPU whose memory is too small for the first calls.

    Attributes:
        calls: Batches and frugality of each call.
    """

    def __init__(self, times: int, error: RuntimeError) -> None:
        self.calls: list[tuple[list[int], bool]] = []
        self._times, self._error = times, error

    def __call__(
        self, meeting: Any, computing: Any, plan: Any, sweeps: Any, *, frugal: bool
    ) -> Iterator[Block]:
        self.calls.append(([one.engine.batch for one in computing], frugal))
        for number, block in enumerate(blocks_of(meeting, computing, plan, sweeps)):
            if number == 3 and len(self.calls) <= self._times:
                raise self._error
            yield block


FULL = [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: out of memory")]


@pytest.mark.parametrize("error", FULL)
def test_a_gpu_that_is_too_small_is_tried_once_more_with_little_on_it(
    case: InputCase, error: RuntimeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, told = blurred(), list[str]()
    wanted = segment(case, [model], OFF)
    gpu = FullGPU(1, error)
    monkeypatch.setattr("pipeline.predict.segment.blocks_of", gpu)
    with Engines(told.append) as engines:
        found = segment(case, [model], OFF, engines=engines)
    assert gpu.calls == [([16], False), ([1], True)]
    assert (found.mask == wanted.mask).all()
    assert found.windows == wanted.windows
    assert any("GPU's memory is too small" in line for line in told)


def test_a_gpu_that_is_too_small_twice_is_one_line_that_names_no_limit_of_the_host(
    case: InputCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.predict.segment.blocks_of", FullGPU(2, FULL[0]))
    with pytest.raises(ResourceError, match="scan: out of memory on the GPU") as caught:
        segment(case, [blurred()], OFF)
    assert "--max-ram" not in caught.value.line()


def test_another_error_of_a_forward_is_no_lack_of_memory(
    case: InputCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = FullGPU(2, RuntimeError("a bug"))
    monkeypatch.setattr("pipeline.predict.segment.blocks_of", gpu)
    with pytest.raises(RuntimeError, match="a bug"):
        segment(case, [blurred()], OFF)
    assert len(gpu.calls) == 1


@pytest.mark.parametrize(("allocated", "where"), [(300, "cuda"), (900, "cpu")])
def test_sums_lie_on_the_gpu_where_what_torch_keeps_for_it_is_enough(
    allocated: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 2000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 1000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated)
    plan = MemoryPlan((0, 1, 2), (), 1, torch.float32, {"sums": 400, "rows": 200})
    assert _sums_device(torch.device("cuda"), plan).type == where


def test_members_of_different_grids_are_planned_with_their_own_windows(case: InputCase) -> None:
    models = [blurred(), blurred(seed=1, spacing=[3.0, 3.0, 3.0], patch=[4, 4, 4])]
    found = segment(case, models, OFF).memory
    assert found is not None
    layouts = [prepare(case.id, read_case(case), model, OFF).layout for model in models]
    peaks = [peak_voxels(layout, layout.region, found.axes) for layout in layouts]
    assert found.parts["sums"] == 4 * 3 * sum(peaks)


@pytest.mark.parametrize(
    ("values", "named", "tilted", "bytes_"),
    [
        ([[1], [4]], None, False, 1),
        ([[1], [300]], None, False, 2),
        ([[1], [300]], (), False, 4),
        ([[1], [4]], None, True, 3),
        ([[1], [4]], ("organ", "lesion"), True, 8),
    ],
)
def test_masks_count_as_they_are_kept_and_brought_back(
    values: list[list[int]], named: tuple[str, ...] | None, tilted: bool, bytes_: int
) -> None:
    model = replace(blurred(), facts=facts_of(values=values))
    shape = (14, 12, 9)
    prepared = Prepared(
        torch.zeros(1, *shape),
        np.eye(4),
        lay_windows(shape, (6, 6, 6), 0.5),
        None if tilted else Target.same(shape),
        None,
    )
    meeting = meet([Member(model, prepared)], OFF)
    assert _output_bytes(meeting, replace(OFF, probabilities=named)) == bytes_ * 14 * 12 * 9


def test_an_engine_is_tried_on_as_many_batches_as_it_holds() -> None:
    class Counting:
        batch, streams, given = 2, 4, 0

        def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
            for batch in batches:
                self.given += 1
                yield batch

    engine, shape = Counting(), (14, 12, 9)
    layout = lay_windows(shape, (6, 6, 6), 0.5)
    prepared = Prepared(torch.zeros(1, *shape), np.eye(4), layout, None, None)
    _try(Member(blurred(), prepared), Computing(cast(Engine, engine), ()))
    assert engine.given == 5


def test_engines_stay_open_from_case_to_case(case: InputCase) -> None:
    model = blurred()
    with Engines() as engines:
        first = segment(case, [model], OFF, engines=engines)
        opened = list(engines._open.values())
        segment(case, [model], OFF, image=read_case(case), engines=engines)
        assert list(engines._open.values()) == opened
    assert not engines._open
    assert "not worth measuring" in first.why[-1]


def test_an_engine_that_is_named_with_its_precision_is_taken_as_it_is(case: InputCase) -> None:
    found: Segmented = segment(case, [blurred()], replace(OFF, engine="torch", precision="fp32"))
    assert found.why == ("torch fp32, as asked",)
    with pytest.raises(InvalidValueError, match="no int8"):
        segment(case, [blurred()], replace(OFF, engine="torch", precision="int8"))


def test_a_network_that_gives_no_numbers_is_told(case: InputCase) -> None:
    model = blurred()
    with torch.no_grad():
        next(iter(model.network.parameters())).fill_(torch.nan)
    assert any("no numbers" in line for line in segment(case, [model], OFF).warnings)
