"""What `inference.json` uses: its data list, and the handler that writes masks."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from pipeline.bundles.guard import one_line_exit, plain
from pipeline.bundles.record import record_beside
from pipeline.bundles.weights import find_weights, sha256
from pipeline.errors import DataError
from pipeline.planning.intensities import network_channels
from pipeline.predict.inputs import InputCase, find_cases
from pipeline.predict.model import Model
from pipeline.predict.outputs import Files, case_record, write_mask
from pipeline.predict.peak import peak_gib
from pipeline.predict.postprocess import mend, read_steps
from pipeline.predict.segment import Segmented, refuse_other_input
from pipeline.transforms.classes import to_integers
from pipeline.transforms.reader import warnings_of


@plain
def datalist(
    given: str | None,
    manifest: str,
    dataset_dir: str | None = None,
    fold: int | None = None,
    cases: str = "test",
) -> list[dict[str, Any]]:
    """Return the cases of `given`, else of the manifest's part `cases`."""
    found = find_cases(given or manifest, cases=cases, dataset_dir=dataset_dir, fold=fold)
    return [
        {
            "case": case.id,
            "image": [str(p) for p in case.images],
            "shown": case.shown,
            **({} if case.series is None else {"series": case.series}),
        }
        for case in found
    ]


class MaskWriter:
    """Writes the mask and `CASE.json` of each case of an evaluator.

    Args:
        output_dir: Folder of the masks.
        facts: The fingerprint.
        weights: The weight file, for its hash.
        plan: The plan.
    """

    def __init__(
        self, output_dir: str, facts: Mapping[str, Any], weights: str, plan: Mapping[str, Any]
    ) -> None:
        self.folder, self.facts, self.plan = Path(output_dir), facts, plan
        self.weights = find_weights(weights)
        self.masks: list[Path] = []

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator whose output has the restored class map under `pred`."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._check)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Write the masks of a batch."""
        record = record_beside(self.weights)
        name = record["bundle"] if record else "bundle"
        device = torch.device(engine.state.device)
        digest = record["weights"]["sha256"] if record else sha256(self.weights)
        model = Model(name, engine.network, self.facts, self.plan, digest, device)
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            self._write(case, np.asarray(torch.as_tensor(output["pred"])), model)

    def _check(self, engine: Any) -> None:
        """Refuse a batch that the model was not made for, before the network sees it."""
        image, cases = engine.state.batch["image"], engine.state.batch["case"]
        meta = image.meta if isinstance(image.meta, dict) else {}
        modality = meta.get("modality", "")
        modality = modality[0] if isinstance(modality, list | tuple) else modality
        channels, files = image.shape[1], len(self.facts["modality"])
        if channels == len(network_channels(self.facts["modality"], self.plan)):
            channels = files  # one channel of the file has become several windows
        shape = (channels, *image.shape[2:])
        refuse_other_input(cases[0], shape, {"modality": modality}, self.facts)

    def _write(self, case: Mapping[str, Any], classes: np.ndarray[Any, Any], model: Model) -> None:
        meta = case["image"].meta
        picture = self.facts["dims"] == 2
        mask = to_integers(classes, self.facts["values"], self.facts["head"])
        affine = None if picture else np.asarray(meta["original_affine"], dtype=np.float64)
        steps = read_steps(self.plan.get("postprocess"), list(model.classes))
        result = Segmented(mend(mask, model.classes, steps, affine), affine, peak_gib=peak_gib())
        result.warnings += warnings_of(meta)
        for line in result.warnings:
            print(f"warning: {case['case']}: {line}", file=sys.stderr)
        path = self.folder / f"{case['case']}{'.png' if picture else '.nii.gz'}"
        files = Files(path)
        files.refuse_others()
        source = InputCase(case["case"], (), case["shown"])
        with files.claimed(case_record(source, path, result, [model], steps)):
            write_mask(path, result, model)
        self.masks.append(path)


def infer(evaluator: Any, writer: MaskWriter) -> None:
    """Predict all cases of an evaluator and print where the masks are.

    Raises:
        SystemExit: 2 for a refusal, 130 after Ctrl-C, 143 after SIGTERM.
    """
    with one_line_exit(lambda: f"{len(writer.masks)} masks are written"):
        if not len(evaluator.data_loader):
            raise DataError("no case to predict", hint="give --input SCAN_OR_FOLDER")
        evaluator.run()
    print(f"{len(writer.masks)} masks in {writer.folder}")
