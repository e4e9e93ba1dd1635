"""`unetworks info`: what a bug report needs, and nothing of a patient."""

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "torch", "monai", "numpy", "pytorch-ignite", "nibabel", "pydicom", "SimpleITK", "safetensors",
    "mlflow",
)  # fmt: skip
ENGINES = {"torch": "torch", "openvino": "openvino", "onnxruntime": "onnxruntime"}


def register(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(args: argparse.Namespace) -> int:
    """Print names and values, one a line."""
    import psutil
    import torch

    from pipeline import __version__
    from pipeline.settings import cache_dir, data_dir
    from pipeline.tracking.provenance import commit

    rows = [
        ("unetworks", __version__),
        ("commit", commit() or "not a clone"),
        ("python", platform.python_version()),
        ("system", platform.platform()),
        *((name, installed(name)) for name in PACKAGES),
        ("cpu", cpu()),
        ("cpu capabilities", ", ".join(capabilities())),
        ("cores", f"{len(psutil.Process().cpu_affinity() or [])} of {os.cpu_count()}"),
        ("torch threads", str(torch.get_num_threads())),
        ("memory", f"{psutil.virtual_memory().total / 2**30:.1f} GiB"),
        ("device", device()),
        ("engines", ", ".join(k for k, v in ENGINES.items() if installed(v) != "absent")),
        ("cache", str(cache_dir())),
        ("data", str(data_dir())),
    ]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name.ljust(width)}  {value}" for name, value in rows))
    return 0


def installed(name: str) -> str:
    """A package's version, or `absent`."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def cpu() -> str:
    """The processor as trainings record it."""
    from pipeline.engines.machine import cpu_name

    return cpu_name()


def capabilities() -> list[str]:
    """Vector extensions that torch sees; they say nothing about speed."""
    import torch

    return sorted(k for k, v in torch.cpu.get_capabilities().items() if v is True)


def device() -> str:
    """The GPU that would be used, or the CPU."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
