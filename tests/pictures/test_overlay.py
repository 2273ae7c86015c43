"""Overlays draw the known values of a frame, and leave out unknown ones."""

from pathlib import Path

import numpy as np
import pytest

from bcclone.pictures.overlay import GREEN, ORANGE, SKY, WHITE, Overlay, TrackMap
from bcclone.pictures.recorded_run import FrameInfo, read_run
from bcclone.recording.run_tables import (
    ANSWERS,
    DRIVERS,
    HUMAN,
    MODEL,
    TRACE,
    DrivenBy,
    TracePoint,
)
from bcclone.simulator.track import load_track
from bcclone.system.errors import UserError
from tests.pictures.video_runs import make_known_run, name_of

FRAME = np.full((160, 320, 3), 90, np.uint8)


def overlay_of(run):
    return Overlay("run1", 640, (320, 160), run.infos, run.driver, run.track)


def knows(run, value):
    return any(getattr(info, value) is not None for info in run.infos)


def columns_of(picture, color):
    """Return the columns that have a pixel of a colour."""
    return np.flatnonzero((np.abs(picture.astype(int) - color).max(axis=2) < 3).any(axis=0))


@pytest.mark.parametrize("width", [320, 640])
def test_a_steering_bar_points_to_the_side_of_the_steering(width):
    for value in (-0.2, 0.2):
        info = FrameInfo(1.0, steering=value, speed_mph=20.0)
        overlay = Overlay("", width, (320, 160), [info], "sent", None, with_model=True)
        picture = overlay.draw(FRAME, info, -value)[-overlay.panel_height :]
        scale = max(width / 400, 1)
        after_label = round(70 * scale)  # the label is of a bar's colour, too
        for top, color, towards in ((27, SKY, value), (48, ORANGE, -value)):
            bar = picture[round(top * scale) : round((top + 14) * scale), after_label:]
            columns = columns_of(bar, color)
            middle = columns_of(bar[:2], WHITE)[0]
            assert len(columns) > 10
            assert np.sign(columns.mean() - middle) == np.sign(towards)


def test_run_data_holds_who_steered_a_run_and_a_simulated_recording(tmp_path, simulated_recording):
    run = read_run(make_known_run(tmp_path / "run1", 5))
    assert (run.driver, run.track) == ("sent", "lake")
    shown = [
        (info.steering, info.speed_mph, info.latency_ms, info.cross_track_m) for info in run.infos
    ]
    assert shown == [(0.2, 12.5, latency, 1.0) for latency in (1, 2, 3, 4, 5)]
    recording = read_run(simulated_recording)
    assert (recording.driver, recording.track) == ("expert", "lake")
    assert not knows(recording, "latency_ms")
    assert len(recording.infos) == 120
    assert max(abs(info.cross_track_m) for info in recording.infos) < 2


def test_a_person_who_took_over_is_shown_in_the_frames_of_the_take_over(tmp_path):
    run = make_known_run(tmp_path / "run1", 4)
    who = [DrivenBy(MODEL), DrivenBy(HUMAN, 1), DrivenBy(HUMAN, 1), DrivenBy(MODEL)]
    lines = [row.row(name_of(100 * number)) + "\n" for number, row in enumerate(who)]
    (run / DRIVERS.name).write_text(DRIVERS.header + "".join(lines))
    data = read_run(run)
    assert [info.taken_over for info in data.infos] == [False, True, True, False]
    overlay = overlay_of(data)
    by_model, by_person = (overlay.draw(FRAME, info) for info in data.infos[:2])
    assert (
        len(columns_of(by_person[-overlay.panel_height :], GREEN))
        > 10
        > len(columns_of(by_model, GREEN))
    )


def test_a_missing_row_or_table_leaves_out_its_values(tmp_path):
    run = make_known_run(tmp_path / "run1", 5)
    tables = {
        TRACE.name: ("cross_track_m", "place"),
        ANSWERS.name: ("latency_ms",),
        "driving_log.csv": ("steering", "speed_mph"),
    }
    for name in tables:
        lines = (run / name).read_text().splitlines(keepends=True)
        del lines[2 + (name != "driving_log.csv")]
        (run / name).write_text("".join(lines))
    data = read_run(run)
    known, unknown = data.infos[1:3]
    assert (known.steering, known.latency_ms, known.cross_track_m) == (0.2, 2.0, 1.0)
    assert (unknown.steering, unknown.speed_mph, unknown.latency_ms, unknown.cross_track_m) == (
        None,
    ) * 4
    overlay = overlay_of(data)
    assert overlay.draw(FRAME, unknown).shape == overlay.draw(FRAME, known).shape == (544, 640, 3)
    for name, gone in tables.items():
        (run / name).unlink()
        data = read_run(run)
        assert not any(knows(data, value) for value in gone)
    assert "steering and speed are left out" in data.notes[0]
    overlay = overlay_of(data)
    assert (overlay.panel_height, overlay.track_map) == (0, None)
    assert overlay.draw(FRAME, data.infos[2]).shape == (320, 640, 3)


def test_an_unknown_track_and_a_broken_table_are_refused(tmp_path):
    run = make_known_run(tmp_path / "run1", 3)
    (run / TRACE.name).write_text((run / TRACE.name).read_text().replace("lake", "moon"))
    with pytest.raises(
        UserError, match="trace.csv: no track 'moon'.*lake, mountain.*remove the file"
    ):
        overlay_of(read_run(run))
    (run / TRACE.name).write_text(
        (run / TRACE.name).read_text().replace("moon", "mountain", 1).replace("moon", "lake")
    )
    # a run on two tracks has no map
    assert read_run(run).track is None
    assert not knows(read_run(run), "place")
    (run / TRACE.name).write_text(f"{TRACE.header}x.jpg,0.1,lake,a,2,3\n")
    with pytest.raises(UserError, match="trace.csv.*line 2.*x_m.*'a'.*number.*remove"):
        read_run(run)


@pytest.mark.parametrize("road", ["random:7:length=200-250,hills=0", "bend.json"])
def test_a_drive_on_another_road_has_a_map_where_the_road_is_known(tmp_path, monkeypatch, road):
    monkeypatch.chdir(tmp_path)
    run = make_known_run(tmp_path / "run1", 3)
    points = [TracePoint(number / 10, road, 20.0 + number, 30.0, 0.1) for number in range(3)]
    rows = [point.row(name_of(100 * number)) for number, point in enumerate(points)]
    (run / TRACE.name).write_text(TRACE.header + "".join(f"{row}\n" for row in rows))
    if road.endswith(".json"):
        with pytest.raises(UserError, match="bend.json.*remove the file to leave out the map"):
            overlay_of(read_run(run))
        Path(road).write_text('{"points": [[20, 20, 8], [60, 60, 8], [60, 110, 10]]}')
    data = read_run(run)
    assert data.track == road
    overlay = overlay_of(data)
    assert overlay.track_map is not None
    assert overlay.draw(FRAME, data.infos[2]).shape[1] == 640


def blue_pixels(picture):
    return int((np.abs(picture.astype(int) - SKY).max(axis=2) < 40).sum())


def test_the_map_shows_the_driven_line_up_to_a_frame_and_the_car_there():
    track = load_track("lake")
    places = [track.point(along)[::2][:2] for along in range(0, 900, 2)]
    shown = TrackMap(track.line[:, [0, 2]], 130)
    pictures = []
    for number, place in enumerate(places):
        shown.drive(place)
        if number in (0, 150, 449):
            picture = np.zeros((130, 130, 3), np.uint8)
            shown.draw(picture, place)
            pictures.append(picture)
    blue = [blue_pixels(picture) for picture in pictures]
    assert blue[0] < blue[1] < blue[2]
    # each shows the car, in another place
    dots = [np.argwhere((picture == WHITE).all(axis=2)).mean(axis=0) for picture in pictures]
    assert min(np.abs(dots[0] - dots[1]).max(), np.abs(dots[1] - dots[2]).max()) > 10


def test_the_line_has_a_gap_where_the_car_was_set_back():
    road = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0]])
    counts = []
    for step_m in (3.0, 5.0):
        shown = TrackMap(road, 130)
        for place in (None, (20.0, 50.0), (20.0 + step_m, 50.0)):
            shown.drive(place)
        picture = np.zeros((130, 130, 3), np.uint8)
        shown.draw(picture, None)
        counts.append(blue_pixels(picture))
    assert counts[0] > 0 == counts[1]


@pytest.mark.parametrize("width", [640, 960])
def test_a_phone_that_shows_a_clip_347_pixels_wide_shows_its_labels_in_11(width):
    info = FrameInfo(1.0, steering=0.2, speed_mph=20.0, cross_track_m=0.1)
    overlay = Overlay("", width, (320, 160), [info], "sent", "lake", with_map=False)
    scale = width / 400
    label = overlay.draw(FRAME, info)[-overlay.panel_height :][: round(25 * scale)]
    label = label[:, : round(70 * scale)]
    ink = np.flatnonzero((label.min(axis=2) > 100).any(axis=1))
    of_size = 0.85  # from the top of a t to the bottom of a g
    assert (ink[-1] - ink[0] + 1) * 347 / width > of_size * 11
