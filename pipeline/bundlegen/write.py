"""Writes `bundles/*` from one description and one small file per bundle, or finds drift."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.bundlegen.others import LOGGING, evaluate_config, inference_config, metadata
from pipeline.bundlegen.train import train_config

SOURCES = Path(__file__).parent / "sources"


def sources() -> dict[str, dict[str, Any]]:
    """The bundles' own files by name."""
    return {p.stem: json.loads(p.read_text()) for p in sorted(SOURCES.glob("*.json"))}


def files(name: str, source: dict[str, Any]) -> dict[str, str]:
    """Name and text of each file of a bundle."""
    configs = {
        "train.json": train_config(name, source),
        "evaluate.json": evaluate_config(name, source),
        "inference.json": inference_config(name, source),
        "metadata.json": metadata(name, source),
    }
    texts = {file: json.dumps(config, indent=2) + "\n" for file, config in configs.items()}
    return {**texts, "logging.conf": LOGGING}


def drift(folder: Path) -> list[str]:
    """Files below `folder` that are missing, left over or differ from what would be written."""
    wanted = {
        folder / name / file: text
        for name, source in sources().items()
        for file, text in files(name, source).items()
    }
    found = {p for p in folder.rglob("*") if p.is_file()}
    wrong = [p for p, text in wanted.items() if not p.is_file() or p.read_text() != text]
    return [str(p) for p in sorted({*wrong, *(found - set(wanted))})]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the bundles, or with `--check` compare byte for byte; 1 where they drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("bundles"))
    parser.add_argument("--check", action="store_true", help="write nothing, list what differs")
    args = parser.parse_args(argv)
    if args.check:
        wrong = drift(args.folder)
        for path in wrong:
            print(f"{path} differs from its source; run make bundles", file=sys.stderr)
        return 1 if wrong else 0
    for name, source in sources().items():
        (args.folder / name).mkdir(parents=True, exist_ok=True)
        for file, text in files(name, source).items():
            (args.folder / name / file).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
