"""Puts bundles and manifests into the wheel; everything else stands in pyproject.toml.

In a clone they lie at the root, where the stock command and readers look for them; an installed
package finds them below `pipeline/_data`.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithData(build_py):
    """`build_py` that copies the two folders into the package."""

    def run(self) -> None:
        """Build, then copy; an editable install reads the clone's own folders."""
        super().run()
        if self.editable_mode:
            return
        for name in ("bundles", "data_manifests"):
            target = Path(self.build_lib) / "pipeline" / "_data" / name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(ROOT / name, target)


setup(cmdclass={"build_py": BuildWithData})
