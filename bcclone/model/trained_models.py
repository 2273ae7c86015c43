"""Copy the trained models that come with bcclone to where a command can name them."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.system.atomic import check_output, make_folder, sha256_of, write_bytes
from bcclone.system.errors import UserError

_PACKAGE = Path(__file__).parents[1]
_INSTALLED, _OF_A_CLONE = _PACKAGE / "models", _PACKAGE.parent / "models"  # setup.py puts them into the package


@dataclass(frozen=True)
class CopiedModels:
    """Where the trained models are now. models: all of them; written: those that were not there before."""

    models: tuple[Path, ...]
    written: tuple[Path, ...]


def copy_trained_models(folder: Path = Path("models")) -> CopiedModels:
    """Write the trained models into a folder, which is made where it is missing.

    A model that is there already stays. Raises UserError, before anything is written, if another file has its name, or
    if this installation has no models.
    """
    sources = sorted((_INSTALLED if _INSTALLED.is_dir() else _OF_A_CLONE).glob("*.h5"))
    if not sources:
        raise UserError(f"{_INSTALLED}: no trained models are installed there; install bcclone again")
    make_folder(folder)
    missing = [source for source in sources if not _is_copied(source, folder / source.name)]
    for source in missing:
        check_output(folder / source.name, force=False, remedy="remove it, or name another folder")
    for source in missing:
        write_bytes(folder / source.name, source.read_bytes())
    return CopiedModels(
        tuple(folder / source.name for source in sources), tuple(folder / source.name for source in missing)
    )


def _is_copied(source: Path, path: Path) -> bool:
    """Return whether a file has the content of a source; it may be of any size and kind."""
    return path.is_file() and path.stat().st_size == source.stat().st_size and sha256_of(path) == sha256_of(source)
