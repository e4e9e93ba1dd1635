"""Settings checked before anything is built: unknown keys, wrong types, impossible values.

Stock MONAI adds a mistyped key in silence and finds a component's wrong argument only when it
builds the component, after the data were read.
"""

import inspect
import json
import pydoc
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from monai.bundle import ComponentLocator

from pipeline.bundles.guard import install_hook, plain
from pipeline.bundles.workflow import config_folder, current_config
from pipeline.errors import DataError, InvalidValueError, UnknownNameError
from pipeline.networks import network_options

TRACKING_KEYS = {
    "tracking_uri",
    "experiment_name",
    "run_name",
    "save_execute_config",
    "is_not_rank0",
}
COMPONENT_KEYS = {"_target_", "_disabled_", "_requires_", "_desc_", "_mode_"}
INTEGERS = (
    "spatial_dims",
    "fold",
    "max_epochs",
    "batch_size",
    "epoch_length",
    "seed",
    "num_workers",
    "val_interval",
    "calibration",
)
NUMBERS = ("max_minutes", "learning_rate", "cache_gb", "overlap")
FLAGS = ("amp", "new_head", "deep_supervision", "cgm", "padded")
TEXTS = (
    "manifest",
    "dataset_dir",
    "preset",
    "normalisation",
    "norm",
    "weights",
    "resume",
    "tracking_uri",
    "experiment",
    "output_dir",
    "cases",
)
LISTS = ("spacing", "patch")
TWO_KINDS = ("window", "class_weights")  # a name, or numbers
TYPES: tuple[tuple[tuple[str, ...], tuple[type, ...], str], ...] = (
    (INTEGERS, (int,), "a whole number"),
    (NUMBERS, (int, float), "a number"),
    (FLAGS, (bool,), "True or False"),
    (TEXTS, (str,), "a text"),
    (LISTS, (list, tuple), "numbers in brackets, one for each axis"),
    (TWO_KINDS, (str, list, tuple), "a name, or numbers in brackets"),
    (("augment",), (bool, dict), "False, or names and values in braces"),
)


@plain
def check(kind: str) -> None:
    """Compare the config being run with the committed one and check the settings' types.

    Args:
        kind: `train`, `evaluate` or `inference`: the file's name without `.json`.

    Raises:
        SystemExit: With code 2 after one line, for an unknown key or a value of another type.
    """
    install_hook()
    config = current_config()
    folder = config_folder()
    if folder is not None and (folder / f"{kind}.json").is_file():
        committed = json.loads((folder / f"{kind}.json").read_text())
        compare(config, committed)
    check_types(config)
    if config.get("weights", "") is None and kind != "train":
        raise DataError(
            f"{kind}.json has no weights", hint="give --weights RUN/models/model.safetensors"
        )


def compare(config: Mapping[str, Any], committed: Mapping[str, Any]) -> None:
    """Refuse what `config` has beyond `committed`, and arguments that a component does not take.

    Raises:
        UnknownNameError: With the nearest known name as a hint.
    """
    for key in config:
        if key not in committed and key not in TRACKING_KEYS:
            raise _unknown("setting", key, committed)
    _walk(config, committed, "")


def _walk(node: Any, committed: Any, path: str) -> None:
    """Check a part of the config below its top."""
    if isinstance(node, list):
        pairs = committed if isinstance(committed, list) else []
        for index, item in enumerate(node):
            _walk(item, pairs[index] if index < len(pairs) else None, f"{path}#{index}")
    if not isinstance(node, Mapping):
        return
    target = node.get("_target_")
    if isinstance(target, str) and not target.startswith(("$", "@")):
        _check_arguments(target, node, path)
    elif target is None and path and isinstance(committed, Mapping):
        for key in node:
            if key not in committed:
                raise _unknown(f"key below {path}:", key, committed)
    for key, value in node.items():
        below = committed.get(key) if isinstance(committed, Mapping) else None
        _walk(value, below, f"{path}#{key}" if path else str(key))


def _check_arguments(target: str, node: Mapping[str, Any], path: str) -> None:
    """Compare a component's keys with its callable's signature."""
    given = [key for key in node if key not in COMPONENT_KEYS]
    known = arguments(target, node)
    for key in given if known is not None else []:
        if known and key not in known:
            raise _unknown(f"argument of {path} ({target}):", key, known)


def arguments(target: str, node: Mapping[str, Any]) -> set[str] | None:
    """Names that the callable `target` takes; None where it takes any or can't be found."""
    if target == "pipeline.networks.build_network":
        name = node.get("name")
        base = {"name", "spatial_dims", "in_channels", "out_channels", "initialisation"}
        if not isinstance(name, str) or _is_expression(name):
            return None
        return base | set(network_options(name))
    found = _locator().get_component_module_name(target)
    module = found[0] if isinstance(found, list) else found
    function = pydoc.locate(f"{module}.{target}" if module else target)
    if function is None:
        raise UnknownNameError(f"nothing is called {target!r}", hint="check the config's _target_")
    try:
        parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    except ValueError:  # of a built-in type, which does not tell
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters}


@lru_cache(maxsize=1)
def _locator() -> ComponentLocator:
    """MONAI's names; one for all, because each new one walks through all of MONAI again."""
    return ComponentLocator()


def check_types(config: Mapping[str, Any]) -> None:
    """Refuse settings whose type can't be meant, e.g. a text for `spatial_dims`.

    Raises:
        InvalidValueError: Names the setting and its value.
    """
    for names, kinds, wanted in TYPES:
        for name in names:
            value = config.get(name)
            if value is None or _is_expression(value):
                continue
            right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
            if not right:
                raise InvalidValueError(f"{name} is {value!r}", hint=f"give {wanted}")
    for name in LISTS:
        for number in config.get(name) or () if not _is_expression(config.get(name)) else ():
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise InvalidValueError(f"{name} holds {number!r}", hint="give numbers")
    for name in ("max_epochs", "max_minutes", "batch_size", "cache_gb"):
        value = config.get(name)
        if isinstance(value, int | float) and not value > 0:
            raise InvalidValueError(f"{name} is {value}", hint="give a value above 0")
    workers = config.get("num_workers")
    if isinstance(workers, int) and workers < 0:
        raise InvalidValueError(f"num_workers is {workers}", hint="give 0 or more")


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def _unknown(what: str, key: str, known: Iterable[str]) -> UnknownNameError:
    near = get_close_matches(key, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "see the config for what there is"
    return UnknownNameError(f"unknown {what} {key!r}", hint=hint)
