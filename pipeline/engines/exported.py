"""A network as a graph of torch's export, from which the other engines' models are made."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import ExportedProgram

from pipeline.engines.subject import Subject
from pipeline.errors import PipelineError


class ConversionError(PipelineError):
    """A network that an engine can't take."""


def exported_program(subject: Subject) -> ExportedProgram:
    """Export a network in evaluation for its one window shape, on the CPU.

    Raises:
        ConversionError: torch can't export it.
    """
    network = subject.network.eval()
    if subject.device.type != "cpu":
        network = copy.deepcopy(network).cpu()
    example = torch.zeros(subject.shape)
    with converting("torch.export"), torch.no_grad():
        return torch.export.export(network, (example,))


@contextmanager
def converting(what: str) -> Iterator[None]:
    """Run a converter without its warnings and log lines; its failure becomes one line.

    Raises:
        ConversionError: The converter failed.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (PipelineError, OSError, MemoryError):
        raise
    except Exception as error:  # converters have no common base
        fact = next((line for line in str(error).splitlines() if line.strip()), "")
        raise ConversionError(
            f"{what} failed: {type(error).__name__}: {fact.strip()[:160]}",
            hint="use another engine, such as torch",
        ) from error
    finally:
        logging.disable(before)
