"""The plan that a bundle's training would use, without the training."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser


def preview(
    config_file: Path,
    facts: Mapping[str, Any],
    *,
    anywhere: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Evaluate the plan of a training config, by the very item that the training evaluates.

    Args:
        config_file: A bundle's `train.json`.
        facts: The fingerprint as plain values.
        anywhere: As on a machine whose memory forces nothing.
        **settings: What would stand on the command line.

    Raises:
        SystemExit: 2 for a setting that can't be, after one line that says so.
    """
    parser = ConfigParser()
    parser.read_config(str(config_file))
    parser.update({**settings, "facts": dict(facts)})
    if anywhere:
        parser["plan#memory"] = math.inf
    plan: dict[str, Any] = parser.get_parsed_content("plan")
    return plan
