"""Tell stores, models and other files apart, before one of them is read or overwritten."""

from pathlib import Path
from typing import Any, Literal

from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.reading import open_limited

Kind = Literal["store", "model"]

HDF5 = b"\x89HDF"  # the first bytes of an HDF5 file
_ATTRIBUTES: dict[str, Kind] = {"schema_version": "store", "model_config": "model", "layer_names": "model"}


def kind_of(path: Path) -> Kind | None:
    """Return whether an HDF5 file holds a store or a model, by its attributes; None for all other files.

    A process of its own, which is this module run as a program, looks into the file.
    """
    if not _is_hdf5(path):
        return None
    from bcclone.system.hdf5_child import Hdf5Process, Refused

    try:
        with Hdf5Process("bcclone.system.file_kinds") as process:
            found = process.read(path).head
    except (Refused, OSError):
        return None
    return next((kind for name, kind in _ATTRIBUTES.items() if name in found), None)


def check_output(path: Path, kind: Kind, force: bool, remedy: str = atomic.REMEDY) -> None:
    """Raise UserError if `path` cannot be written, or exists and may not be replaced; call it before long work.

    kind: what is to be written; force: replace an existing HDF5 file, but none of the other kind, so that a wrong name
    costs nobody a text, a model or a store; remedy: what the user can do about an existing file, for the message.
    """
    if path.is_file() and path.stat().st_size:
        if not _is_hdf5(path):
            raise UserError(f"{path} exists, and is neither a store nor a model; name another -o")
        if (found := kind_of(path)) not in (kind, None):
            raise UserError(f"{path} is a {found}, and a {kind} is to be written; name another -o")
    atomic.check_output(path, force, remedy)


def _is_hdf5(path: Path) -> bool:
    try:
        with open_limited(path, 1 << 62) as file:
            return file.read(len(HDF5)) == HDF5
    except OSError:
        return False


def _read(path: Path, _: None) -> tuple[list[str], list[Any]]:
    """Return the attributes that tell the kind of a file."""
    from bcclone.system.hdf5_file import open_hdf5

    with open_hdf5(path) as file:
        return [name for name in _ATTRIBUTES if name in file.attrs], []


if __name__ == "__main__":
    from bcclone.system.hdf5_child import serve

    serve(_read)
