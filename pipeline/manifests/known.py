"""Where the manifest of a run lies on this machine: kept in the cache, as no run says it."""

import json
from contextlib import suppress
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.io import atomic_path
from pipeline.settings import cache_dir


def remember_manifest(digest: str, name_or_path: str, dataset_dir: str | None) -> None:
    """Keep where a manifest was read from; without a cache to write to nothing is kept.

    Args:
        digest: `Manifest.hash`.
        name_or_path: As given to `load_manifest`.
        dataset_dir: Likewise.
    """
    path = Path(name_or_path)
    where = str(path.absolute()) if path.exists() else name_or_path
    folder = None if dataset_dir is None else str(Path(dataset_dir).expanduser().absolute())
    with suppress(OSError, PipelineError), atomic_path(_file(digest)) as draft:
        draft.write_text(json.dumps([where, folder]), encoding="utf-8")


def known_manifest(digest: str) -> tuple[str, str | None] | None:
    """What `load_manifest` takes for the manifest of a hash; None: it was never seen here."""
    try:
        where, folder = json.loads(_file(digest).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return str(where), None if folder is None else str(folder)


def _file(digest: str) -> Path:
    return cache_dir() / "manifests" / f"{Path(digest).name or 'none'}.json"
