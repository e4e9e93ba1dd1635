"""The MONAI workflow that is evaluating an expression: its parser and its folder.

An expression of a config gets no handle on either, but it is always called below them, so the
frames of the call stack lead there.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from pipeline.errors import DataError


def _selves() -> Iterator[Any]:
    """The `self` of each calling method, innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        if "self" in frame.f_locals:
            yield frame.f_locals["self"]
        frame = frame.f_back


def current_parser() -> ConfigParser | None:
    """The parser that evaluates the calling expression; None outside of one."""
    return next((s for s in _selves() if isinstance(s, ConfigParser)), None)


def current_config() -> dict[str, Any]:
    """The config being run, overrides included, expressions as text; without the metadata."""
    parser = current_parser()
    if parser is None:
        raise DataError("no config is being run", hint="call this from a bundle's config")
    config: dict[str, Any] = {k: v for k, v in parser.get().items() if k != "_meta_"}
    return config


def config_folder() -> Path | None:
    """The folder of the config being run; None where no workflow runs one."""
    workflow = next((s for s in _selves() if isinstance(s, ConfigWorkflow)), None)
    return None if workflow is None else Path(workflow.config_root_path)


def root() -> str:
    """The bundle's folder: the config's own, or the one above it if that is called `configs`."""
    folder = config_folder() or Path()
    return str(folder.parent if folder.name == "configs" else folder)
