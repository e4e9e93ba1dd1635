"""What made a run: versions of the libraries, the commit of the code, the user's name."""

import getpass
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pipeline

LIBRARIES = ("torch", "monai", "mlflow", "numpy")


def versions() -> dict[str, str]:
    """Return the version of the package, of Python and of each installed main library."""
    found = {"unetworks": pipeline.__version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the commit of the clone that the package runs from, `-dirty` if it was changed.

    None for an installed package, even one inside some other repository, and without git.
    """
    root = Path(pipeline.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(
            [*command, "--exclude", "*"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def user() -> str:
    """Return the login name, `unknown` where the system has none (some containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def provenance() -> dict[str, str]:
    """Return the tags that say what made a run."""
    tags = {f"version.{name}": value for name, value in versions().items()}
    tags |= {"mlflow.user": user(), "mlflow.source.name": "unetworks"}
    code = commit()
    if code is not None:
        tags |= {"commit": code, "mlflow.source.git.commit": code}
    return tags
