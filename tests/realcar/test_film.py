"""A film without any steering becomes a recording with the steering that its frames show."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from bcclone.camera.framing import FRAMING_NAME, Framing, Lens, read_framing
from bcclone.camera.geometry import FOCAL_PX, rotation, simulated_camera
from bcclone.camera.images import encode_jpeg
from bcclone.diagnosis.check import check
from bcclone.editor.editor_page import Viewed
from bcclone.exchange.exchange_settings import FROM_MOTION, ImportSettings
from bcclone.exchange.recording_import import import_recording
from bcclone.realcar.film import import_film, stated_focal_mm
from bcclone.recording.log import read_log
from bcclone.recording.origin import ORIGIN_NAME
from bcclone.recording.run_tables import LEFT_OUT, MOTION
from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import SettingError
from tests.conftest import made_once
from tests.exchange.foreign_sources import (
    color_shown,
    make_frames,
    make_lerobot,
    make_tub,
    make_video,
    picture,
)
from tests.other_camera import seen_by

RATE = 15  # rows a second of the recorder


@pytest.fixture(scope="session")
def drive(tmp_path_factory):
    """The log of a drive in the simulator: 18 s, up to speed and through the first bends. Not to be
    changed.
    """
    settings = RecordSettings(laps=0.2, recoveries=0)
    return (
        made_once(tmp_path_factory, "filmed_lap", lambda folder: record(folder / "lake", settings))
        / "lake"
        / "driving_log.csv"
    )


def film_of(log, folder, change=lambda frame, row: frame):
    """Write the pictures of the centre camera, changed, into a folder; return their recorded
    steering.
    """
    folder.mkdir()
    rows = read_log(log).rows
    for row, name in enumerate(rows["center"]):
        frame = change(cv2.imread(str(log.parent / "IMG" / name)), row)
        cv2.imwrite(str(folder / f"{row:04d}.png"), frame)
    return rows["steering"].to_numpy()


def filmed(folder, target, rate=RATE, **settings):
    return import_film(
        ImportSettings(folder, target, steering=FROM_MOTION, frame_rate=rate, **settings)
    )


def upside_down(frame, row):
    return frame[::-1, ::-1]


def agreement(recording, steering):
    """Return correlation and slope of the estimated steering and the recorded one, both over half a
    second.
    """
    log = read_log(recording / "driving_log.csv")
    at = (log.rows["time_ms"].to_numpy() * RATE / 1000).astype(int)
    smooth = np.convolve(steering, np.ones(9) / 9, "same")[at]
    estimated = np.convolve(log.rows["steering"], np.ones(9) / 9, "same")
    return np.corrcoef(smooth, estimated)[0, 1], np.polyfit(smooth, estimated, 1)[0]


def test_a_film_shows_how_it_was_steered_and_what_cannot_be_told_is_left_out(drive, tmp_path):
    still = 60

    def change(frame, row):
        return np.zeros_like(frame) if row == 100 else frame

    steering = film_of(drive, tmp_path / "film", change)
    first = cv2.imread(str(tmp_path / "film" / "0000.png"))
    for row in range(still):
        # the car stands before it drives
        cv2.imwrite(str(tmp_path / "film" / f"0000_{row:02d}.png"), first)
    result = filmed(tmp_path / "film", tmp_path / "out")
    log = read_log(tmp_path / "out" / "driving_log.csv")
    assert len(log.rows) == result.rows == len(list((tmp_path / "out" / "IMG").iterdir()))
    files = {path.name for path in (tmp_path / "out").iterdir()}
    # and no frames that wait
    assert files == {"driving_log.csv", "IMG", MOTION.name, LEFT_OUT.name, ORIGIN_NAME}
    r, slope = agreement(tmp_path / "out", np.concatenate([np.zeros(still), steering]))
    assert r > 0.97
    assert slope == pytest.approx(1, abs=0.15)
    numbers = {*range(len(steering) + still)} - {*(log.rows["time_ms"] * RATE / 1000)}
    assert sum(number < still for number in numbers) > 0.9 * still
    assert still + 100 in numbers
    assert not log.deleted.size
    told = MOTION.read(tmp_path / "out", lambda cells: float(cells["error"]))
    assert sorted(told) == sorted(log.rows["center"])
    assert 0 < np.median(list(told.values())) < 0.05
    notes = " ".join(result.seen.notes)
    assert all(
        words in notes for words in ("the car stands", "nothing can be followed", "the simulator's")
    )
    assert result.seen.left + result.seen.straight + result.seen.right == pytest.approx(1)
    (report,) = check([str(tmp_path / "out")])
    assert "whether the steering is right" in " ".join(report.diagnosis.unknown)
    assert "the steering is estimated" in report.diagnosis.verdict
    assert "full steering" not in report.diagnosis.verdict
    assert report.diagnosis.figures["turn_correlation"] is None


def test_the_page_of_a_film_shows_its_lens_and_the_stretches_that_were_left_out(drive, tmp_path):
    film_of(drive, tmp_path / "film")
    pictures = sorted((tmp_path / "film").iterdir())
    for row in range(30):
        # the car stands before it drives
        shutil.copy(pictures[0], tmp_path / "film" / f"0000_{row:02d}.png")
    for path in pictures[120:]:
        path.unlink()
    filmed(tmp_path / "film", tmp_path / "out")
    rows = read_log(tmp_path / "out" / "driving_log.csv").rows
    reasons = LEFT_OUT.read(tmp_path / "out", lambda cells: cells["reason"])
    assert len(reasons) + len(rows) == 150
    assert not {*reasons} & {*rows["center"]}
    shown = Viewed(str(tmp_path / "out")).about()
    standing = shown["left_out"][0]
    assert standing["reason"] == "the car stands"
    assert standing["pictures"] > 20  # the last ones answer when the car drives already
    assert standing["first"] < standing["last"] < 0
    assert sum(stretch["pictures"] for stretch in shown["left_out"]) == len(reasons)
    assert shown["film_lens"] == {"degrees": pytest.approx(98.2, abs=0.1), "fisheye": False}


@pytest.mark.slow
def test_a_clock_in_the_picture_does_not_make_the_car_stand(drive, tmp_path):
    def with_clock(frame, row):
        text = f"2026-11-28 10:00:{row // RATE:02d}"
        for color, width in ((0, 3), (255, 1)):
            place = (10, 128)  # on the near ground
            cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (color,) * 3, width)
        return frame

    steering = film_of(drive, tmp_path / "film", with_clock)
    result = filmed(tmp_path / "film", tmp_path / "out")
    assert result.rows > 0.9 * len(steering)
    notes = " ".join(result.seen.notes)
    assert "masked" in notes
    assert "the car stands" not in notes
    r, slope = agreement(tmp_path / "out", steering)
    assert r > 0.97
    assert slope == pytest.approx(1, abs=0.15)


def over_the_ground(frame, row):
    """Return a frame with a plain ground, a bar across it, and a clock in the bar."""
    frame[66:] = cv2.addWeighted(frame[66:], 0.1, cv2.GaussianBlur(frame[66:], (0, 0), 6), 0.9, 0)
    frame[100:140] = 0
    text = f"10:00:{row // RATE:02d}"
    return cv2.putText(frame, text, (60, 132), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255,) * 3, 2)


@pytest.mark.slow
def test_where_a_clock_hides_the_ground_the_user_states_the_speed(drive, tmp_path):
    starting = 60  # pictures until the car has its usual speed
    steering = film_of(drive, tmp_path / "film", over_the_ground)[starting:]
    for path in sorted((tmp_path / "film").iterdir())[:starting]:
        path.unlink()
    with pytest.raises(UserError, match="scale of the steering is not known.*--speed MPH"):
        filmed(tmp_path / "film", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    usual_mph = float(read_log(drive).rows["speed_mph"].median())
    result = filmed(tmp_path / "film", tmp_path / "out", speed_mph=usual_mph)
    assert result.rows > 0.6 * len(steering)
    r, slope = agreement(tmp_path / "out", steering)
    assert r > 0.9
    assert slope == pytest.approx(1, abs=0.25)
    notes = " ".join(result.seen.notes)
    assert "not compared" in notes
    assert "times the speed of the far" not in notes


@pytest.mark.slow
@pytest.mark.parametrize("way", ["simulator", "fov", "narrower", "framing"])
def test_where_a_clock_is_masked_is_said_whatever_is_stated_of_the_camera(way, drive, tmp_path):
    camera = Framing(240, 160, lens=Lens(150.0, 66.0, 119.5))

    def change(frame, row):
        picture = frame if way == "simulator" else seen_by(camera, frame)
        text = f"10:00:{row // RATE:02d}"
        # at the lower edge, which the frames do not show with a lens that is said to be wider
        return cv2.putText(
            picture, text, (4, 157), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255,) * 3, 1, cv2.LINE_AA
        )

    film_of(drive, tmp_path / "film", change)
    said = {"simulator": {}, "fov": {"fov": 77.3}, "narrower": {"fov": 104.0}}
    if way == "framing":
        (tmp_path / "framing.json").write_text(camera.to_json())
        said["framing"] = {"framing": tmp_path / "framing.json"}
    notes = filmed(tmp_path / "film", tmp_path / "out", **said[way]).seen.notes
    (masked,) = (note for note in notes if note.startswith("masked"))
    assert "bottom (left" in masked
    assert "top" not in masked


def test_a_film_that_does_not_state_its_angle_of_view_asks_for_it(drive, tmp_path):
    camera = Framing(240, 160, lens=Lens(150.0, 66.0, 119.5))
    film_of(drive, tmp_path / "film", lambda frame, row: seen_by(camera, frame))
    with pytest.raises(UserError, match="say with --fov how many degrees") as refusal:
        filmed(tmp_path / "film", tmp_path / "out")
    assert "--steering from-motion" in str(refusal.value)
    assert "--fov 69" in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_a_film_of_a_standing_car_is_refused_with_the_reason(drive, tmp_path):
    (tmp_path / "film").mkdir()
    frame = cv2.imread(str(drive.parent / "IMG" / read_log(drive).rows["center"][50]))
    for row in range(30):
        cv2.imwrite(str(tmp_path / "film" / f"{row}.png"), frame)
    with pytest.raises(UserError, match="0 rows.*29 where the car stands"):
        filmed(tmp_path / "film", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_lens_that_the_user_knows_and_where_the_film_looks_make_the_framing(drive, tmp_path):
    camera = Framing(240, 160, lens=Lens(150.0, 66.0, 119.5))
    steering = film_of(drive, tmp_path / "film", lambda frame, row: seen_by(camera, frame))
    result = filmed(tmp_path / "film", tmp_path / "out", fov=77.32, camera_height_m=1.278)
    found = read_framing(tmp_path / "out" / FRAMING_NAME)
    assert (found.width, found.height, found.lens.focal_px) == (
        240,
        160,
        pytest.approx(150, abs=0.1),
    )
    assert (found.lens.horizon_row, found.lens.vanishing_column) == pytest.approx(
        (66, 119.5), abs=4
    )
    r, slope = agreement(tmp_path / "out", steering)
    assert r > 0.95
    assert slope == pytest.approx(1, abs=0.25)
    rows = read_log(tmp_path / "out" / "driving_log.csv").rows
    assert np.median(rows["speed_mph"]) == pytest.approx(
        np.median(read_log(drive).rows["speed_mph"]), rel=0.15
    )
    assert "focal length 150 px" in " ".join(result.seen.notes)


@pytest.mark.slow
@pytest.mark.parametrize(("change", "words"), [(upside_down, "upside down"), (None, "backwards")])
def test_a_film_the_wrong_way_round_is_refused(change, words, drive, tmp_path):
    film_of(drive, tmp_path / "film", *filter(None, [change]))
    if words == "backwards":
        paths = sorted((tmp_path / "film").iterdir())
        for number, path in enumerate(paths):
            path.rename(path.with_name(f"from_the_end_{len(paths) - number:04d}.png"))
    with pytest.raises(UserError, match=words):
        filmed(tmp_path / "film", tmp_path / "out")


@pytest.mark.parametrize("focal_mm", ["26", "-13"])
def test_the_angle_of_view_that_a_phone_writes_into_its_video_is_read(focal_mm, tmp_path):
    av = pytest.importorskip("av", reason="pip install 'bcclone[video]'")
    plain = make_video(tmp_path / "plain.mp4", count=3)
    with (
        av.open(str(plain)) as source,
        av.open(
            str(tmp_path / "phone.mov"), "w", options={"movflags": "use_metadata_tags"}
        ) as phone,
    ):
        phone.metadata["com.apple.quicktime.camera.focal_length.35mm_equivalent"] = focal_mm
        stream = phone.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                phone.mux(packet)
    expected = 26 if focal_mm == "26" else None
    assert stated_focal_mm(tmp_path / "phone.mov") == expected
    assert stated_focal_mm(plain) is None


@pytest.mark.slow
def test_pictures_that_repeat_do_not_make_the_car_stand_or_hurry(drive, tmp_path):
    steering = film_of(drive, tmp_path / "film")
    fourths = sorted((tmp_path / "film").iterdir())[3::4]
    for path in fourths:
        shutil.copy(path, path.with_stem(f"{path.stem}_again"))
    result = filmed(tmp_path / "film", tmp_path / "out", RATE * 1.25)
    notes = " ".join(result.seen.notes)
    assert f"{len(fourths)} where the picture repeats the one before" in notes
    assert agreement(tmp_path / "out", steering)[1] == pytest.approx(1, abs=0.15)


def turned(frame, yaw_rad, focal_px=180.0):
    """Return the view of a camera with a longer lens that looks to the right of a frame's."""
    rays, pixels = simulated_camera()
    middle = np.array([[1, 0, 159.5], [0, 1, 79.5], [0, 0, 1]])
    zoom = middle @ np.diag([FOCAL_PX / focal_px, FOCAL_PX / focal_px, 1.0]) @ np.linalg.inv(middle)
    matrix = pixels @ rotation(np.float64(yaw_rad), np.float64(0.0)) @ rays @ zoom
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(frame, matrix, (320, 160), flags=flags)


@pytest.mark.slow
@pytest.mark.parametrize(("degrees", "is_said"), [(9, True), (0, False)])
def test_a_camera_that_turns_in_the_car_is_said(degrees, is_said, drive, tmp_path):
    def panned(frame, row):
        return turned(frame, np.radians(degrees) * np.sin(2 * np.pi * row / 150))

    film_of(drive, tmp_path / "film", panned)
    notes = " ".join(filmed(tmp_path / "film", tmp_path / "out").seen.notes)
    assert ("does not turn as the car does" in notes) == ("careful" in notes) == is_said


@pytest.mark.slow
def test_rows_that_are_faster_than_any_car_are_left_out_with_the_reason(drive, tmp_path):
    film_of(drive, tmp_path / "film")
    result = filmed(tmp_path / "film", tmp_path / "out", camera_height_m=30.0)
    rows = read_log(tmp_path / "out" / "driving_log.csv").rows
    assert len(rows) == result.rows > 10
    reasons = LEFT_OUT.read(tmp_path / "out", lambda cells: cells["reason"]).values()
    assert sum("--camera-height" in reason for reason in reasons) > 10
    assert result.seen.steering_mean == pytest.approx(rows["steering"].mean(), abs=1e-4)
    for path in sorted((tmp_path / "film").iterdir())[:90]:
        path.unlink()
    with pytest.raises(UserError, match="shown in 0 rows.*--camera-height"):
        filmed(tmp_path / "film", tmp_path / "none", camera_height_m=100.0)


@pytest.mark.parametrize("kind", ["tub", "lerobot", "video", "frames", "named frames"])
def test_sources_of_other_programs_need_no_steering(kind, tmp_path):
    """Their own is not read, and neither is a table beside the pictures."""
    source = tmp_path / "source"
    if kind == "tub":
        make_tub(source, rows=12, **{"user/angle": None})
    elif kind == "lerobot":
        pytest.importorskip("pyarrow", reason="pip install 'bcclone[lerobot]'")
        make_lerobot(source, (5, 5), encode_jpeg(picture(0)), names=["x", "y"])
    elif kind == "video":
        make_video(source / "drive.mp4", count=12)
    else:
        names = [f"frame{n}" for n in range(12)]
        if kind == "named frames":
            names = [f"center_2026_11_27_10_00_00_{50 * n:03d}" for n in range(12)]
        make_frames(
            source,
            [f"{name}.jpg" for name in names],
            [("image", "steering"), ("frame0.jpg", "wrong")],
        )
    rate = 20 if kind == "frames" else None
    settings = ImportSettings(source, tmp_path / "out", steering=FROM_MOTION, frame_rate=rate)
    result = import_recording(settings)
    rows = read_log(tmp_path / "out" / "driving_log.csv").rows
    assert result.rows == len(rows) >= 8
    assert not rows["steering"].any()
    if kind not in ("tub", "lerobot"):
        assert rows["time_ms"].diff()[1:].tolist() == [50.0] * 11
        assert [round(color_shown(tmp_path / "out", row)[0] / 8) for row in range(3)] == [5, 6, 7]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"fov": 60.0}, "needs"),
        ({"steering": FROM_MOTION, "time_column": "t"}, "not read"),
        ({"steering": FROM_MOTION, "fov": 60.0, "framing": Path("framing.json")}, "both say"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(more, words):
    with pytest.raises(SettingError, match=words):
        ImportSettings(Path("film"), **more)
