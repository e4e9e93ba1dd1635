"""Where things lie: the cache, the data folders, the runs, as the environment says."""

import os
import re
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "UNETWORKS_CACHE"
DATA_VARIABLE = "UNETWORKS_DATA"
ALLOCATOR_VARIABLE = "UNETWORKS_ALLOCATOR"  # `system` leaves it as it is; else it is tuned


def cache_dir() -> Path:
    """Folder of everything that can be made again; `UNETWORKS_CACHE`, else the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("unetworks"))


def data_dir() -> Path:
    """Folder of data sets, one subfolder a name; `UNETWORKS_DATA`, else `data` in the cache."""
    given = os.environ.get(DATA_VARIABLE)
    return Path(given).expanduser() if given else cache_dir() / "data"


def without_password(uri: str) -> str:
    """Return a server's address as it may be printed or kept: stars for its password."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", uri)


def runs_dir() -> Path:
    """Folder of runs and of the local tracking database, below the current folder."""
    return Path("runs")
