"""`data new` on labels that are no files of integers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from pipeline.io import write_nifti
from pipeline.manifests import Manifest, load_label, load_manifest
from pipeline.manifests.draft import Draft, Wishes, draft_manifest
from pipeline.manifests.draft_entries import write_manifest
from tests.drawings import write_rtstruct, write_seg, write_series

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)


def drafted(root: Path, labels: Path | None = None, **wishes: Any) -> tuple[Draft, Manifest]:
    output = root.parent / "set.json"
    made = draft_manifest(root, labels, output, Wishes(**wishes), quiet=True)
    write_manifest(made.content, output, force=True)
    return made, load_manifest(output)


def picture(path: Path, rows: Any = GREY, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(rows, np.uint8), mode).save(path)
    return path


def labels_of(manifest: Manifest) -> dict[str, list[int]]:
    return {
        case.id: np.unique(load_label(case.label).array).tolist()
        for case in manifest.cases
        if case.label is not None
    }


def reasons(made: Draft) -> dict[str, str]:
    return {path.name: reason for path, reason in made.left}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a blank and a letter beyond ASCII in its name."""
    folder = tmp_path / "Aufnahmen für Ü"
    folder.mkdir()
    return folder


def test_stage_one_of_the_data_science_bowl(root: Path) -> None:
    for name in ("ab", "cd"):
        picture(root / name / "images" / f"{name}.png")
        picture(root / name / "masks" / "1.png", (GREY == 1) * 255)
        picture(root / name / "masks" / "2.png", (GREY == 5) * 255)
    made, manifest = drafted(root)
    assert manifest.labels == {"object": 1}
    (case,) = made.content["training"]
    assert case["label"] == {"instances": f"{root.name}/{case['id']}/masks"}
    assert labels_of(manifest) == {"ab": [0, 1], "cd": [0, 1]}
    assert any("one mask an object" in note for note in made.notes)


def test_one_file_a_structure_is_named_by_its_files(root: Path) -> None:
    for name, organs in (("s0", ("aorta", "liver")), ("s1", ("liver", "spleen"))):
        write_nifti(root / name / "ct.nii.gz", np.full((3, 2, 2), -1000, np.int16), np.eye(4))
        for n, organ in enumerate(organs):
            mask = np.zeros((3, 2, 2), np.uint8)
            mask[n] = 1
            write_nifti(root / name / "segmentations" / f"{organ}.nii.gz", mask, np.eye(4))
    _, manifest = drafted(root)
    assert manifest.labels == {"aorta": 1, "liver": 2, "spleen": 3}
    assert labels_of(manifest) == {"s0": [0, 1, 2], "s1": [0, 2, 3]}
    assert manifest.modality == "CT"


@pytest.mark.parametrize("names", [("1", "2"), ("{}x", "{}y")], ids=["numbered", "random"])
def test_masks_that_are_numbered_or_called_differently_in_each_case_are_objects(
    root: Path, names: tuple[str, str]
) -> None:
    for case in ("ab", "cd"):
        picture(root / case / f"{case}.png")
        for n, name in enumerate(names):
            picture(root / case / "masks" / f"{name.format(case)}.png", n == GREY)
    made, manifest = drafted(root)
    assert manifest.labels == {"object": 1}
    assert set(made.content["training"][0]["label"]) == {"instances"}
    assert labels_of(manifest) == {"ab": [0, 1], "cd": [0, 1]}


def test_colours_are_mapped_and_the_mapping_is_told(root: Path) -> None:
    rows = np.zeros((3, 4, 3), np.uint8)
    rows[0, 0], rows[1, 1] = (0, 0, 255), (255, 128, 0)
    for n in range(3):
        picture(root / f"{n}.png", np.repeat(GREY[..., None], 3, axis=2))
        picture(root / f"{n}_mask.png", rows)
    made, manifest = drafted(root)
    assert made.content["colours"] == {"colour_0000ff": [0, 0, 255], "colour_ff8000": [255, 128, 0]}
    assert set(map(str, labels_of(manifest).values())) == {"[0, 1, 2]"}
    assert any("[0, 0, 255] is 1, [255, 128, 0] is 2" in note for note in made.notes)


def test_a_mask_with_soft_edges_is_left_alone_and_told(root: Path) -> None:
    soft = np.random.default_rng(0).integers(0, 255, (20, 20, 3))
    hard = np.zeros((20, 20, 3), np.uint8)
    hard[0, 0] = (255, 0, 0)
    for n, rows in enumerate((hard, hard, soft)):
        picture(root / f"{n}.png", np.zeros((20, 20)))
        picture(root / f"{n}_mask.png", rows)
    made, manifest = drafted(root)
    assert len(manifest.cases) == 2
    assert "colours, too many for a mask" in reasons(made)["2_mask.png"]


def test_an_opaque_alpha_channel_is_looked_through(root: Path) -> None:
    rows = np.zeros((3, 4, 4), np.uint8)
    rows[..., 3] = 255
    rows[0, 0, :3] = 255
    picture(root / "a.png")
    picture(root / "a_mask.png", rows)
    made, manifest = drafted(root)
    assert made.content["colours"] == {"colour_ffffff": [255, 255, 255]}
    assert labels_of(manifest) == {"a": [0, 1]}


def test_a_transparent_mask_is_refused_in_one_line(root: Path) -> None:
    rows = np.zeros((3, 4, 4), np.uint8)
    rows[0, 0] = (255, 0, 0, 255)
    picture(root / "a.png")
    picture(root / "a_mask.png", rows)
    with pytest.raises(DataError, match="colours that could be classes"):
        drafted(root)


def test_a_palette_counts_by_its_indices(root: Path) -> None:
    picture(root / "a.png")
    mask = Image.fromarray((GREY == 3).astype(np.uint8) * 2, "P")
    mask.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    mask.save(root / "a_mask.png")
    _, manifest = drafted(root)
    assert labels_of(manifest) == {"a": [0, 2]}


def test_a_jpeg_mask_is_refused_with_the_remedy_and_cut_on_demand(root: Path) -> None:
    rows = np.zeros((16, 16), np.uint8)
    rows[:, 8:] = 255
    picture(root / "i" / "a.png", rows)
    picture(root / "l" / "a.jpg", rows)
    with pytest.raises(DataError, match="JPEG does not keep the values of a mask") as told:
        drafted(root / "i", root / "l")
    assert "save the mask as PNG" in str(told.value)
    assert "--threshold" in told.value.hint
    made, manifest = drafted(root / "i", root / "l", threshold=128)
    assert labels_of(manifest) == {"a": [0, 1]}
    assert made.content["training"][0]["label"]["threshold"] == 128


def boxes() -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    organ, lesion = np.zeros((6, 6, 4), bool), np.zeros((6, 6, 4), bool)
    organ[1:5, 1:5, 1:3], lesion[2:4, 2:4, 1:3] = True, True
    return {"Organ": organ, "lesion": lesion}


@pytest.mark.parametrize(("kind", "writer"), [("rtstruct", write_rtstruct), ("seg", write_seg)])
def test_dicom_series_with_drawings_in_the_layouts_of_archives(
    root: Path, kind: str, writer: Callable[..., Path]
) -> None:
    hu = np.full((6, 6, 4), -1000, np.int16)
    organ = {"Organ": boxes()["Organ"]}
    write_series(root / "P1" / "CT", hu, SeriesInstanceUID="1.2.31")
    (root / "P1" / "drawn").mkdir()
    writer(root / "P1" / "drawn" / "x.dcm", organ)
    write_series(root / "P2" / "CT", hu, SeriesInstanceUID="1.2.32")
    writer(root / "P2" / "CT" / "among the slices.dcm", organ)
    write_series(root / "P3" / "CT", hu)
    made, manifest = drafted(root)
    assert reasons(made) == {"CT": "no RTSTRUCT or SEG of it"}
    assert manifest.labels == {"Organ": 1}
    assert manifest.modality == "CT"
    assert labels_of(manifest) == {"P1": [0, 1], "P2": [0, 1]}
    text = json.dumps(made.content)
    assert (
        f'{{"{kind}": "{root.name}/P1/drawn/x.dcm", "structures": ["Organ"]}}'
        in text.encode().decode("unicode_escape")
    )
    assert any("Organ in 2" in note for note in made.notes)


def test_structures_that_overlap_need_a_choice_and_its_order_decides(root: Path) -> None:
    write_series(root / "P1" / "CT", np.zeros((6, 6, 4), np.int16))
    write_rtstruct(root / "P1" / "rs.dcm", boxes())
    with pytest.raises(DataError, match=r"no label fits: .*overlap"):
        drafted(root)
    _, manifest = drafted(root, structures=["lesion", "organ"])
    assert manifest.labels == {"lesion": 1, "Organ": 2}
    assert labels_of(manifest) == {"P1": [0, 1, 2]}
    with pytest.raises(DataError, match="no structure of that name") as told:
        drafted(root, structures=["spleen"])
    assert "lesion in 1" in told.value.hint


def test_names_and_channels_of_nnunets_dataset_json(root: Path) -> None:
    for n in range(3):
        for channel in range(2):
            image = np.full((3, 3, 2), channel, np.int16)
            write_nifti(root / "imagesTr" / f"c{n}_000{channel}.nii.gz", image, np.eye(4))
        label = np.zeros((3, 3, 2), np.uint8)
        label[0], label[1] = 1, 4
        write_nifti(root / "labelsTr" / f"c{n}.nii.gz", label, np.eye(4))
    facts = {
        "channel_names": {"0": "CT", "1": "PET"},
        "labels": {"background": 0, "organ": 1, "never": 2},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(facts))
    made, manifest = drafted(root)
    assert manifest.modality == ("CT", "PET")
    assert manifest.labels == {"organ": 1, "never": 2, "label_4": 4}
    assert any("declared, but in no case: never" in note for note in made.notes)
    assert any("no label has the integer 3" in note for note in made.notes)
    facts["labels"] = {"background": 0, "whole": [1, 4], "core": 4}
    (root / "dataset.json").write_text(json.dumps(facts))
    assert drafted(root)[1].regions == {"core": (4,), "whole": (1, 4)}


def test_names_of_an_msd_dataset_json(root: Path) -> None:
    write_nifti(root / "imagesTr" / "c.nii.gz", np.zeros((3, 3, 2), np.int16), np.eye(4))
    write_nifti(root / "labelsTr" / "c.nii.gz", np.ones((3, 3, 2), np.uint8), np.eye(4))
    facts = {"modality": {"0": "T2"}, "labels": {"0": "background", "1": "PZ"}}
    (root / "dataset.json").write_text(json.dumps(facts))
    _, manifest = drafted(root)
    assert (manifest.labels, manifest.modality) == ({"PZ": 1}, "MR")


def test_most_labels_decide_the_form_and_others_are_left_alone(root: Path) -> None:
    for name in ("a", "b"):
        picture(root / name / "images" / "x.png")
        picture(root / name / "masks" / "1.png", GREY > 4)
        picture(root / name / "masks" / "2.png", GREY > 9)
    picture(root / "c" / "x.png")
    picture(root / "c" / "x_mask.png", GREY > 4)
    made, manifest = drafted(root)
    assert {case.id for case in manifest.cases} == {"a", "b"}
    assert any("its label is a file, most others are instances" in why for _, why in made.left)


def test_names_of_files_may_say_the_modality(root: Path) -> None:
    for n in range(2):
        write_nifti(root / "i" / f"{n}_flair.nii", np.zeros((3, 3, 2), np.int16), np.eye(4))
        write_nifti(root / "l" / f"{n}_flair.nii", np.ones((3, 3, 2), np.uint8), np.eye(4))
    made, manifest = drafted(root / "i", root / "l")
    assert manifest.modality == "MR"
    assert any('the names say "flair"' in note for note in made.notes)
