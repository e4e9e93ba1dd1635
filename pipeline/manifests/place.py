"""Where manifests lie and where their relative paths are looked for."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pipeline import settings
from pipeline.errors import DataError, UnknownNameError

SCHEMA = "schema.json"


def manifests_dir() -> Path:
    """Folder of the manifests that come with the program: in the wheel, else in the clone."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "_data" / "data_manifests"
    return packaged if packaged.is_dir() else package.parent / "data_manifests"


def names() -> list[str]:
    """Names of the manifests that come with the program, sorted."""
    return sorted(path.stem for path in manifests_dir().glob("*.json") if path.name != SCHEMA)


def find_manifest(name_or_path: str | Path) -> Path:
    """The file of a manifest, given by name, by path or by the folder of a `dataset.json`.

    Raises:
        UnknownNameError: A bare word that names no manifest; the hint has the nearest ones.
        DataError: A path with nothing there.
    """
    text = str(name_or_path)
    path = Path(text).expanduser()
    if text in names():
        return manifests_dir() / f"{text}.json"
    if path.is_dir() and (path / "dataset.json").is_file():
        return path / "dataset.json"
    if path.is_file():
        return path
    if isinstance(name_or_path, str) and "/" not in text and not text.endswith(".json"):
        near = get_close_matches(text, names(), n=3) or names()
        raise UnknownNameError(
            f'no manifest "{text}"',
            hint=f"did you mean {' or '.join(near)}? A file is given by its path",
        )
    raise DataError(
        f"no manifest at {path}", hint=f"by name there are {', '.join(names())}; or give a path"
    )


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders in which a relative path is looked for, in that order.

    Args:
        folders: The folders.
        default: Which one an error names when a file is in none.
    """

    folders: tuple[Path, ...]
    default: Path

    def find(self, text: str) -> Path:
        """The first file or folder of that relative path; a missing one below `default`."""
        path = Path(text)
        if path.is_absolute():
            return path
        found = (folder / path for folder in self.folders if (folder / path).exists())
        return next(found, self.default / path)

    def glob(self, pattern: str) -> tuple[Path, list[Path]]:
        """The first folder in which files match, and those files, sorted; hidden ones left out."""
        path = Path(pattern)
        folders = self.folders
        if path.is_absolute():
            folders = (Path(path.anchor),)
            pattern = str(path.relative_to(path.anchor))
        for folder in folders:
            found = sorted(p for p in folder.glob(pattern) if not p.name.startswith("."))
            if found:
                return folder, found
        return self.default, []

    def __str__(self) -> str:
        """The folders, for an error."""
        return ", ".join(str(folder) for folder in self.folders)


def roots_of(
    path: Path, name: str, dataset_dir: Path | None = None, generated: Path | None = None
) -> Roots:
    """The folders of a manifest: the given one, its own, `UNETWORKS_DATA/NAME`."""
    own, shared = path.parent.absolute(), settings.data_dir() / name
    folders = [folder for folder in (dataset_dir, generated, own, shared) if folder is not None]
    packaged = own.resolve() == manifests_dir().resolve()
    return Roots(tuple(folders), shared if packaged and len(folders) == 2 else folders[0])
