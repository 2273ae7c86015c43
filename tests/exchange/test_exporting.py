"""Each exported format has the form that its own library documents; what cannot be exported is
refused.
"""

import csv
import json

import pytest

from bcclone.camera.images import decode_image
from bcclone.dataset.shards import open_store
from bcclone.exchange.exchange_settings import EXPORT_FORMATS, ExportSettings
from bcclone.exchange.recording_export import export
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from tests.exchange.driven_recordings import make_driven
from tests.messages.small_recording import make_recording
from tests.running import run_script


@pytest.fixture
def lake(tmp_path):
    return make_driven(tmp_path / "lake")


def exported(recording, format, target, **settings):
    export(ExportSettings(str(recording), target, format, **settings))
    return target


def numbers_of(recording):
    return (
        read_log(recording / "driving_log.csv")
        .rows[["steering", "throttle", "brake", "speed_mph"]]
        .to_numpy()
    )


def jpegs_of(recording, camera):
    return [path.read_bytes() for path in sorted((recording / "IMG").glob(f"{camera}_*.jpg"))]


def test_the_csv_is_a_plain_table_with_relative_paths(lake, tmp_path):
    folder = exported(lake, "csv", tmp_path / "out")
    with (folder / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["steering"]) for row in rows] == numbers_of(lake)[:, 0].tolist()
    assert [row["episode"] for row in rows] == ["0"] * 3 + ["1"] * 3
    assert [row["driver"] for row in rows] == ["model"] * 2 + ["human"] * 4
    assert [(folder / row["left"]).read_bytes() for row in rows] == jpegs_of(lake, "left")


def test_a_tub_has_catalogs_of_a_thousand_records_whose_lines_can_be_found(tmp_path):
    recording = make_recording(tmp_path / "long", rows=1001, step_ms=70)
    folder = exported(recording, "tub", tmp_path / "tub")
    inputs, types, _, _, paths = map(
        json.loads, (folder / "manifest.json").read_text().splitlines()
    )
    assert dict(zip(inputs, types, strict=True))["cam/image_array"] == "image_array"
    assert (paths["paths"], paths["current_index"]) == (
        ["catalog_0.catalog", "catalog_1.catalog"],
        1001,
    )
    starts = []
    for name, count in (("catalog_0", 1000), ("catalog_1", 1)):
        about = json.loads((folder / f"{name}.catalog_manifest").read_text())
        lines = (folder / f"{name}.catalog").read_bytes().splitlines(keepends=True)
        assert about["line_lengths"] == list(map(len, lines))
        assert len(lines) == count
        starts.append((about["start_index"], json.loads(lines[0])["_index"]))
    assert starts == [(0, 0), (1000, 1000)]


def test_only_the_chosen_cameras_are_exported(lake, tmp_path):
    folder = exported(lake, "tub", tmp_path / "out", cameras=("center",))
    assert len(list((folder / "images").iterdir())) == 6
    result = export(ExportSettings(str(lake), tmp_path / "csv", cameras=("left", "center")))
    assert (result.cameras, result.rows, result.episodes, result.recordings) == (
        ("center", "left"),
        6,
        2,
        1,
    )


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_a_store_is_exported_with_its_frames(format, simulated_store, tmp_path):
    result = export(
        ExportSettings(str(simulated_store), tmp_path / "out", format, cameras=("left",))
    )
    assert (result.rows, result.size) == (120, (128, 128))
    if format == "csv":
        with (
            (tmp_path / "out" / "table.csv").open(newline="") as file,
            open_store(simulated_store) as store,
        ):
            for row, cells in list(zip(store.rows, csv.DictReader(file), strict=True))[::60]:
                pixels = decode_image((tmp_path / "out" / cells["left"]).read_bytes())
                assert (pixels == store.frames[row["frame_left"]]).all()


def test_many_rows_without_a_usable_image_are_refused(lake, tmp_path):
    images = sorted((lake / "IMG").glob("left_*.jpg"))
    images[1].unlink()
    images[2].write_bytes(images[2].read_bytes()[:500])
    with pytest.raises(UserError, match=r"(?s)2 of 6 rows.*5%.*--cameras.*line 2"):
        export(ExportSettings(str(lake), tmp_path / "out"))
    assert (
        export(ExportSettings(str(lake), tmp_path / "center", cameras=("center", "right"))).rows
        == 6
    )


def test_what_cannot_be_exported_is_refused_with_the_remedy(lake, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match=r"mine exists"):
        export(ExportSettings(str(lake), tmp_path / "mine"))
    assert (tmp_path / "mine").read_text() == "mine"
    with pytest.raises(UserError, match="cannot make that folder"):
        export(ExportSettings(str(lake), tmp_path / "mine" / "out"))
    with pytest.raises(UserError, match="choose other cameras with --cameras"):
        export(
            ExportSettings(
                str(make_recording(tmp_path / "one")), tmp_path / "out", cameras=("left",)
            )
        )
    run_script(
        "preprocess.py",
        lake,
        "-o",
        tmp_path / "yuv.h5",
        "--preprocess",
        "nvidia-66x200-yuv",
        "--validation",
        0,
    )
    with pytest.raises(UserError, match="expected RGB; export its recordings: .*lake"):
        export(ExportSettings(str(tmp_path / "yuv.h5"), tmp_path / "out"))
    with pytest.raises(ValueError, match="expected one of csv, tub"):
        ExportSettings("lake", to="zip")
