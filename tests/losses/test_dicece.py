import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceCELoss as MonaiDiceCELoss
from monai.losses import DiceLoss as MonaiDiceLoss
from torch import Tensor
from torch.nn import functional

from pipeline.errors import InvalidValueError
from pipeline.losses import DiceCELoss, annealed_weights, nearest_label

SHAPES = [(2, 4, 6, 5, 4), (3, 2, 7, 9)]


def sample(shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits `(B, K, *S)` and a label `(B, 1, *S)`."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=generator)
    label = torch.randint(0, shape[1], (shape[0], 1, *shape[2:]), generator=generator)
    return logits, label


def by_the_voxel(logits: Tensor, label: Tensor, weights: list[float]) -> float:
    """The definition, spelled out over flattened voxels in float64."""
    classes = logits.shape[1]
    rows = logits.double().movedim(1, -1).reshape(-1, classes).softmax(1)
    truth = label.flatten().tolist()
    entropy = sum(-weights[k] * row[k].log().item() for row, k in zip(rows, truth, strict=True))
    dice = []
    for k in range(1, classes):
        inside = torch.tensor([value == k for value in truth])
        both = rows[inside, k].sum().item()
        dice.append((2 * both + 1) / (rows[:, k].sum().item() + inside.sum().item() + 1))
    return float(entropy / len(truth) + 1 - sum(dice) / len(dice))


@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_sum_that_the_definition_says(shape: tuple[int, ...]) -> None:
    logits, label = sample(shape)
    weights = [0.5 + k for k in range(shape[1])]
    loss = DiceCELoss(weights)(logits, label)
    assert loss.item() == pytest.approx(by_the_voxel(logits, label, weights), abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_monai_without_weights_in_value_and_gradient(shape: tuple[int, ...]) -> None:
    logits, label = sample(shape)
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    reference = MonaiDiceCELoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        batch=True,
        smooth_nr=1.0,
        smooth_dr=1.0,
    )
    loss, expected = DiceCELoss()(ours, label), reference(theirs, label)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    gradient, wanted = torch.autograd.grad(loss, ours)[0], torch.autograd.grad(expected, theirs)[0]
    assert torch.allclose(gradient, wanted, atol=1e-7)


def test_regions_are_monais_dice_plus_binary_cross_entropy() -> None:
    logits, _ = sample((2, 3, 6, 5, 4))
    target = (sample((2, 3, 6, 5, 4), seed=1)[0] > 0).to(torch.uint8)
    dice = MonaiDiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    entropy = functional.binary_cross_entropy(logits.sigmoid(), target.float())
    expected = dice(logits, target.float()) + entropy
    assert DiceCELoss(sigmoid=True)(logits, target).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("sigmoid", [False, True])
def test_gradient_is_that_of_finite_differences(sigmoid: bool) -> None:
    logits, label = sample((2, 3, 4, 3))
    target = functional.one_hot(label[:, 0], 3).movedim(-1, 1) if sigmoid else label
    loss = DiceCELoss(None if sigmoid else [1.0, 2.0, 3.0], sigmoid=sigmoid)
    point = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (point,))


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_is_finite_on_empty_masks_with_a_gradient(sigmoid: bool, scale: float) -> None:
    logits = (scale * sample((2, 3, 4, 5))[0]).requires_grad_()
    label = torch.zeros(2, 3 if sigmoid else 1, 4, 5, dtype=torch.uint8)
    loss = DiceCELoss(sigmoid=sigmoid)(logits, label)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_half_precision_logits_give_the_loss_in_float32(dtype: torch.dtype, sigmoid: bool) -> None:
    logits, label = sample((2, 3, 32, 32))
    target = functional.one_hot(label[:, 0], 3).movedim(-1, 1) if sigmoid else label
    half = logits.to(dtype).requires_grad_()
    criterion = DiceCELoss(sigmoid=sigmoid)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = criterion(half, target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == criterion(half.detach().float(), target).item()
    assert half.grad is not None
    assert half.grad.dtype == dtype
    assert half.grad.isfinite().all()


def test_order_of_cases_and_memory_format_do_not_matter() -> None:
    logits, label = sample((4, 3, 6, 5, 4))
    loss = DiceCELoss([1.0, 2.0, 3.0])
    expected = loss(logits, label).item()
    order = [2, 0, 3, 1]
    assert loss(logits[order], label[order]).item() == pytest.approx(expected, rel=1e-6)
    last = logits.to(memory_format=torch.channels_last_3d)
    assert loss(last, label).item() == pytest.approx(expected, rel=1e-6)
    swap = torch.tensor([0, 2, 1])  # classes 1 and 2 change places, with their weights
    swapped = DiceCELoss([1.0, 3.0, 2.0])(logits[:, swap], swap[label])
    assert swapped.item() == pytest.approx(expected, rel=1e-6)


def test_a_perfect_prediction_costs_next_to_nothing_and_a_wrong_one_more_than_a_guess() -> None:
    _, label = sample((2, 3, 8, 8))
    hot = functional.one_hot(label[:, 0], 3).movedim(-1, 1).float()
    loss = DiceCELoss()
    assert loss(40 * hot, label).item() == pytest.approx(0.0, abs=1e-5)
    assert loss(-4 * hot, label) > loss(0 * hot, label)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_takes_labels_of_any_type_and_metatensors(dtype: torch.dtype) -> None:
    logits, label = sample((2, 3, 4, 5))
    expected = DiceCELoss()(logits, label)
    loss = DiceCELoss()(MetaTensor(logits), MetaTensor(label.to(dtype)))
    assert type(loss) is Tensor
    assert torch.equal(loss, expected)


def test_a_label_outside_the_classes_is_an_error() -> None:
    logits, label = sample((2, 3, 4, 5))
    label[0, 0, 0, 0] = 3
    with pytest.raises(RuntimeError, match="out of bounds"):
        DiceCELoss()(logits, label)


# annealing


def test_weights_fade_to_one_at_the_given_progress_and_stay_there() -> None:
    assert annealed_weights([4.0, 1.0, 0.25], None, 0.0, 0.7) == [4.0, 1.0, 0.25]
    assert annealed_weights([4.0, 1.0, 0.25], None, 0.35, 0.7) == pytest.approx([2.0, 1.0, 0.5])
    assert annealed_weights([4.0, 1.0, 0.25], None, 0.7, 0.7) == [1.0, 1.0, 1.0]
    assert annealed_weights([4.0, 1.0, 0.25], None, 1.0, 0.7) == [1.0, 1.0, 1.0]
    assert annealed_weights([4.0, 1.0, 0.25], None, 1.0, None) == [4.0, 1.0, 0.25]


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.5, 0.9])
def test_with_shares_the_mean_weight_of_a_voxel_is_one(progress: float) -> None:
    shares = [0.9, 0.09, 0.01]
    weights = annealed_weights([f**-0.5 for f in shares], shares, progress, 0.7)
    assert sum(w * f for w, f in zip(weights, shares, strict=True)) == pytest.approx(1.0)
    assert weights == sorted(weights)
    counts = [1000 * f for f in shares]  # voxels do as well
    assert annealed_weights([f**-0.5 for f in shares], counts, progress, 0.7) == pytest.approx(
        weights
    )


def test_progress_moves_the_loss_from_the_weighted_to_the_plain_one() -> None:
    logits, label = sample((2, 3, 8, 8))
    loss = DiceCELoss([1.0, 4.0, 9.0])
    assert loss(logits, label).item() == pytest.approx(
        by_the_voxel(logits, label, [1.0, 4.0, 9.0]), abs=1e-5
    )
    loss.progress = 0.35
    assert loss(logits, label).item() == pytest.approx(
        by_the_voxel(logits, label, [1.0, 2.0, 3.0]), abs=1e-5
    )
    loss.progress = 0.8
    assert torch.equal(loss(logits, label), DiceCELoss()(logits, label))


# several heads


class Heads:
    """Stands for a network's typed result."""

    def __init__(self, heads: list[Tensor]) -> None:
        self.heads = heads
        self.class_logits = torch.zeros(2, 2)


def test_heads_count_one_half_and_a_quarter_and_take_the_nearest_labels() -> None:
    logits, label = sample((2, 3, 8, 8))
    coarse = [sample((2, 3, n, n), seed=n)[0] for n in (4, 2)]
    loss = DiceCELoss()
    singles = [
        loss(logits, label).item(),
        loss(coarse[0], label[:, :, 1::2, 1::2]).item(),
        loss(coarse[1], label[:, :, 2::4, 2::4]).item(),
    ]
    expected = (singles[0] + singles[1] / 2 + singles[2] / 4) / 1.75
    for output in ([logits, *coarse], (logits, *coarse), Heads([logits, *coarse])):
        assert loss(output, label).item() == pytest.approx(expected, rel=1e-6)


def test_every_head_gets_a_gradient() -> None:
    heads = [sample((2, 3, n, n + 2, n), seed=n)[0].requires_grad_() for n in (8, 4, 3)]
    DiceCELoss()(heads, sample((2, 3, 8, 10, 8))[1]).backward()
    assert all(head.grad is not None and head.grad.abs().sum() > 0 for head in heads)


@pytest.mark.parametrize("size", [(4, 4), (3, 8), (16, 5)])
def test_nearest_label_is_that_of_torch_and_keeps_the_type(size: tuple[int, int]) -> None:
    label = sample((2, 200, 8, 8))[1].to(torch.uint8)
    expected = functional.interpolate(label.float(), size, mode="nearest-exact")
    resized = nearest_label(label, size)
    assert resized.dtype == torch.uint8
    assert torch.equal(resized.float(), expected)


# bad settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": [1.0, 0.0]}, r"class weights are \[1.0, 0.0\]"),
        ({"weights": [1.0, float("nan")]}, "class weights"),
        ({"weights": [1.0, 2.0], "shares": [1.0]}, "2 class weights and 1 class shares"),
        ({"weights": [1.0, 2.0], "shares": [1.5, -0.5]}, "class shares are"),
        ({"weights": [1.0, 2.0], "sigmoid": True}, "overlapping regions"),
        ({"anneal_until": 0.0}, "anneal_until is 0.0"),
        ({"anneal_until": 1.1}, "anneal_until is 1.1"),
    ],
)
def test_settings_that_make_no_loss_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        DiceCELoss(**settings)  # type: ignore[arg-type]


def test_weights_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="2 class weights for logits of 3 classes"):
        DiceCELoss([1.0, 2.0])(*sample((2, 3, 4, 5)))
