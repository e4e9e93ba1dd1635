"""Data sets: what their labels are, which cases they have, how these are divided."""

from pipeline.manifests.catalog import GENERATORS, ManifestRow, list_manifests, load_manifest
from pipeline.manifests.checks import check_files, check_labels
from pipeline.manifests.known import known_manifest, remember_manifest
from pipeline.manifests.label import (
    DrawnLabel,
    Label,
    file_of_label,
    files_of_label,
    label_of_row,
    load_label,
    row_of_label,
)
from pipeline.manifests.manifest import PARTS, Case, Fold, Head, Manifest, Part
from pipeline.manifests.place import manifests_dir
from pipeline.manifests.white import is_white, without_white

__all__ = [
    "GENERATORS",
    "PARTS",
    "Case",
    "DrawnLabel",
    "Fold",
    "Head",
    "Label",
    "Manifest",
    "ManifestRow",
    "Part",
    "check_files",
    "check_labels",
    "file_of_label",
    "files_of_label",
    "is_white",
    "known_manifest",
    "label_of_row",
    "list_manifests",
    "load_label",
    "load_manifest",
    "manifests_dir",
    "remember_manifest",
    "row_of_label",
    "without_white",
]
