import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from pipeline.bundles import workflow
from pipeline.errors import DataError


def test_an_expression_finds_the_config_that_is_being_run() -> None:
    parser = ConfigParser(
        {
            "imports": ["$import pipeline.bundles.workflow as workflow"],
            "seed": 3,
            "found": "$workflow.current_config()",
            "_meta_": {"version": "1"},
        }
    )
    parser["seed"] = 5
    found = parser.get_parsed_content("found")
    assert found["seed"] == 5
    assert found["found"] == "$workflow.current_config()"
    assert "_meta_" not in found


def test_outside_of_a_config_there_is_none() -> None:
    assert workflow.current_parser() is None
    assert workflow.config_folder() is None
    with pytest.raises(DataError, match="no config is being run"):
        workflow.current_config()


@pytest.mark.parametrize(("below", "root"), [("configs", ""), ("attunet", "attunet")])
def test_the_root_is_the_configs_folder_or_the_one_above_configs(
    tmp_path: Path, below: str, root: str
) -> None:
    folder = tmp_path / below
    folder.mkdir()
    config: dict[str, Any] = {
        "imports": ["$import pipeline.bundles.workflow as workflow"],
        "bundle_root": "$workflow.root()",
        "initialize": ["$workflow.config_folder()"],
    }
    (folder / "train.json").write_text(json.dumps(config))
    (folder / "metadata.json").write_text("{}")
    run = ConfigWorkflow(str(folder / "train.json"), logging_file=False, workflow_type="train")
    run.initialize()
    assert Path(str(run.bundle_root)) == tmp_path / root
