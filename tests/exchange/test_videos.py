"""Videos become recordings: a plain one with a table, and the cameras of a LeRobot data set."""

import cv2
import numpy as np
import pytest

from bcclone.camera.framing import Framing
from bcclone.camera.images import decode_jpeg, encode_jpeg
from bcclone.exchange.labelled_video import open_video
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from tests.exchange.foreign_sources import (
    asked,
    color_of,
    color_shown,
    imported,
    make_lerobot,
    make_video,
    picture,
    rows_of,
)

av = pytest.importorskip("av", reason="pip install 'bcclone[video]'")


def number_shown(result, index):
    """Return the number of the video's frame that a row shows, by its colour."""
    red, _, _ = color_shown(result.output, index)
    first_red, _, _ = color_of(0)
    second_red, _, _ = color_of(1)
    return round((red - first_red) / (second_red - first_red))


def numbers_shown(result):
    """Return the numbers of the video's frames that all rows show."""
    return [number_shown(result, index) for index in range(result.rows)]


def steering(index):
    return round(0.05 * (index - 8), 3)


def write_table(folder, rows, header="steering,throttle"):
    folder.mkdir(exist_ok=True)
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (folder / "drive.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_row_n_of_the_table_belongs_to_frame_n(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(tmp_path / "set", [(steering(n), 0.3) for n in range(20)])
    result = imported(tmp_path / "set", tmp_path / "out")
    assert result.format == "video"
    assert result.rows == 20
    assert result.seen.frame_rate == 20.0
    assert result.seen.size == (96, 64)
    rows = rows_of(result.output)
    assert rows["steering"].tolist() == [steering(n) for n in range(20)]
    assert rows["throttle"].tolist() == [0.3] * 20
    assert rows["time_ms"].diff().tolist()[1:] == [50] * 19
    assert numbers_shown(result) == list(range(20))


@pytest.mark.parametrize(
    ("rows", "without_record", "without_image", "named"),
    [(15, 5, 0, "drive.mp4"), (23, 0, 3, "drive.csv")],
)
def test_rows_without_times_are_of_a_film_of_their_length_or_have_numbers_of_frames(
    tmp_path, rows, without_record, without_image, named
):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(tmp_path / "set", [(steering(n), 0) for n in range(rows)])
    # all at once, and a column frame_index in its place
    assert asked(tmp_path / "set" / named) == {"--frame-rate": "times", "--film-offset": "film"}
    header = "frame_index,steering"
    write_table(tmp_path / "set", [(n, steering(n)) for n in range(rows)], header)
    result = imported(tmp_path / "set" / named, tmp_path / "out")
    assert result.rows == min(rows, 20)
    assert result.seen.images_without_record == without_record
    assert result.seen.records_without_image == without_image
    assert "film: a row of the table for the frame of its frame_index" in result.seen.notes


KEPT = [n for n in range(20) if n % 5 != 3]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("frame_index,steering", [(n, steering(n)) for n in KEPT]),
        ("steering", [(steering(n) if n in KEPT else "nan",) for n in range(20)]),
    ],
    ids=["deleted", "nan"],
)
def test_a_row_that_is_deleted_or_no_number_does_not_shift_those_after_it(tmp_path, header, rows):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(tmp_path / "set", rows, header)
    result = imported(tmp_path / "set", tmp_path / "out")
    assert rows_of(result.output)["steering"].tolist() == [steering(n) for n in KEPT]
    assert numbers_shown(result) == KEPT


@pytest.mark.parametrize("order", [KEPT, KEPT[::-1], range(20)])
def test_rows_with_times_that_number_their_frames_are_of_these(tmp_path, order):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    rows = [(n, f"{0.3 * n:.1f}", steering(n)) for n in order]
    write_table(tmp_path / "set", rows, "frame_index,time_s,steering")
    result = imported(tmp_path / "set", tmp_path / "out")
    read = rows_of(result.output)
    assert read["steering"].tolist() == [steering(n) for n in sorted(order)]
    assert read["time_ms"].tolist() == [300 * n for n in sorted(order)]
    assert numbers_shown(result) == sorted(order)


@pytest.mark.parametrize("number", ["inf", "1e999", "2.5"])
def test_a_frame_number_that_is_no_whole_number_is_refused_with_its_row(tmp_path, number):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    rows = [(number if n == 7 else n, steering(n)) for n in range(20)]
    write_table(tmp_path / "set", rows, "frame,steering")
    with pytest.raises(UserError, match=r"drive\.csv: line 9: frame is .*expected .*; correct"):
        imported(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_frame_numbers_that_may_begin_after_the_first_frame_are_refused(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    write_table(tmp_path / "set", [(n, steering(n)) for n in range(3, 20)], "frame,steering")
    assert asked(tmp_path / "set") == {None: "frame numbers"}


@pytest.mark.parametrize(
    ("start", "factor", "offset"),
    [(0.0, 1, 0.0), (0.0, 1, 0.2), (1_700_000_000.0, 1000, 0.0), (1_700_000_000.0, 1000, -0.1)],
)
def test_a_table_of_times_gives_each_frame_the_values_at_its_time(tmp_path, start, factor, offset):
    make_video(tmp_path / "set" / "drive.mp4", count=20)  # 0 to 0.95 s
    rows = []
    for n in range(8):  # 0 to 0.7 s
        time = round((start + 0.1 * n) * factor, 3)
        rows.append((time, round(0.1 * n - 0.1, 2), 0.5))
    unit = "_ms" if factor == 1000 else ""
    write_table(tmp_path / "set", rows, f"time{unit},steering,throttle")
    assert asked(tmp_path / "set") == {"--film-offset": "film"}
    result = imported(tmp_path / "set", tmp_path / "out", film_offset=offset)
    seconds = [0.05 * n + offset for n in range(20)]
    seconds = [second for second in seconds if -0.11 < second < 0.81]  # 0.1 s around the rows
    assert result.rows == len(seconds)
    assert result.seen.images_without_record == 20 - len(seconds)
    table = rows_of(result.output)
    expected = [min(max(second, 0), 0.7) - 0.1 for second in seconds]
    assert table["steering"].tolist() == pytest.approx(expected, abs=1e-6)
    assert table["time_ms"][0] == round(1000 * (start + seconds[0]))


def test_as_many_rows_as_frames_are_paired_at_the_times_of_the_table(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20, rate=30)
    lines = [f"{n / 10:.1f},{steering(n)}" for n in range(20)]
    lines[4] = "0.4"  # a row that cannot be read, and one without a time, have frames, too
    lines[9] = ",0.09"
    (tmp_path / "set" / "drive.csv").write_text("\n".join(["time,steering", *lines]))
    result = imported(tmp_path / "set", tmp_path / "out")
    rows = rows_of(result.output)
    expected = [n for n in range(20) if n not in (4, 9)]
    assert rows["time_ms"].tolist() == [100 * n for n in expected]
    assert rows["steering"].tolist() == [steering(n) for n in expected]
    assert numbers_shown(result) == expected
    # not in the order of time
    (tmp_path / "set" / "drive.csv").write_text("\n".join(["time,steering", *reversed(lines)]))
    assert asked(tmp_path / "set") == {"--film-offset": "film"}


def test_rows_may_be_counted_from_the_first_frame(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    rows = [(f"tick {n}", steering(2 * n)) for n in range(10)]
    write_table(tmp_path / "set", rows, "time,steering")
    assert asked(tmp_path / "set") == {"--frame-rate": "no times", "--film-offset": "film"}
    result = imported(tmp_path / "set", tmp_path / "out", frame_rate=10, film_offset=0.0)
    expected = [steering(n) for n in range(19)] + [steering(18)]
    assert rows_of(result.output)["steering"].tolist() == pytest.approx(expected)
    (tmp_path / "set" / "drive.csv").write_text("steering\n" + "0.1\n" * 20)
    assert asked(tmp_path / "set", film_offset=1.0) == {"--frame-rate": "film of rows"}


def test_a_frame_between_rows_that_are_far_apart_gets_no_label(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=100)  # 5 s
    times = (0.0, 0.5, 1.0, 4.0, 4.5, 4.95)
    write_table(tmp_path / "set", [(time, 0.1) for time in times], "time,steering")
    result = imported(tmp_path / "set", tmp_path / "out", film_offset=0.0)
    # 1.15 to 3.85 s are without
    assert (result.rows, result.seen.images_without_record) == (45, 55)


def test_a_video_that_is_cut_short_gives_the_frames_before(tmp_path):
    path = make_video(tmp_path / "set" / "drive.mkv", count=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    rows = [(n, steering(n % 20)) for n in range(60)]
    write_table(tmp_path / "set", rows, "frame,steering")
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


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        pytest.param("libx264", "yuv420p", id="limited range"),
        pytest.param("mjpeg", "yuvj420p", id="full range"),
    ],
)
def test_a_frame_is_fitted_in_its_planes_as_in_rgb(tmp_path, codec, pix_fmt):
    import av

    noise = cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8), (640, 480))
    path = tmp_path / "drive.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width = 640
        stream.height = 480
        stream.pix_fmt = pix_fmt
        container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode())
    with open_video(path) as video:
        (frame,) = video.frames()
        assert frame.size == (640, 480)
        fitted = decode_jpeg(frame.stretched_jpeg())
        pixels = frame.pixels()
    expected = decode_jpeg(encode_jpeg(Framing.of(pixels).apply(pixels)))
    difference = np.abs(fitted.astype(int) - expected)
    assert difference.mean() < 2
    assert np.percentile(difference, 99) < 8


EPISODES = (12, 8)  # frames
CAMERA = "observation.images.front"


def make_set_with_a_video_for_each_episode(folder):
    """Write a data set whose camera is a video, as version 2 of LeRobot does."""
    gear = {"observation.gear": ["gear"]}
    make_lerobot(folder, EPISODES, step=0.05, rate=20, info={"chunks_size": 1}, **gear)
    for episode, count in enumerate(EPISODES):
        chunk = folder / "videos" / f"chunk-{episode:03d}"
        make_video(chunk / CAMERA / f"episode_{episode:06d}.mp4", count=count)
    return folder


def make_set_with_one_video(folder, missing=0):
    """Write a data set whose camera is a video, as version 3 of LeRobot does.

    missing: frames that the video lacks at its end
    """
    import pyarrow
    from pyarrow import parquet

    video_path = "clips/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    gear = {"observation.gear": ["gear"]}
    make_lerobot(folder, EPISODES, step=0.05, rate=20, info={"video_path": video_path}, **gear)
    count = sum(EPISODES) - missing
    make_video(folder / "clips" / CAMERA / "chunk-000" / "file-000.mp4", count=count)
    rows = []
    for episode, begin_seconds in enumerate((0.0, 0.6)):
        row = {"episode_index": episode, f"videos/{CAMERA}/from_timestamp": begin_seconds}
        row |= {f"videos/{CAMERA}/chunk_index": 0, f"videos/{CAMERA}/file_index": 0}
        rows.append(row)
    path = folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return folder


def test_the_cameras_of_a_lerobot_set_may_be_a_video_for_each_episode(tmp_path):
    folder = make_set_with_a_video_for_each_episode(tmp_path / "set")
    result = imported(folder, tmp_path / "out", straight=0.0)
    check_set(result, count=20)
    assert result.seen.records_without_image == 0
    assert numbers_shown(result) == [*range(12), *range(8)]


@pytest.mark.parametrize("missing", [0, 2])
def test_the_cameras_of_a_lerobot_set_may_be_one_video(tmp_path, missing):
    folder = make_set_with_one_video(tmp_path / "set", missing)
    result = imported(folder, tmp_path / "out", straight=0.0)
    check_set(result, count=20 - missing)
    assert result.seen.records_without_image == missing
    assert numbers_shown(result) == list(range(20 - missing))


def check_set(result, count):
    """Check what does not depend on the videos: `count` rows, the values of the first records."""
    assert result.format == "lerobot"
    assert result.rows == count
    assert result.seen.size == (96, 64)
    assert result.seen.columns_left_out == ("observation.gear",)
    rows = rows_of(result.output)
    first, second = EPISODES
    steering_of_records = [0.05 * n for n in (*range(first), *range(second))]
    assert rows["steering"].tolist() == pytest.approx(steering_of_records[:count])
    assert set(rows["throttle"]) == {0.5}


def add_frames(container, stream, count, size):
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(picture(index, size), format="rgb24")
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def make_streams(path, *streams):
    """Write a film of several streams, each of which is a number of frames and their size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        added = []
        for _, size in streams:
            stream = container.add_stream("libx264", rate=20)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            added.append(stream)
        for stream, (count, size) in zip(added, streams, strict=True):
            add_frames(container, stream, count, size)


def test_a_picture_on_a_cover_is_no_film(tmp_path):
    write_table(tmp_path / "set", [(steering(n), 0) for n in range(20)])
    make_streams(tmp_path / "set" / "drive.mp4", (1, (192, 128)), (20, (96, 64)))
    result = imported(tmp_path / "set", tmp_path / "out")
    assert (result.rows, result.seen.size) == (20, (96, 64))


def test_the_films_of_two_cameras_in_one_file_are_asked_about(tmp_path):
    write_table(tmp_path / "set", [(0.1, 0)])
    make_streams(tmp_path / "set" / "drive.mp4", (5, (96, 64)), (5, (96, 64)))
    with pytest.raises(UserError, match=r"2 videos.*ffmpeg -i .* -map 0:v:0"):
        imported(tmp_path / "set", tmp_path / "out")


@pytest.mark.parametrize("name", ["drive.m2ts", "drive.MP4", "drive.film"])
def test_a_film_is_known_by_its_content_whatever_its_name(tmp_path, name):
    folder = write_table(tmp_path / "set", [(steering(n), 0) for n in range(20)])
    written = make_video(folder / name.lower().replace("film", "mov"))
    written.rename(folder / name)
    result = imported(folder / name, tmp_path / "out")
    assert numbers_shown(result) == list(range(20))


@pytest.mark.parametrize(
    ("name", "codec", "command"),
    [
        ("drive.h264", "libx264", "ffmpeg -r RATE -i {0}.h264 {0}.mp4"),
        ("drive.gif", "gif", "ffmpeg -i {0}.gif {0}.mp4"),
    ],
)
def test_a_film_that_is_not_read_is_refused_with_the_command_that_converts_it(
    tmp_path, name, codec, command
):
    folder = write_table(tmp_path / "set", [(steering(n), 0) for n in range(20)])
    with av.open(str(folder / name), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height = 96, 64
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    for source in (folder, folder / name):
        with pytest.raises(UserError, match="in a form that is not read") as refused:
            imported(source, tmp_path / "out")
        assert command.format(folder / "drive") in str(refused.value)
    with pytest.raises(UserError, match="it is a video"):
        read_log(folder / name)


def test_a_folder_of_films_names_them_and_a_table_belongs_to_the_film_of_its_name(tmp_path):
    folder = write_table(tmp_path / "set", [(steering(n), 0) for n in range(20)])
    for name in ("drive.mp4", "lap2.mp4"):
        make_video(folder / name)
    with pytest.raises(UserError, match=r"2 videos, expected one.*drive.mp4, lap2.mp4"):
        imported(folder, tmp_path / "out")
    assert imported(folder / "drive.csv", tmp_path / "out").rows == 20
