"""A frame of a film gets the row of its own moment, whatever the times of the film are worth.

The film looks at a long picture, along which the camera turns as the table steers.
"""

import re
from fractions import Fraction

import cv2
import numpy as np
import pytest

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.recording_import import import_recording
from bcclone.system.errors import UserError
from bcclone.system.settings import SettingError
from tests.exchange.foreign_sources import imported, make_video, rows_of

av = pytest.importorskip("av", reason="pip install 'bcclone[video]'")

WIDTH, HEIGHT = 160, 80  # pixels of the film
SECONDS = 32.0  # of the drive
TICKS = np.arange(0, SECONDS + 20, 0.01)
RNG = np.random.default_rng(3)
BENDS = np.interp(TICKS, np.arange(0, SECONDS + 22, 2), RNG.uniform(-0.8, 0.8, 27))
PLACES = np.cumsum(BENDS) * 0.01 * 100  # pixels along the long picture
LONG = cv2.resize(RNG.integers(0, 256, (20, 500, 3), np.uint8), (4000, HEIGHT))


def steering(seconds):
    return np.interp(seconds, TICKS, BENDS)


def film_of(path, seconds, rate, turns=True):
    """Write a film with a frame for each of some moments of the drive, at a nominal rate."""
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(rate))
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuv420p"
        for second in seconds:
            left = 2000 + turns * int(np.interp(second, TICKS, PLACES))
            picture = np.ascontiguousarray(LONG[:, left : left + WIDTH])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def table_of(folder, seconds, start=1_700_000_000.0):
    """Write a table with a row for each of some moments of the drive."""
    lines = [f"{start + second:.3f},{steering(second):.4f}" for second in seconds]
    (folder / "drive.csv").write_text("\n".join(["timestamp,steering", *lines]) + "\n")


def check_steering(result, seconds, most=0.05):
    """Check that each row has the steering of its frame's moment, which `seconds` are."""
    rows = rows_of(result.output)
    assert len(rows) == len(seconds)
    assert np.abs(rows["steering"] - steering(seconds)).max() < most


TRUE = np.arange(0, SECONDS, 0.08)  # 12.5 frames a second


def test_as_many_rows_as_frames_are_paired_at_the_times_of_the_table(tmp_path):
    film_of(tmp_path / "set" / "drive.avi", TRUE, rate=30)
    table_of(tmp_path / "set", TRUE)
    result = imported(tmp_path / "set", tmp_path / "out")
    check_steering(result, TRUE, most=1e-4)
    assert set(rows_of(result.output)["time_ms"].diff()[1:]) == {80}
    assert "a row of the table for each frame" in " ".join(result.seen.notes)


def test_a_row_that_cannot_be_read_and_one_without_time_have_frames_too(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20, rate=30)
    lines = [f"{n / 10:.1f},{n / 100}" for n in range(20)]
    lines[4] = "0.4"
    lines[9] = ",0.09"
    (tmp_path / "set" / "drive.csv").write_text("\n".join(["time,steering", *lines]))
    rows = rows_of(imported(tmp_path / "set", tmp_path / "out").output)
    expected = [n for n in range(20) if n not in (4, 9)]
    assert rows["time_ms"].tolist() == [100 * n for n in expected]
    assert rows["steering"].tolist() == [n / 100 for n in expected]


def test_rows_that_are_not_in_order_of_time_are_paired_in_that_order(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20, rate=30)
    lines = [f"{n / 10:.1f},{n / 100}" for n in RNG.permutation(20)]
    (tmp_path / "set" / "drive.csv").write_text("\n".join(["time,steering", *lines]))
    rows = rows_of(imported(tmp_path / "set", tmp_path / "out").output)
    assert rows["steering"].tolist() == [n / 100 for n in range(20)]


@pytest.mark.parametrize(
    ("rows", "rate", "words"),
    [
        # a sensor that is faster than the camera, over the whole film
        (np.arange(0, SECONDS, 0.02), 30, "spread evenly over the table"),
        # the film ends before the table
        (np.arange(0, SECONDS + 2, 0.08), 30, "a row of the table for each frame"),
        # the film's times are right, and the table is longer
        (np.arange(0, SECONDS + 15, 0.05), Fraction(25, 2), "the first frame is at"),
    ],
    ids=["spread", "rows", "film"],
)
def test_the_turns_of_the_film_tell_which_times_are_right(tmp_path, rows, rate, words):
    film_of(tmp_path / "set" / "drive.avi", TRUE, rate)
    table_of(tmp_path / "set", rows)
    result = imported(tmp_path / "set", tmp_path / "out")
    check_steering(result, TRUE)
    assert words in " ".join(result.seen.notes)


@pytest.mark.parametrize("start", [0.0, 1_700_000_000.0])
@pytest.mark.parametrize("offset", [4.0, -3.0])
def test_an_offset_between_film_and_table_is_proposed_and_can_be_said(tmp_path, offset, start):
    film_begins, table_begins = max(offset, 0), max(-offset, 0)
    filmed = np.arange(film_begins, SECONDS, 0.08)
    film_of(tmp_path / "set" / "drive.avi", filmed, Fraction(25, 2))
    logged = np.arange(table_begins, SECONDS + 5, 0.05)
    lines = [f"{start + t - table_begins:.3f},{steering(t):.4f}" for t in logged]
    (tmp_path / "set" / "drive.csv").write_text("\n".join(["time,steering", *lines]))
    with pytest.raises(UserError, match="say --film-offset ") as refused:
        imported(tmp_path / "set", tmp_path / "out")
    proposed = float(re.search(r"--film-offset (-?[\d.]+)", str(refused.value))[1])
    assert proposed == pytest.approx(offset, abs=0.1)
    result = imported(tmp_path / "set", tmp_path / "out", film_offset=offset)
    # the frames before the table have no row; a frame shortly before it may have one
    assert result.rows - np.sum(filmed >= table_begins) in (0, 1)
    check_steering(result, filmed[-result.rows :], most=0.1)
    as_it_is = imported(tmp_path / "set", tmp_path / "same", film_offset=0.0)
    assert "the first frame is at" in " ".join(as_it_is.seen.notes)


def test_times_that_the_pictures_do_not_tell_are_asked_for(tmp_path):
    film_of(tmp_path / "set" / "drive.avi", TRUE, rate=30, turns=False)
    table_of(tmp_path / "set", np.arange(0, SECONDS + 1, 0.08))
    with pytest.raises(UserError, match="do not show which times are right .*--film-times rows"):
        imported(tmp_path / "set", tmp_path / "out")
    by_rows = imported(tmp_path / "set", tmp_path / "rows", film_times="rows")
    check_steering(by_rows, TRUE, most=1e-4)
    by_film = imported(tmp_path / "set", tmp_path / "film", film_times="film")
    check_steering(by_film, np.arange(len(TRUE)) / 30, most=0.01)
    spread = imported(tmp_path / "set", tmp_path / "spread", film_times="spread")
    check_steering(spread, np.linspace(0, SECONDS + 0.96, len(TRUE)), most=0.01)


def test_settings_of_a_films_times_that_change_nothing_are_refused(tmp_path):
    make_video(tmp_path / "set" / "drive.mp4", count=20)
    (tmp_path / "set" / "drive.csv").write_text("steering\n" + "0.1\n" * 20)
    with pytest.raises(UserError, match="it has no times, .*leave out --film-times"):
        imported(tmp_path / "set", tmp_path / "out", film_offset=1.0)
    with pytest.raises(SettingError, match="for the film's own times"):
        import_recording(ImportSettings(tmp_path, film_times="rows", film_offset=1.0))
