"""Tell stores, models and other files apart, before one of them is read or overwritten."""

from pathlib import Path
from typing import Literal

from bcclone.system import atomic
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError

Kind = Literal["store", "model"]

HDF5 = b"\x89HDF"  # the first bytes of an HDF5 file
_ATTRIBUTES: dict[str, Kind] = {"schema_version": "store", "model_config": "model", "layer_names": "model"}


def kind_of(path: Path) -> Kind | None:
    """Return whether an HDF5 file holds a store or a model, by its attributes; None for all other files."""
    if not _is_hdf5(path):
        return None
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return next((kind for name, kind in _ATTRIBUTES.items() if name in file.attrs), None)
    except (OSError, RuntimeError):  # a damaged file
        return None


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
        with open_file(path, "store") as file:
            return file.read(len(HDF5)) == HDF5
    except OSError:
        return False
