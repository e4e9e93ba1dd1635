"""Reading a DICOM series and a .nii.gz beside MONAI's readers and SimpleITK's, in one run.

Prints a table and one line of JSON. CPU time is judged, wall time is told; a ratio is the other
reader's CPU time over ours. All readers read the same files by turns, from the page cache, so that
whatever else the machine does hits all of them. Peak memory is that of a process of its own.

    OMP_NUM_THREADS=1 python benchmarks/io.py [--rounds 3] [--slices 160] [--size 512]
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PRIVATE = 40
"""Private elements a header, as a scanner's files have them."""
REPEATS = 3
"""How often ours reads in a round: its times are short."""

PEAK = """
import sys
from pathlib import Path
from pipeline.io import read_image

def highest():
    # of this very program: getrusage also remembers what its parent had when it was started
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

read_image(sys.argv[1])
base = highest()
array = read_image(sys.argv[2]).array
print((highest() - base) / array.nbytes)
"""
"""Linux only."""

Row = dict[str, Any]
Read = Callable[[], Any]


def scan(slices: int, size: int) -> Any:
    """Return HU `(size, size, slices)`: a body with its texture in air, as compressible as a CT."""
    source = np.random.default_rng(0)
    i, j = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
    body = ((i / 0.8) ** 2 + (j / 0.6) ** 2 < 1)[..., None]
    inner = 40 + 60 * np.sin(9 * i)[..., None] * np.cos(7 * j)[..., None]
    noise = source.normal(0, 12, (size, size, slices)).astype(np.float32)
    return np.where(body, inner + noise, -1000).astype(np.int16)


def write(folder: Path, hu: Any, affine: Any, seed: int = 0) -> Path:
    """Write a series, uncompressed, under names in random order, with private elements."""
    import pydicom

    from pipeline.phantom import write_series

    names = random.Random(seed)
    for file in write_series(hu, affine, folder):
        one = pydicom.dcmread(file)
        block = one.private_block(0x0011, "SCANNER", create=True)
        for element in range(PRIVATE):
            block.add_new(element, "LO", f"value {element}")
        one.save_as(folder / f"{names.getrandbits(48):012x}")
        file.unlink()
    return folder


def series_readers(folder: Path) -> dict[str, Read]:
    """Return what reads a series, ours first."""
    import SimpleITK
    from monai.data import PydicomReader
    from monai.transforms import LoadImage

    from pipeline.io import read_image

    monai = LoadImage(reader=PydicomReader())

    def itk() -> Any:
        kind: Any = SimpleITK.ImageSeriesReader
        reader = kind()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        return SimpleITK.GetArrayFromImage(reader.Execute())

    return {
        "ours": lambda: read_image(folder).array,
        "MONAI LoadImage, PydicomReader": lambda: monai(str(folder)),
        "SimpleITK ImageSeriesReader": itk,
    }


def nifti_readers(file: Path) -> dict[str, Read]:
    """Return what reads a compressed NIfTI, ours first."""
    import SimpleITK
    from monai.data import NibabelReader
    from monai.transforms import LoadImage

    from pipeline.io import read_image

    monai = LoadImage(reader=NibabelReader())
    return {
        "ours": lambda: read_image(file).array,
        "MONAI LoadImage, NibabelReader": lambda: monai(str(file)),
        "SimpleITK ReadImage": lambda: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))),
    }


def timed(read: Read, repeats: int) -> tuple[float, float]:
    """Return CPU and wall seconds of one reading."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        read()
    return (time.process_time() - cpu) / repeats, (time.perf_counter() - wall) / repeats


def compare(what: str, readers: dict[str, Read], rounds: int) -> list[Row]:
    """Time all readers by turns, after one reading of ours that is not counted."""
    readers["ours"]()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            times[name].append(timed(read, REPEATS if name == "ours" else 1))
    rows = []
    for name, pairs in times.items():
        ratios = sorted(a / b for (a, _), (b, _) in zip(pairs, times["ours"], strict=True))
        rows.append(
            {
                "what": what,
                "reader": name,
                "cpu_s": round(statistics.median(cpu for cpu, _ in pairs), 4),
                "wall_s": round(statistics.median(wall for _, wall in pairs), 4),
                "ratio": round(statistics.median(ratios), 2),
                "range": [round(ratios[0], 2), round(ratios[-1], 2)],
            }
        )
    return rows


def peak(small: Path, path: Path) -> float:
    """Return the peak above base over the volume, in a process that has read a small one first."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(small), str(path)],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )  # fmt: skip
    return round(float(done.stdout), 3)


def cpu_name() -> str:
    """Return the processor as the system names it."""
    from pipeline.cli.info import cpu

    return cpu()


def main() -> None:
    """Print the table and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=160)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of the others
    from pipeline.io import write_nifti

    affine = np.diag([-0.7, -0.7, 2.0, 1.0])
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        hu = scan(args.slices, args.size)
        folder, small = (
            write(root / "ct", hu, affine),
            write(root / "small", hu[:9, :9, :3], affine),
        )
        file, little = root / "ct.nii.gz", root / "small.nii.gz"
        write_nifti(file, hu, affine)
        write_nifti(little, hu[:9, :9, :3], affine)
        peaks = {"series": peak(small, folder), "nii.gz": peak(little, file)}
        rows = compare("series", series_readers(folder), args.rounds)
        rows += compare("nii.gz", nifti_readers(file), args.rounds)
        packed = round(file.stat().st_size / 1e6, 1)
    facts = {"cpu": cpu_name(), "load": round(os.getloadavg()[0], 2), "shape": list(hu.shape)}
    print(f"{facts['cpu']}, load {facts['load']}, {hu.nbytes / 1e6:.0f} MB, nii.gz {packed} MB")
    print(f"{'':7} {'reader':32} {'CPU s':>8} {'wall s':>8} {'ratio':>7}  range")
    for row in rows:
        low, high = row["range"]
        print(
            f"{row['what']:7} {row['reader']:32} {row['cpu_s']:8.3f} {row['wall_s']:8.3f} "
            f"{row['ratio']:7.1f}  {low:.1f} to {high:.1f}"
        )
    for what, share in peaks.items():
        print(f"{what:7} peak memory above base: {share:.2f} volumes")
    print(json.dumps({**facts, "nii_gz_mb": packed, "peaks": peaks, "rows": rows}))


if __name__ == "__main__":
    main()
