import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.bundles.weights import (
    HEADS,
    find_weights,
    is_head,
    load_into,
    read_weights,
    save_weights,
    sha256,
    state_of,
)
from pipeline.errors import DataError
from pipeline.networks import NETWORKS, build_network, preset_options


def network(name: str = "attunet", classes: int = 3, **options: Any) -> nn.Module:
    return build_network(name, 2, 1, classes, **({"widths": (4, 8, 16)} | options))


def same(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(v, other[k]) for k, v in first.state_dict().items())


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_weights_come_back_from_both_formats(tmp_path: Path, name: str) -> None:
    source, target = network(), network()
    save_weights(state_of(source), tmp_path)
    assert not same(source, target)
    load_into(target, read_weights(tmp_path / name), tmp_path / name)
    assert same(source, target)


def test_weights_in_channels_last_order_are_saved(tmp_path: Path) -> None:
    source = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    digest = save_weights(state_of(source), tmp_path / "new")
    assert sha256(tmp_path / "new" / "model.safetensors") == digest
    assert len(digest) == 64


def test_model_pt_is_a_bare_state_dict_that_monai_can_load(tmp_path: Path) -> None:
    save_weights(state_of(network()), tmp_path)
    loaded = torch.load(tmp_path / "model.pt", weights_only=True)
    assert list(loaded) == list(network().state_dict())


def test_a_state_dict_below_model_is_read(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save({"model": state}, tmp_path / "zoo.pt")
    assert read_weights(tmp_path / "zoo.pt").keys() == state.keys()


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    state = network().state_dict()
    name = list(state)[3]
    del state[name]
    with pytest.raises(DataError, match=f"w.pt has no {name}"):
        load_into(network(), state, tmp_path / "w.pt")


def test_a_tensor_too_many_is_named(tmp_path: Path) -> None:
    state = {**network().state_dict(), "extra.weight": torch.zeros(1)}
    with pytest.raises(DataError, match=r"has extra\.weight, which the network has not"):
        load_into(network(), state, tmp_path / "w.pt")


def test_weights_of_another_width_are_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    target = network()
    before = {k: v.clone() for k, v in target.state_dict().items()}
    with pytest.raises(DataError, match=r"is \[6, 1, 3, 3\], the network's is \[4, 1, 3, 3\]"):
        load_into(target, network(widths=(6, 8, 16)).state_dict(), tmp_path / "w.pt")
    assert all(torch.equal(v, before[k]) for k, v in target.state_dict().items())


@pytest.mark.parametrize("name", ["unet", "attunet"])
def test_a_new_head_takes_all_but_the_last_layer(tmp_path: Path, name: str) -> None:
    source, target = network(name, classes=5), network(name, classes=2)
    head = {k: v.clone() for k, v in target.state_dict().items() if is_head(k)}
    assert head
    with pytest.raises(DataError, match=r"head\.weight is \[5, 4, 1, 1\]"):
        load_into(target, source.state_dict(), tmp_path / "w.pt")
    load_into(target, source.state_dict(), tmp_path / "w.pt", new_head=True)
    given = source.state_dict()
    for key, value in target.state_dict().items():
        assert torch.equal(value, head[key] if key in head else given[key])


def module_of(key: str) -> str:
    """The name of the module that gives logits, with all before it."""
    parts = key.split(".")
    return ".".join(parts[: 1 + next(n for n, part in enumerate(parts) if part in HEADS)])


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_new_head_leaves_out_all_that_depends_on_the_classes_and_nothing_else(
    name: str, deep: bool
) -> None:
    options = preset_options(name, "compact", 2)
    if deep and name != "unet_valid":
        options = {**options, "deep_supervision": True}
    source, target = (build_network(name, 2, 1, classes, **options) for classes in (5, 3))
    shapes = {key: value.shape for key, value in source.state_dict().items()}
    own = target.state_dict()
    differing = {key for key, value in own.items() if value.shape != shapes[key]}
    skipped = {key for key in own if is_head(key)}
    assert differing
    assert differing <= skipped
    modules = {module_of(key) for key in differing}  # a head may begin with a norm
    assert {module_of(key) for key in skipped} == modules
    load_into(target, source.state_dict(), Path("model.pt"), new_head=True)


def test_a_new_head_takes_weights_with_and_without_deep_supervision(tmp_path: Path) -> None:
    plain, deep = network(), network(deep_supervision=True, widths=(4, 8, 16, 32))
    wide = network(widths=(4, 8, 16, 32))
    load_into(wide, deep.state_dict(), tmp_path / "w.pt", new_head=True)
    with pytest.raises(DataError):
        load_into(plain, deep.state_dict(), tmp_path / "w.pt", new_head=True)


def test_a_new_head_is_no_leave_for_other_differences(tmp_path: Path) -> None:
    state = network(widths=(6, 8, 16)).state_dict()
    with pytest.raises(DataError, match=r"is \[6, 1, 3, 3\]"):
        load_into(network(), state, tmp_path / "w.pt", new_head=True)


def test_a_file_with_other_objects_is_refused_and_none_of_them_runs(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1), "bomb": Bomb(tmp_path / "ran")}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(DataError, match="holds more than tensors"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_tensors_among_other_values_are_no_state_dict(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1), "epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(DataError, match="is no state dict"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("kept", [0, 5, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    save_weights(state_of(network()), tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    with pytest.raises(DataError, match=name):
        read_weights(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for name in ("none.pt", "none.safetensors"):
        with pytest.raises(DataError, match="no weights at"):
            read_weights(tmp_path / name)


def test_weights_are_found_in_a_runs_folder_safetensors_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no weights at") as caught:
        find_weights(tmp_path)
    assert "model.safetensors" in caught.value.hint
    save_weights(state_of(network()), tmp_path / "models")
    assert find_weights(tmp_path) == tmp_path / "models" / "model.safetensors"
    assert find_weights(tmp_path / "models") == tmp_path / "models" / "model.safetensors"
    (tmp_path / "models" / "model.safetensors").unlink()
    assert find_weights(str(tmp_path)) == tmp_path / "models" / "model.pt"
    assert find_weights(tmp_path / "models" / "model.pt").name == "model.pt"


def test_a_failed_write_leaves_the_old_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_weights({"w": torch.ones(2)}, tmp_path)

    def _full(*args: Any) -> None:
        Path(args[1]).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.bundles.weights.save_file", _full)
    with pytest.raises(KeyboardInterrupt):
        save_weights({"w": torch.zeros(2)}, tmp_path)
    assert torch.equal(load_file(tmp_path / "model.safetensors")["w"], torch.ones(2))
    assert {p.name for p in tmp_path.iterdir()} == {"model.pt", "model.safetensors"}


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(1)}, tmp_path / "a.safetensors")
    (tmp_path / "empty").touch()
    # of nothing, as FIPS 180-4's algorithm gives it
    assert sha256(tmp_path / "empty").startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert sha256(tmp_path / "a.safetensors") != sha256(tmp_path / "empty")
