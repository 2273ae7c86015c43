"""The trained models that come with bcclone: where they are, and copies of them."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.system.errors import UserError
from bcclone.system.files import make_folder, sha256_of, write_bytes

SHIPPED_NAMES = ("lake.h5", "any-road.h5", "any-camera.h5")
_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "models"  # setup.py copies the models into an installed package
_IN_CLONE = _PACKAGE.parent / "models"  # in a clone of the repository they lie next to it


def shipped_model(name: str) -> Path:
    """Return the path of a model that comes with bcclone."""
    return _shipped_folder() / name


def _shipped_folder() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _IN_CLONE


@dataclass(frozen=True)
class CopiedModels:
    """Where the trained models are now."""

    models: tuple[Path, ...]  # the files of all trained models
    written: tuple[Path, ...]  # the files that this call wrote


def copy_trained_models(folder: Path = Path("models")) -> CopiedModels:
    """Write the trained models into a folder; make the folder if it is missing.

    A file that has the content of its model already stays as it is. Raises UserError, before
    anything is written, if a file with a model's name has another content, or if this installation
    has no models.
    """
    sources = sorted(_shipped_folder().glob("*.h5"))
    if not sources:
        raise UserError(
            f"{_INSTALLED}: no trained models are installed there; install bcclone again"
        )
    make_folder(folder)
    source_of = {folder / source.name: source for source in sources}
    to_write = [
        path
        for path, source in source_of.items()
        if not path.is_file() or sha256_of(path) != sha256_of(source)
    ]
    for path in to_write:
        if path.exists():
            raise UserError(f"{path} exists already; remove it, or name another folder")
    for path in to_write:
        write_bytes(path, source_of[path].read_bytes())
    return CopiedModels(tuple(source_of), tuple(to_write))
