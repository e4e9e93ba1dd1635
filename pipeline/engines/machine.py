"""The machine as figures and measured choices name it."""

import platform
from pathlib import Path

import torch


def cpu_name() -> str:
    """The processor's name, family and model, as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            facts[name.strip()] = value.strip()
    parts = (facts.get("model name"), facts.get("cpu family"), facts.get("model"))
    return " / ".join(part for part in parts if part) or platform.machine()


def device_name(device: torch.device) -> str:
    """What computes: the GPU's name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
