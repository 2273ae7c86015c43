"""Which files a store or a model may overwrite; files with the attributes of each kind."""

import h5py
import pytest

from bcclone.system.errors import UserError
from bcclone.system.hdf5_file import check_output, kind_of


@pytest.fixture
def files(tmp_path):
    """Return a file of each kind by name; the damaged one is cut off."""
    for name, attribute in (("store", "schema_version"), ("model", "model_config"), ("weights", "layer_names")):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs[attribute] = 1
    h5py.File(tmp_path / "other", "w").close()
    (tmp_path / "damaged").write_bytes((tmp_path / "store").read_bytes()[:100])
    (tmp_path / "text").write_text("precious")
    (tmp_path / "empty").touch()
    return tmp_path


def test_stores_and_models_are_told_apart(files):
    kinds = {path.name: kind for path in files.iterdir() if (kind := kind_of(path))}
    assert kinds == {"store": "store", "model": "model", "weights": "model"}
    check_output(files / "new.h5", "store", force=False)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [("store", ["store", "other", "damaged", "empty"]), ("model", ["model", "weights", "other", "damaged", "empty"])],
)
def test_force_replaces_files_of_the_same_kind_and_damaged_ones(files, kind, allowed):
    for path in files.iterdir():
        if path.name in allowed:
            check_output(path, kind, force=True)
            with pytest.raises(UserError, match="exists already; overwrite it with --force, or name another -o"):
                check_output(path, kind, force=False)
        else:
            for force in (False, True):
                with pytest.raises(UserError, match="name another -o") as raised:
                    check_output(path, kind, force=force)
                assert "--force" not in str(raised.value)
