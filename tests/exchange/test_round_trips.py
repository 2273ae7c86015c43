"""A recording that is exported and imported again has the same rows, steering bits, JPEG bytes and
tables.
"""

import pytest

from bcclone.exchange.exchange_settings import EXPORT_FORMATS, ExportSettings, ImportSettings
from bcclone.exchange.recording_export import export
from bcclone.exchange.recording_import import import_recording
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from tests.conftest import shared
from tests.exchange.driven_recordings import make_driven
from tests.pictures.video_runs import name_of
from tests.running import run_script


def there_and_back(recording, format, folder):
    export(ExportSettings(str(recording), folder / "there", format))
    result = import_recording(ImportSettings(folder / "there", folder / "back"))
    assert result.format == {"csv": "frames"}.get(format, format)
    return result


def images_of(recording):
    log = read_log(recording / "driving_log.csv")
    index = ImageIndex(log.path)
    names = [name for camera in CAMERAS for name in log.rows[camera] if name]
    assert names
    return {name: open(index.find(name), "rb").read() for name in names}  # noqa: SIM115, PTH123


def rows_of(recording):
    return read_log(recording / "driving_log.csv").rows


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_nothing_is_lost(format, tmp_path):
    recording = make_driven(tmp_path / "lake")
    result = there_and_back(recording, format, tmp_path)
    assert (result.rows, result.recordings, result.deleted, result.converted) == (6, 1, 0, 0)
    assert rows_of(tmp_path / "back").equals(rows_of(recording))
    assert images_of(tmp_path / "back") == images_of(recording)
    for table in ("drivers.csv", "trace.csv"):
        assert (tmp_path / "back" / table).read_bytes() == (recording / table).read_bytes()


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_a_recording_of_one_camera_without_tables_gets_none_and_no_deleted_rows(format, tmp_path):
    recording = make_driven(tmp_path / "lake", cameras=("center",), drivers=False, trace=False)
    run_script("edit", recording, "--delete", 2, 3)
    there_and_back(recording, format, tmp_path)
    left = rows_of(tmp_path / "back")
    assert left["center"].tolist() == rows_of(recording)["center"].tolist()
    assert len(left) == 4
    written = sorted(path.name for path in (tmp_path / "back").iterdir())
    assert written == ["IMG", "driving_log.csv", "import.json"]


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_recordings_of_the_same_time_stay_apart(format, tmp_path):
    for number in (1, 2):
        make_driven(tmp_path / "drives" / f"drive{number}", seed=number)
    result = there_and_back(tmp_path / "drives", format, tmp_path)
    assert (result.recordings, result.rows) == (2, 12)
    for number in (1, 2):
        recording = tmp_path / "drives" / f"drive{number}"
        assert images_of(tmp_path / "back" / str(number)) == images_of(recording)
        assert rows_of(tmp_path / "back" / str(number)).equals(rows_of(recording))


@pytest.mark.slow
@pytest.mark.parametrize("format", EXPORT_FORMATS)
@pytest.mark.parametrize("name", ["lake_linux", "mountain_windows"])
def test_a_recording_of_the_unity_program_loses_nothing(name, format, tmp_path):
    recording = shared("recordings") / name
    there_and_back(recording, format, tmp_path)
    assert rows_of(tmp_path / "back").equals(rows_of(recording))
    assert images_of(tmp_path / "back") == images_of(recording)


def test_rows_of_the_same_millisecond_keep_their_own_images(tmp_path):
    recording = make_driven(
        tmp_path / "lake", rows=2, cameras=("center",), drivers=False, trace=False
    )
    export(ExportSettings(str(recording), tmp_path / "there"))
    table = tmp_path / "there" / "table.csv"
    table.write_text(table.read_text().replace("1767225600067", "1767225600000"))
    import_recording(ImportSettings(tmp_path / "there", tmp_path / "back"))
    assert rows_of(tmp_path / "back")["center"].tolist() == [
        f"center_{name_of(at)}" for at in (0, 1)
    ]
    assert list(images_of(tmp_path / "back").values()) == list(images_of(recording).values())
