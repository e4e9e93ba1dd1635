"""Row D92: a patient's identity is a salted hash; what is kept names nobody."""

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError, InvalidValueError
from pipeline.io import Reading, patient_of, read_image
from pipeline.io.privacy import below_input, patient_hash

Make = Callable[..., list[Any]]
Save = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("UNETWORKS_SALT", raising=False)
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_d92_a_patient_is_a_salted_hash_that_stays_the_same_here(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save, cache: Path
) -> None:
    one = patient_of(save_slices(tmp_path / "a", make_slices(hu, PatientID="Zeugin 7")))
    again = patient_of(save_slices(tmp_path / "b", make_slices(hu + 1, PatientID="Zeugin 7")))
    other = patient_of(save_slices(tmp_path / "c", make_slices(hu, PatientID="Zeugin 8")))
    assert one is not None
    assert one == again
    assert one != other
    assert "Zeugin" not in one
    salt = cache / "patient-salt"
    assert stat.S_IMODE(salt.stat().st_mode) == 0o600
    salt.unlink()
    assert patient_hash("Zeugin 7") != one


def test_d92_a_series_without_a_patient_has_no_hash(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    assert patient_of(save_slices(tmp_path / "a", make_slices(hu, PatientID=""))) is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        patient_of(tmp_path / "empty")


def test_d92_a_volume_says_nothing_that_names_a_patient(
    tmp_path: Path, hu: Any, make_slices: Make, save_slices: Save
) -> None:
    secret = "ZEUGIN UNBEKANNT"
    slices = make_slices(
        hu, PatientID=secret, PatientName=secret, SeriesDescription=secret, RescaleType=secret,
        Units=secret, Modality=secret, StudyInstanceUID="", ProtocolName=secret,
    )  # fmt: skip
    folder = save_slices(tmp_path / f"{secret} scan", slices)
    (folder / f"{secret}.txt").write_text(secret)
    volume = read_image(folder)
    kept = f"{volume.modality} {volume.warnings} {dict(volume.facts)}"
    assert "ZEUGIN" not in kept
    assert "1.2" not in kept
    assert volume.modality == "other"


def test_d92_a_line_that_is_kept_names_no_folder_above_the_input() -> None:
    line = "/data/Zeugin/ct/a/3: a gap of 4 mm to 7; fetch /data/Zeugin/ct again"
    kept = below_input(line, "/data/Zeugin/ct")
    assert kept == "a/3: a gap of 4 mm to 7; fetch INPUT again"
    assert below_input("/data/Zeugin/ct/ : empty", Path("/data/Zeugin/ct")) == " : empty"


@pytest.mark.parametrize(
    "wrong", [{"phase": "EchoTime"}, {"phase": "=3"}, {"part": 0}, {"affine": "xform"}]
)
def test_choices_that_nothing_could_fulfil_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        Reading(**wrong)


def test_processes_that_need_the_salt_at_once_take_one(cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        hashes = set(pool.map(patient_hash, ["Zeugin 7"] * 32))
    assert len(hashes) == 1
    assert patient_hash("Zeugin 7") in hashes
