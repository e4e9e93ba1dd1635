"""Bundles: their settings checked, their facts and plans found, their weights read strictly."""

from pipeline.bundles.device import pick_device
from pipeline.bundles.keys import check
from pipeline.bundles.settings import (
    claim_folder,
    datalist,
    facts,
    plan,
    run_folder,
    trained,
)
from pipeline.bundles.workflow import config_folder, current_config, root

__all__ = [
    "check",
    "claim_folder",
    "config_folder",
    "current_config",
    "datalist",
    "facts",
    "pick_device",
    "plan",
    "root",
    "run_folder",
    "trained",
]
