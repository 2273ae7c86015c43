"""bcclone trained-models copies the models that come with it, and changes no file that is there."""

from pathlib import Path

from tests.running import ROOT, result_of, run_script

MODELS = {path.name: path.read_bytes() for path in (ROOT / "models").glob("*.h5")}


def copied(folder, *line):
    return result_of("trained-models", *line, cwd=folder)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_models_are_copied_once_to_the_folder_that_is_named(tmp_path):
    assert len(copied(tmp_path, "a/b")["written"]) == len(MODELS)
    assert content(tmp_path / "a" / "b") == MODELS
    first = copied(tmp_path)
    assert content(tmp_path / "models") == MODELS
    assert first["written"] == first["models"]
    assert copied(tmp_path) == {"models": first["models"], "written": []}
    (tmp_path / "models" / "lake.h5").unlink()
    assert copied(tmp_path)["written"] == [str(Path("models", "lake.h5"))]
    assert content(tmp_path / "models") == MODELS


def test_another_file_of_that_name_stays_and_nothing_is_written(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "lake.h5").write_bytes(b"mine")
    error = run_script("trained-models", cwd=tmp_path, code=1).stderr
    assert "lake.h5 exists already" in error
    assert "name another folder" in error
    assert content(tmp_path / "models") == {"lake.h5": b"mine"}
