"""Bundles of another origin, such as the model zoo's: their configs are executed, so `--trust`.

A zoo bundle says in `configs/inference.json`, by expressions and importable names, how a scan is
prepared. Whoever wrote it can run any code here with the rights of the user.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser

from pipeline.bundles.settings import find_device
from pipeline.bundles.weights import find_weights, load_into, read_weights
from pipeline.errors import DataError, InvalidValueError
from pipeline.io import Reading, write_nifti
from pipeline.predict.inputs import find_cases
from pipeline.predict.options import SegmentOptions
from pipeline.predict.outputs import Files, mask_paths
from pipeline.predict.run import Options, Outcome
from pipeline.progress import progress
from pipeline.transforms.grid import restore_grid


@dataclass(frozen=True)
class Foreign:
    """The parts of a zoo bundle that a prediction needs."""

    network: torch.nn.Module
    preprocessing: Any
    inferer: Any


def predict_foreign(
    bundles: str | Path | Sequence[str | Path],
    input: str | Path,  # noqa: A002 - the word of the command
    output: str | Path,
    options: Options | None = None,
) -> Outcome:
    """Predict with one bundle whose configs are executed; masks hold the argmax of its channels.

    Raises:
        DataError: Several bundles, or one without the parts of the zoo's layout.
        InvalidValueError: An option that its own configs decide on.
    """
    chosen = options or Options()
    _refuse_ours(chosen)
    given = [bundles] if isinstance(bundles, str | Path) else list(bundles)
    if len(given) != 1:
        raise DataError("an ensemble of foreign bundles", hint="give one bundle with --trust")
    device = find_device(chosen.device)
    model = open_foreign(Path(given[0]), device)
    cases = find_cases(input, cases=chosen.cases, dataset_dir=chosen.dataset_dir, fold=chosen.fold)
    paths = mask_paths(output, cases, pictures=False)
    for path in paths:
        Files(path).refuse_others()
    outcome = Outcome()
    for case, path in progress(
        list(zip(cases, paths, strict=True)), "predicting", quiet=chosen.quiet
    ):
        mask, affine = _segment(model, [str(p) for p in case.images], device)
        record = {"case": case.id, "input": case.shown, "mask": path.name, "trusted": True}
        with Files(path).claimed(record):
            write_nifti(path, mask, affine)
        outcome.masks.append(path)
    return outcome


def _refuse_ours(options: Options) -> None:
    """Refuse what a foreign bundle says by itself, or what only ours can do."""
    ours = {
        "about windows, engines or the mask": options.how != SegmentOptions(),
        "of reading": options.reading not in (None, Reading()),
        "about the mask's parts": options.postprocess is not None,
        "about jobs or a cluster": options.jobs > 1 or options.cluster is not None,
    }
    for what, given in ours.items():
        if given:
            raise InvalidValueError(
                f"an option {what} with a foreign bundle, whose own configs decide",
                hint="leave it out",
            )


def open_foreign(bundle: Path, device: torch.device) -> Foreign:
    """Build network, preprocessing and inferer from `configs/inference.json`.

    Raises:
        DataError: A file or a part is missing, or the weights do not fit.
    """
    config = bundle / "configs" / "inference.json"
    if not config.is_file():
        raise DataError(f"{bundle} has no configs/inference.json", hint="give a MONAI bundle")
    parser = ConfigParser()
    parser.read_config(str(config))
    parser["bundle_root"] = str(bundle.resolve())
    parser["device"] = device
    missing = [k for k in ("network_def", "preprocessing", "inferer") if k not in parser.get()]
    if missing:
        raise DataError(f"{config} has no {', '.join(missing)}", hint="give a MONAI bundle")
    sys.path.insert(1, str(bundle.resolve()))  # its own modules, as `monai.bundle run` does
    network = parser.get_parsed_content("network_def")
    weights = find_weights(bundle)
    load_into(network, read_weights(weights), weights)
    return Foreign(
        network.eval().to(device),
        parser.get_parsed_content("preprocessing"),
        parser.get_parsed_content("inferer"),
    )


@torch.inference_mode()
def _segment(
    model: Foreign, files: list[str], device: torch.device
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The class map of one scan on its own grid, and the affine."""
    image = model.preprocessing({"image": files if len(files) > 1 else files[0]})["image"]
    logits = model.inferer(image.as_tensor()[None].to(device), model.network)[0].float()
    classes = logits.argmax(0) if len(logits) > 1 else (logits[0] > 0)
    affine = np.asarray(image.meta["original_affine"], dtype=np.float64)
    restored = restore_grid(
        classes.to(torch.uint8).cpu().numpy(),
        np.asarray(image.affine, dtype=np.float64),
        affine,
        [int(n) for n in image.meta["spatial_shape"]],
    )
    return restored, affine
