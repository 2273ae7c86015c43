"""Videos become recordings: a plain one with a table, and the cameras of a LeRobot data set; each
is decoded once.
"""

import cv2
import numpy as np
import pytest

from bcclone.camera.framing import Framing
from bcclone.camera.images import decode_jpeg, encode_jpeg
from bcclone.exchange.labelled_video import open_video
from bcclone.system.errors import UserError
from tests.exchange.foreign_sources import (
    color_of,
    color_shown,
    imported,
    make_lerobot,
    make_video,
    rows_of,
)

pytest.importorskip("av", reason="pip install 'bcclone[video]'")


def number_shown(result, index):
    """The number of the video's frame that a row shows, by its colour."""
    red = color_shown(result.output, index)[0]
    return round((red - color_of(0)[0]) / (color_of(1)[0] - color_of(0)[0]))


def steering(index):
    return round(0.05 * (index - 8), 3)


def write_table(folder, rows, header="steering,throttle"):
    folder.mkdir(exist_ok=True)
    (folder / "drive.csv").write_text(
        header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    )
    return folder


def test_row_n_of_the_table_belongs_to_frame_n(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(tmp_path / "set", [(steering(n), 0.3) for n in range(20)])
    result = imported(tmp_path / "set", tmp_path / "out")
    rows = rows_of(result.output)
    assert (result.format, result.rows, result.seen.frame_rate, result.seen.size) == (
        "video",
        20,
        20.0,
        (96, 64),
    )
    assert rows["steering"].tolist() == [steering(n) for n in range(20)]
    assert rows["throttle"].tolist() == [0.3] * 20
    assert rows["time_ms"].diff().tolist()[1:] == [50] * 19
    assert [number_shown(result, n) for n in range(20)] == list(range(20))


@pytest.mark.parametrize(
    ("rows", "without_record", "without_image", "named"),
    [(15, 5, 0, "drive.mp4"), (23, 0, 3, "drive.csv")],
)
def test_frames_without_row_and_rows_without_frame_are_counted(
    tmp_path, rows, without_record, without_image, named
):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(tmp_path / "set", [(steering(n), 0) for n in range(rows)])
    result = imported(tmp_path / "set" / named, tmp_path / "out")
    assert result.rows == min(rows, 20)
    assert (result.seen.images_without_record, result.seen.records_without_image) == (
        without_record,
        without_image,
    )


@pytest.mark.parametrize("header", ["frame_index,steering", "steering"])
def test_a_row_that_is_deleted_or_empty_does_not_shift_those_after_it(tmp_path, header):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    kept = [n for n in range(20) if n % 5 != 3]
    rows = (
        [(n, steering(n)) for n in kept]
        if "," in header
        else [(steering(n),) if n in kept else () for n in range(20)]
    )
    result = imported(write_table(tmp_path / "set", rows, header), tmp_path / "out")
    assert rows_of(result.output)["steering"].tolist() == [steering(n) for n in kept]
    assert [number_shown(result, row) for row in range(16)] == kept


def test_a_blank_line_after_each_line_is_no_row(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(
        tmp_path / "set", [each for n in range(20) for each in ((), (steering(n),))], "steering"
    )
    assert imported(tmp_path / "set", tmp_path / "out").rows == 20


def test_frame_numbers_that_may_begin_after_the_first_frame_are_refused(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(tmp_path / "set", [(n, steering(n)) for n in range(3, 20)], "frame,steering")
    with pytest.raises(
        UserError, match="column 'frame' numbers the frames from 3, expected .*rename it"
    ):
        imported(tmp_path / "set", tmp_path / "out")


@pytest.mark.parametrize(("start", "factor"), [(0.0, 1), (1_700_000_000.0, 1000)])
def test_a_table_of_times_gives_each_frame_the_values_at_its_time(tmp_path, start, factor):
    make_video(tmp_path / "set" / "drive.mp4", count=20)  # 0 to 0.95 s
    rows = [
        (round((start + 0.1 * n) * factor, 3), round(0.1 * n, 2), 0.5) for n in range(8)
    ]  # 0 to 0.7 s
    write_table(tmp_path / "set", rows, "time,steering,throttle")
    result = imported(tmp_path / "set", tmp_path / "out")
    table = rows_of(result.output)
    assert result.rows == 17  # up to 0.1 s after the last row
    assert table["steering"].tolist() == pytest.approx(
        [min(0.05 * n, 0.7) for n in range(17)], abs=1e-6
    )
    assert table["time_ms"][0] == round(start * 1000)
    assert result.seen.images_without_record == 3
    assert number_shown(result, 16) == 16


def test_a_column_of_times_that_cannot_be_read_is_asked_for_or_counted(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(
        tmp_path / "set", [(f"tick {n}", steering(2 * n)) for n in range(10)], "time,steering"
    )
    with pytest.raises(
        UserError, match="column 'time' holds no times that can be read, .* --frame-rate 20"
    ):
        imported(tmp_path / "set", tmp_path / "out")
    result = imported(tmp_path / "set", tmp_path / "out", frame_rate=10)
    assert rows_of(result.output)["steering"].tolist() == pytest.approx(
        [steering(n) for n in range(19)] + [steering(18)]
    )


def test_times_with_another_start_than_the_video_are_refused_with_the_rate_that_fits(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(
        tmp_path / "set",
        [(round(37.2 + 0.05 * n, 2), steering(n)) for n in range(20)],
        "t,steering",
    )
    with pytest.raises(
        UserError, match=r"t, in s: they begin at 37.2 s and .*--frame-rate 20, about their rate"
    ):
        imported(tmp_path / "set", tmp_path / "out")
    result = imported(tmp_path / "set", tmp_path / "out", frame_rate=20)
    assert rows_of(result.output)["steering"].tolist() == pytest.approx(
        [steering(n) for n in range(20)]
    )


def test_a_frame_between_rows_that_are_far_apart_gets_no_label(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=100)  # 5 s
    write_table(
        tmp_path / "set", [(t, 0.1) for t in (0.0, 0.5, 1.0, 4.0, 4.5, 4.95, 6.0)], "time,steering"
    )
    result = imported(tmp_path / "set", tmp_path / "out")
    assert (result.rows, result.seen.images_without_record) == (
        45,
        55,
    )  # 1.15 to 3.85 s are without
    assert result.seen.records_without_image == 1


@pytest.mark.parametrize("header", ["steering", "time,steering"])
def test_a_video_of_which_nearly_all_is_without_label_is_refused(tmp_path, header):
    make_video(tmp_path / "set" / "drive.mp4", count=60)
    write_table(
        tmp_path / "set", [(0.001 * n, 0.1)[-len(header.split(",")) :] for n in range(3)], header
    )
    with pytest.raises(
        UserError,
        match=r"3 of 60 rows can be used, expected a tenth or more .57 frames without a row",
    ):
        imported(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_video_that_is_cut_short_gives_the_frames_before(tmp_path):
    path = make_video(tmp_path / "set" / "drive.mkv", count=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    write_table(tmp_path / "set", [(steering(n % 20), 0) for n in range(60)])
    result = imported(tmp_path / "set", tmp_path / "out")
    assert 5 < result.rows < 60
    assert result.rows + result.seen.records_without_image + result.seen.unreadable_images == 60


@pytest.mark.parametrize(
    "content",
    [b"", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"],
)
def test_what_is_no_video_is_refused(tmp_path, content):
    write_table(tmp_path / "set", [(0.1, 0)])
    (tmp_path / "set" / "drive.mp4").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a video"):
        imported(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("full_range", [False, True])
def test_a_frame_is_fitted_in_its_planes_as_in_rgb(tmp_path, full_range):
    import av

    noise = cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8), (640, 480))
    path = tmp_path / "drive.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg" if full_range else "libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = (
            640,
            480,
            "yuvj420p" if full_range else "yuv420p",
        )
        container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode())
    with open_video(path) as video:
        (frame,) = video.frames()
        content, size = frame.stretched_jpeg(), frame.size
        expected = decode_jpeg(encode_jpeg(Framing.of(frame.pixels()).apply(frame.pixels())))
    difference = np.abs(decode_jpeg(content).astype(int) - expected)
    assert size == (640, 480)
    assert difference.mean() < 2
    assert np.percentile(difference, 99) < 8


def make_set(folder, version=3, missing=0):
    """Write a data set whose front camera is a video, as LeRobot does: one file for each episode,
    or one for all.
    """
    episodes, key = (12, 8), "observation.images.front"
    info = {"chunks_size": 1} if version == 2 else {
        "video_path": "clips/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    }  # fmt: skip
    make_lerobot(folder, episodes, step=0.05, rate=20, info=info, **{"observation.gear": ["gear"]})
    if version == 2:
        for number, count in enumerate(episodes):
            make_video(
                folder / "videos" / f"chunk-{number:03d}" / key / f"episode_{number:06d}.mp4",
                count=count,
            )
        return folder
    import pyarrow
    from pyarrow import parquet

    make_video(folder / "clips" / key / "chunk-000" / "file-000.mp4", count=sum(episodes) - missing)
    places = {f"videos/{key}/chunk_index": 0, f"videos/{key}/file_index": 0}
    rows = [
        {"episode_index": n, f"videos/{key}/from_timestamp": start} | places
        for n, start in enumerate((0.0, 0.6))
    ]
    path = folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return folder


@pytest.mark.parametrize(("version", "missing"), [(2, 0), (3, 0), (3, 2)])
def test_the_cameras_of_a_lerobot_set_may_be_videos_and_frames_that_one_lacks_are_counted(
    tmp_path, version, missing
):
    result = imported(make_set(tmp_path / "set", version, missing), tmp_path / "out")
    rows, count = rows_of(result.output), 20 - missing
    assert (result.format, result.rows, result.seen.size) == ("lerobot", count, (96, 64))
    assert result.seen.records_without_image == missing
    assert rows["steering"].tolist() == pytest.approx(
        [0.05 * n for n in (*range(12), *range(8 - missing))]
    )
    assert set(rows["throttle"]) == {0.5}
    shown = [number_shown(result, n) for n in range(count)]
    assert shown == (list(range(count)) if version == 3 else [*range(12), *range(8)])
    assert result.seen.columns_left_out == ("observation.gear",)
