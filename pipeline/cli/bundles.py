"""`unetworks bundles`: what can be trained, and a copy of one to run or edit anywhere."""

import argparse
import json
import shutil
from pathlib import Path

from pipeline.errors import DataError, UnknownNameError
from pipeline.io import made_folder


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", nargs="?", help="a bundle")
    parser.add_argument("--copy", metavar="DIR", type=Path, help="write the bundle to DIR")


def run(args: argparse.Namespace) -> int:
    """List the bundles, show one, or copy one."""
    folder = bundles_dir()
    if args.name is None:
        for name in bundle_names():
            task = json.loads((folder / name / "metadata.json").read_text())["task"]
            print(f"{name:12}  {task}  ({folder / name})")
        return 0
    bundle_folder(args.name)
    if args.copy is None:
        print(folder / args.name)
        return 0
    if args.copy.exists() and not (args.copy.is_dir() and not any(args.copy.iterdir())):
        raise DataError(f"{args.copy} exists and is no empty folder", hint="give another one")
    try:
        shutil.copytree(folder / args.name, made_folder(args.copy), dirs_exist_ok=True)
    except OSError as error:
        reason = error.strerror or "the disk may be full"
        raise DataError(f"{args.copy}: {reason}", hint="give another folder") from error
    print(
        f"{args.copy}; train it with: "
        f"python -m monai.bundle run training --config_file {args.copy}/train.json"
    )
    return 0


def bundle_names() -> list[str]:
    """The names of all bundles."""
    return sorted(p.parent.name for p in bundles_dir().glob("*/train.json"))


def bundle_folder(name: str) -> Path:
    """The folder of a bundle.

    Raises:
        UnknownNameError: There is no bundle of that name.
    """
    names = bundle_names()
    if name not in names:
        raise UnknownNameError(f"no bundle {name!r}", hint=f"use {', '.join(names)}")
    return bundles_dir() / name


def bundles_dir() -> Path:
    """The bundles in the package, else those of the clone."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "_data" / "bundles"
    return packaged if packaged.is_dir() else package.parent / "bundles"
