"""Bundles of another origin, such as the model zoo's: their configs are executed, so `--trust`.

A zoo bundle says in `configs/inference.json`, by expressions and importable names, how a scan is
prepared. Whoever wrote it can run any code here with the rights of the user.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser

from pipeline.bundles.device import find_device
from pipeline.bundles.guard import refusal
from pipeline.bundles.weights import find_weights, load_into, read_weights, sha256
from pipeline.errors import DataError, InvalidValueError
from pipeline.io import Reading, write_nifti
from pipeline.predict.inputs import find_cases
from pipeline.predict.ledger import append_ledger, is_done, read_ledger, source_of
from pipeline.predict.options import SegmentOptions
from pipeline.predict.outputs import mask_paths, write_json
from pipeline.predict.peak import peak_gib
from pipeline.predict.recipe import Task, done_line, failed_line
from pipeline.predict.run import Options, Outcome, predict
from pipeline.predict.segment import Segmented
from pipeline.progress import progress
from pipeline.transforms.grid import restore_grid


@dataclass(frozen=True)
class Foreign:
    """The parts of a zoo bundle that a prediction needs.

    Attributes:
        network: In evaluation mode.
        preprocessing: A transform of a dictionary with `image`.
        inferer: MONAI's.
        regions: Whether its channels are regions that overlap: their sigmoid counts, not argmax.
    """

    network: torch.nn.Module
    preprocessing: Any
    inferer: Any
    regions: bool


def predict_foreign(
    bundles: str | Path | Sequence[str | Path],
    input: str | Path,  # noqa: A002 - the word of the command
    output: str | Path,
    options: Options | None = None,
) -> Outcome:
    """Predict with one bundle whose configs are executed.

    Masks hold the argmax of its channels; where its `postprocessing` takes the sigmoid of several,
    each is a region in the last axis. One of our own bundles is predicted as always.

    Raises:
        DataError: Several bundles, or one without the parts of the zoo's layout.
        InvalidValueError: An option that its own configs decide on.
    """
    chosen = options or Options()
    given = [bundles] if isinstance(bundles, str | Path) else list(bundles)
    if all((Path(bundle) / "models" / "model.json").is_file() for bundle in given):
        return predict(given, input, output, chosen)  # ours, which need no trust
    _refuse_ours(chosen)
    if len(given) != 1:
        raise DataError("an ensemble of foreign bundles", hint="give one bundle with --trust")
    device = find_device(chosen.device)
    model = open_foreign(Path(given[0]), device)
    cases = find_cases(input, cases=chosen.cases, dataset_dir=chosen.dataset_dir, fold=chosen.fold)
    paths = mask_paths(output, cases, pictures=False)
    tasks = [Task(case, path, str(input)) for case, path in zip(cases, paths, strict=True)]
    folder = None if Path(output) == paths[0] else Path(output)
    lines = {} if folder is None else read_ledger(folder)
    digest, outcome = sha256(find_weights(Path(given[0]))), Outcome()
    wanted = {
        task.case.id: {"sha256": [digest], "options": "trusted", "source": source_of(task.case)}
        for task in tasks
    }
    missing = [
        task
        for task in tasks
        if chosen.again
        or not is_done(
            lines.get(task.case.id), wanted[task.case.id], [task.mask, task.files.record]
        )
    ]
    for task in missing:
        before = lines.get(task.case.id, {}).get("state")
        task.files.refuse_others(known=before == "done")
    outcome.kept = len(tasks) - len(missing)
    failed: dict[str, str] = {}
    for task in progress(missing, "predicting", quiet=chosen.quiet):
        began = time.perf_counter()
        try:
            line = _written(model, task, device, began)
        except Exception as error:  # theirs, of any kind: the other cases go on
            found = refusal(error) or DataError(
                f"{task.case.id}: the bundle failed: {_first_line(error)}",
                hint="is the scan what it was made for?",
            )
            if len(tasks) == 1:
                raise found from error
            failed[task.case.id] = found.line()
            line = failed_line(task, found, began)
            del line["raised"]
        if folder is not None:
            append_ledger(folder, {**line, **wanted[task.case.id]})
    outcome.failed = list(failed.items())
    outcome.masks = [task.mask for task in tasks if task.case.id not in failed]
    return outcome


def _written(model: Foreign, task: Task, device: torch.device, began: float) -> dict[str, Any]:
    """Predict a case, write its mask and record, and return the ledger's line."""
    mask, affine = _segment(model, [str(p) for p in task.case.images], device)
    record = {
        "case": task.case.id,
        "input": task.case.shown,
        "mask": task.mask.name,
        "trusted": True,
    }
    with task.files.claimed(record):
        write_nifti(task.mask, mask, affine)
    write_json(task.files.record, record | task.files.mask_sha256())
    line = done_line(task, Segmented(mask, affine, peak_gib=peak_gib()), began)
    del line["warnings"]
    return {**line, "engine": "torch"}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


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
        _takes_sigmoid(parser.get("postprocessing")),
    )


def _takes_sigmoid(config: object) -> bool:
    """Whether a step of `postprocessing` asks for the sigmoid."""
    if isinstance(config, list):
        return any(_takes_sigmoid(part) for part in config)
    if not isinstance(config, dict):
        return False
    return config.get("sigmoid") in (True, "$True") or any(map(_takes_sigmoid, config.values()))


@torch.inference_mode()
def _segment(
    model: Foreign, files: list[str], device: torch.device
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """One scan's class map, or regions in the last axis, on its own grid, and the affine."""
    image = model.preprocessing({"image": files if len(files) > 1 else files[0]})["image"]
    logits = model.inferer(image.as_tensor()[None].to(device), model.network)[0].float()
    several = model.regions and len(logits) > 1
    classes = logits > 0 if several or len(logits) == 1 else logits.argmax(0)[None]
    affine = np.asarray(image.meta["original_affine"], dtype=np.float64)
    restored = restore_grid(
        classes.cpu().numpy().astype(np.uint8 if len(logits) <= 256 else np.uint16),
        np.asarray(image.affine, dtype=np.float64),
        affine,
        [int(n) for n in image.meta["spatial_shape"]],
    )
    return np.moveaxis(restored, 0, -1) if several else restored[0], affine
