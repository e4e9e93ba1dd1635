"""Data sets: what their labels are, which cases they have, how these are divided."""

from pipeline.manifests.catalog import GENERATORS, ManifestRow, list_manifests, load_manifest
from pipeline.manifests.checks import check_files, check_labels
from pipeline.manifests.manifest import PARTS, Case, Fold, Head, Manifest, Part
from pipeline.manifests.place import manifests_dir

__all__ = [
    "GENERATORS",
    "PARTS",
    "Case",
    "Fold",
    "Head",
    "Manifest",
    "ManifestRow",
    "Part",
    "check_files",
    "check_labels",
    "list_manifests",
    "load_manifest",
    "manifests_dir",
]
