"""Folders of frames of several cameras: their rows become one row of an instant, or one camera is
asked for.
"""

import re
import shutil
from pathlib import Path

import pytest

from bcclone.camera.images import decode_jpeg
from bcclone.system.errors import UserError
from tests.exchange import foreign_sources
from tests.exchange.foreign_sources import FIRST_NS, color_of, color_shown, make_frames
from tests.exchange.imported_frames import imported, rows_of


def test_three_cameras_are_three_cameras_and_a_side_camera_may_be_missing(tmp_path):
    names = [f"{camera}/{n}.jpg" for n in range(3) for camera in ("center", "left", "right")]
    rows = [(f"center/{n}.jpg", f"left/{n}.jpg", f"right/{n}.jpg", 0.1) for n in range(3)]
    rows[1] = ("center/1.jpg", "", "right/1.jpg", 0.1)
    rows[2] = ("", "left/2.jpg", "right/2.jpg", 0.1)
    result = imported(
        make_frames(tmp_path / "set", names, [("center", "left", "right", "steering"), *rows])
    )
    assert (result.rows, result.seen.records_without_image) == (2, 1)
    assert rows_of(result)["left"].map(bool).tolist() == [True, False]
    assert len(list((result.output / "IMG").iterdir())) == 5


def make_cameras(
    folder,
    cameras,
    place,
    header="timestamp,frame_id,file,steering",
    cells="{time},{camera},{image},{steering}",
):
    """Write the images of several cameras, 12 a camera, 70 ms apart, and a table with a row for
    each of them.
    """
    images = []
    lines = []
    for number in range(12):
        for index, camera in enumerate(cameras):
            values = {
                "camera": camera,
                "number": number,
                "time": FIRST_NS + number * 70_000_000 + index * 2_000_000,
            }
            images.append(place.format(index=index, **values))
            values |= {
                "image": images[-1],
                "name": Path(images[-1]).name,
                "steering": 0.01 * number,
            }
            lines.append(cells.format(**values))
    make_frames(folder, images)
    (folder / "labels.csv").write_text("\n".join([header, *lines]))
    return folder


@pytest.mark.parametrize(
    ("cameras", "form"),
    [
        ("left_camera center_camera right_camera", ("{camera}/{time}.jpg",)),
        (
            "/left_camera/image_color /center_camera/image_color /right_camera/image_color",
            ("{index}_{time}.jpg",),
        ),
        (
            "CAM_FRONT_LEFT CAM_FRONT CAM_FRONT_RIGHT CAM_BACK",
            ("{camera}/{number:03}.jpg", "channel,file,steering", "{camera},{image},{steering}"),
        ),
        (
            "rgb_left rgb_front rgb_right",
            ("{camera}_{number}.png", "file,steering", "{image},{steering}"),
        ),
        (
            "leftcam frontcam rightcam",
            ("{camera}/{number:04}.jpg", "cam,file,steering", "{camera},{name},{steering}"),
        ),
        (
            "left center right",
            ("{camera}_x{index}.{number}.jpg", "n,file,steering", "{number},{image},{steering}"),
        ),
        ("L C R", ("{number:04}{camera}.jpg", "file,steering", "{image},{steering}")),
        ("l c r", ("{camera}_{number}.jpg", "file,steering", "{image},{steering}")),
        (
            "left center right",
            ("{number:03}_{index}.jpg", "file,camera_id,steering", "{image},{camera},{steering}"),
        ),
    ],
)
def test_rows_of_three_cameras_become_one_row_of_an_instant(tmp_path, cameras, form):
    result = imported(make_cameras(tmp_path / "set", cameras.split(), *form))
    rows = rows_of(result)
    count = len(cameras.split())
    assert rows["steering"].tolist() == pytest.approx([0.01 * number for number in range(12)])
    step_ms = 70 if "{time}" in form[0] else 50
    assert rows["time_ms"].diff().tolist()[1:] == [step_ms] * 11
    for camera, index in (("left", 0), ("center", 1), ("right", 2)):
        pixels = decode_jpeg((result.output / "IMG" / rows[camera][7]).read_bytes())[
            80, 160
        ].tolist()
        assert pixels == pytest.approx(color_of(7 * count + index), abs=6)


def test_a_picture_of_one_camera_is_not_that_of_the_others(tmp_path):
    form = "{camera}/{number:04}.jpg", "cam,file,steering", "{camera},{name},{steering}"
    folder = make_cameras(tmp_path / "set", ["left", "front", "right"], *form)
    for camera in ("left", "right"):
        shutil.rmtree(folder / camera)
    rows = rows_of(imported(folder))
    assert (len(rows), set(rows["left"]), set(rows["right"])) == (12, {""}, {""})


def test_columns_without_names_in_another_order_are_refused_with_their_numbers(tmp_path):
    folder = make_cameras(
        tmp_path / "set",
        ["center", "left", "right"],
        "{camera}_2019_01_01_10_00_00_{number:03}.jpg",
    )
    names = [
        [f"{camera}_2019_01_01_10_00_00_{number:03}.jpg" for camera in ("center", "left", "right")]
        for number in range(12)
    ]
    for table in folder.glob("*.csv"):
        table.unlink()
    lines = [
        ",".join([*row, "0.5", "0", "12.5", f"{number / 20}"]) for number, row in enumerate(names)
    ]
    (folder / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(
        UserError,
        match=r"brake has 12.5, expected 0 to 1; it has no header.*: 4 \(0.5\), .*7 \(0.0, 0.05",
    ):
        foreign_sources.imported(folder, tmp_path / "out", unit="ratio")
    named = {
        "steering_column": "5",
        "throttle_column": "4",
        "speed_column": "6",
        "speed_unit": "mph",
    }
    rows = rows_of(imported(folder, unit="ratio", frame_rate=20, **named))
    assert (set(rows["steering"]), set(rows["throttle"]), set(rows["speed_mph"])) == (
        {0.0},
        {0.5},
        {12.5},
    )


@pytest.mark.parametrize("cameras", ["left right", "0 1 2", "front_wide front_far"])
def test_of_cameras_without_a_centre_one_is_asked_for_and_can_be_chosen(tmp_path, cameras):
    first, second, *_ = cameras = cameras.split()
    folder = make_cameras(tmp_path / "set", cameras, "{camera}/{time}.jpg")
    words = (
        f"'frame_id', as those of several cameras: {', '.join(cameras)}; "
        f"choose .*--image-column frame_id={first}"
    )
    with pytest.raises(UserError, match=words):
        imported(folder)
    result = imported(folder, image_column=f"frame_id={second}")
    assert (result.rows, result.seen.images_without_record) == (12, 12 * len(cameras) - 12)
    assert color_shown(result.output, 1) == pytest.approx(color_of(len(cameras) + 1), abs=6)
    with pytest.raises(
        UserError, match=f"'up' has no row; name it with --image-column frame_id=VALUE; .*: {first}"
    ):
        foreign_sources.imported(folder, tmp_path / "up", image_column="frame_id=up")


@pytest.mark.parametrize("cameras", ["cam0 cam1 cam2", "rgb depth seg", "FC FL FR"])
@pytest.mark.parametrize("form", ["{camera}/{number:04}.jpg", "{number:04}_{camera}.jpg"])
def test_of_cameras_that_only_the_images_name_one_is_asked_for_and_can_be_chosen(
    tmp_path, cameras, form
):
    cameras = cameras.split()
    folder = make_cameras(tmp_path / "set", cameras, form, "file,steering", "{image},{steering}")
    chosen = re.sub(r"{number:04}", "#", form).format(camera=cameras[0])
    with pytest.raises(
        UserError, match=f"column 'file', as those of several cameras: .*'file={chosen}'"
    ):
        imported(folder)
    result = imported(folder, image_column=f"file={chosen}")
    assert (result.rows, color_shown(result.output, 1)) == (
        12,
        pytest.approx(color_of(len(cameras)), abs=6),
    )


def test_rows_at_the_rate_of_several_cameras_are_asked_for(tmp_path):
    header = "timestamp,sensor,file,steering"
    folder = make_cameras(tmp_path / "set", ["a", "b", "c"], "{camera}_{time}.jpg", header)
    with pytest.raises(
        UserError, match="'sensor', as those of several cameras: a, b, c; .*--image-column sensor=a"
    ):
        imported(folder)


def test_a_column_of_commands_is_no_camera(tmp_path):
    names = [f"{number:02}.jpg" for number in range(30)]
    rows = [
        (name, 0.1, ("left", "forward", "right")[index // 10]) for index, name in enumerate(names)
    ]
    result = imported(
        make_frames(tmp_path / "set", names, [("image", "steering", "command"), *rows])
    )
    assert (result.rows, result.seen.columns_left_out) == (30, ("command",))
