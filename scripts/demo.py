"""`make demo`: the main job from nothing, on the generated phantom.

Writes the phantom, trains through the stock MONAI command, predicts the DICOM series of a patient
that the training never saw, scores the mask and draws it.
"""

import subprocess
import sys
import time
from pathlib import Path

from pipeline.figures import overlay
from pipeline.io import read_image, read_label
from pipeline.metrics import format_table, score_case, summarise
from pipeline.phantom import LABELS, ensure
from pipeline.predict import predict
from pipeline.tracking.store import how_to_open, resolve_uri

CASE = "phantom_031"  # of the part `test`


def main() -> None:
    """Run the steps and say where everything lies."""
    began = time.monotonic()
    phantom = ensure()
    run = Path("demo") / time.strftime("%Y-%m-%d-%H%M%S")
    command = [
        *(sys.executable, "-m", "monai.bundle", "run", "training"),
        *("--config_file", "bundles/attunet/train.json"),
        *("--output_dir", str(run)),
    ]
    print(" ".join(["python", *command[1:]]), flush=True)
    subprocess.run(command, check=True)

    series, mask = phantom / "dicom" / CASE, run / "masks" / f"{CASE}.nii.gz"
    predict(run, series, mask)
    image, label = read_image(series), read_label(phantom / "labels" / f"{CASE}.nii.gz")
    predicted = read_label(mask)
    rows = score_case(predicted.array, label.array, LABELS, image.spacing, case=CASE)
    summary = summarise(rows)
    print(f"\n{CASE}, read as DICOM:\n{format_table(summary, 2.0)}\n")
    picture = overlay(
        image.array,
        label.array,
        predicted.array,
        LABELS,
        run / "overlay.png",
        affine=image.affine,
        window=(-160, 240),
        title=f"{CASE} (unseen), mean Dice {summary.mean.dice:.3f}",
    )
    print(
        f"run      {run} (a MONAI bundle: configs/, models/, scores.csv)\n"
        f"series   {series}\n"
        f"mask     {mask}\n"
        f"picture  {picture}\n"
        f"tracking {how_to_open(resolve_uri(None))}\n"
        f"took     {time.monotonic() - began:.0f} s\n\n"
        "The same with your own scans (.venv/bin holds both commands):\n"
        "  unetworks data new IMAGES LABELS -o my.json\n"
        "  python -m monai.bundle run training --config_file bundles/attunet/train.json "
        "--manifest my.json --max_minutes 60\n"
        "  unetworks predict runs/attunet/DATE SCAN predicted\n"
        "For research; no medical device."
    )


if __name__ == "__main__":
    main()
