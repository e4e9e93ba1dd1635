"""unetworks: medical image segmentation in 2D and 3D on MONAI.

Importing this package imports nothing heavy and switches off the usage telemetry of the
libraries below it: a hospital's machine reports to nobody.
"""

import os as _os

__version__ = "0.1.0"

for _name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    _os.environ[_name] = "true"
_os.environ.setdefault("MPLBACKEND", "Agg")
_os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # MLflow asks for git; its absence is fine
