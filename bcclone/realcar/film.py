"""A film of driving without steering -> a recording whose steering is what the film shows.

The first pictures show where the camera looks, then the whole film is read. A row's path is
measured in the frames around it (film_path.py), and a repeated picture or a stabilised film shows
in the whole drive. So the frames wait in a folder until the last one is read.
"""

import math
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.camera.framing import Framing, Lens, read_framing
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, decode_jpeg, resized
from bcclone.camera.vehicle import MPH, STEERING_LAG_SECONDS
from bcclone.dataset.answer import LEAST_CORRELATION
from bcclone.diagnosis.camera_faults import camera_pose
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.fixed_pixels import covered, find_fixed_pixels
from bcclone.diagnosis.heading import is_trusted
from bcclone.diagnosis.judging import noticeable_full_share
from bcclone.diagnosis.motion import ReadFrame, RecordingFigures
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import Row, Seen
from bcclone.exchange.formats import FORMATS, chosen_format
from bcclone.exchange.labelled_video import is_labelled_video, only_video
from bcclone.exchange.recording_import import (
    ImportResult,
    open_source,
    origin_of_import,
    result_of,
    write_recordings,
)
from bcclone.exchange.video_file import open_video
from bcclone.model.model_path import shipped_model
from bcclone.realcar.film_path import NO_SPEED, masked_words, measure_paths, steering_of_path
from bcclone.realcar.lens_search import answers_through, witness_of
from bcclone.recording.row import CAMERAS, NUMBERS, RANGES
from bcclone.system.arrays import BoolArray, evenly
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import NEW_FOLDER, new_folder, writes
from bcclone.system.progress import ProgressBar
from bcclone.system.settings import option_words
from bcclone.system.statistics import correlation

_LEAST_KEPT = 0.5  # smallest share of rows that show a steering; of a good film, most do
_, _FASTEST_MPH = RANGES["speed_mph"]


@writes(NEW_FOLDER)
def import_film(settings: ImportSettings) -> ImportResult:
    """Write a film as a recording, with the rows in which it shows how it was steered.

    Raises UserError as import_recording() does, and if the camera cannot be found, or no row shows
    a steering.
    """
    start = time.monotonic()
    format = chosen_format(settings)
    # the start of the film is read twice: the framing that makes its frames is found in them, and
    # its pictures would take gigabytes
    framing, height_m, fixed_pixels, notes = _find_camera(format, settings)
    notes += masked_words(fixed_pixels)
    seen = Seen(settings.min_throttle, {"frame_rate"} & set(FORMATS[format].options))
    with new_folder(settings.output) as folder:
        waiting = folder / "waiting"
        with open_source(format, settings, seen, framing) as rows:
            drives = _keep_frames(rows, waiting)
        seen.check(settings.source)

        steered: list[Row] = []
        hidden: dict[int, dict[int, str]] = {}
        for number, drive in drives.items():
            found, hidden[number], remarks = _steered(
                drive, framing, height_m, settings.speed_mph, not fixed_pixels.any()
            )
            steered += found
            notes += remarks
        if not steered and any(NO_SPEED in reasons.values() for reasons in hidden.values()):
            raise UserError(
                f"{settings.source}: the ground does not show how fast the car drives, so the "
                "scale of the steering is not known; say the car's usual speed with --speed MPH, "
                "or film a road with texture, and without writing across its lower half"
            )
        if not steered:
            raise UserError(
                f"{settings.source}: {notes[-1]}; film a car that drives, in daylight, on a road "
                "with texture"
            )
        seen.steering = [row.steering for row in steered]
        seen.notes += [*notes, *_warnings(seen.steering, sum(map(len, drives.values())))]
        origin = origin_of_import(format, settings)
        recordings = write_recordings(map(_with_frames, steered), folder, hidden, origin)
        shutil.rmtree(waiting)
    return result_of(format, settings, recordings, seen, start, has_estimates=True)


def _keep_frames(rows: Iterable[Row], folder: Path) -> dict[int, list[Row]]:
    """Write the frames of rows into a new folder; return each recording's rows, with paths.

    Rows that the source marks as deleted are left out.
    """
    folder.mkdir()
    drives: dict[int, list[Row]] = {}
    for row in rows:
        if row.deleted:
            continue
        folder_of_drive = folder / str(row.recording)
        folder_of_drive.mkdir(exist_ok=True)
        paths: dict[str, str] = {}
        for camera, jpeg in row.images.items():
            path = folder_of_drive / f"{camera}_{row.time_ms}.jpg"
            path.write_bytes(jpeg)
            paths[camera] = str(path)
        drives.setdefault(row.recording, []).append(replace(row, images=paths))
    return drives


def _with_frames(row: Row) -> Row:
    """Return a row with its frames in place of their paths."""
    images: dict[str, bytes] = {}
    for camera, name in row.images.items():
        path = Path(name)
        images[camera] = path.read_bytes()
        path.unlink()  # so that the disk need not hold all frames twice
    return replace(row, images=images)


def _steered(
    drive: Sequence[Row],
    framing: Framing | None,
    height_m: float | None,
    stated_mph: float | None,
    says_masked: bool,
) -> tuple[list[Row], dict[int, str], list[str]]:
    """Return the rows of a drive in which the frames show a steering, with it.

    Also returns the time of each other row, in milliseconds -> why it shows none; and notes on how
    good the steering is.
    """
    in_time = sorted(drive, key=attrgetter("time_ms"))
    paths, remarks = measure_paths(
        [row.time_ms for row in in_time],
        [row.images[CAMERAS[0]] for row in in_time],
        framing,
        height_m,
        stated_mph and stated_mph * MPH,
        says_masked,
    )
    rows: list[Row] = []
    hidden: dict[int, str] = {}
    for row, path in zip(in_time, paths, strict=True):
        if isinstance(path, str):
            hidden[row.time_ms] = path
            continue
        speed_mph = path.speed * height_m / MPH if height_m else row.speed_mph
        if speed_mph > _FASTEST_MPH:
            hidden[row.time_ms] = "the speed is beyond that of any car: correct --camera-height"
            continue
        steering = steering_of_path(path.curvature, height_m)
        rows.append(replace(row, steering=steering, speed_mph=speed_mph, path=path))
    counts = [f"{count} where {why}" for why, count in Counter(hidden.values()).most_common()]
    left_out = f"; left out: {', '.join(counts)}" if counts else ""
    return rows, hidden, [*remarks, f"steering: shown in {len(rows)} rows{left_out}"]


def _warnings(steering: Sequence[float], rows: int) -> Iterator[str]:
    """Yield what is suspicious about the steering of those rows of a film that show it."""
    share = len(steering) / rows
    if share < _LEAST_KEPT:
        yield (
            f"careful: {share:.0%} of the rows show a steering, expected most: is the film upright "
            "and clear?"
        )
    if full := noticeable_full_share(np.array(steering)):
        yield (
            f"careful: {full:.0%} of the rows have full steering: sharper bends than the "
            "simulator's, or a wrong --fov or --speed"
        )


# ---- the camera. The focus of expansion shows where it looks: the point away from which all points
# of the picture move when the car drives straight on. The focal length follows from the angle of
# view that the user or the file states, on whose square the scale of the steering depends: the film
# itself hardly shows it. A network that knows many cameras tells how well it reads the road so

_FIRST_ROWS = 3000  # rows from the start of a film that are read; their frames fit into memory
_FEWEST_ROWS = 10  # a drive with fewer pictures is an error
_FISHEYE_DEGREES = 110.0  # a lens with a wider angle of view counts as a fisheye
_WITNESS = "any-camera.h5"  # file of the network that knows many cameras
_WITNESS_PICTURES = 160  # most pictures of the film that this network answers


def _find_camera(
    format: str, settings: ImportSettings
) -> tuple[Framing | None, float | None, BoolArray, list[str]]:
    """Return the camera's framing and height, the pixels that stand still, and notes on these.

    The framing is None for the simulator's camera, the height in metres if it is unknown. Which
    pixels of the whole picture stand still is (160, 320). Raises UserError for a
    film that shows no drive, or the wrong way round.
    """
    known = read_framing(settings.framing) if settings.framing else None
    rows, stretched = _first_drive(format, settings)

    def read_frame(row: int) -> Image:
        return decode_jpeg(rows[row].images[CAMERAS[0]])

    # what stands still is looked for in the whole picture, of which the frames may show a part
    fixed_pixels = find_fixed_pixels(read_frame, len(rows))
    if len(rows) < _FEWEST_ROWS:
        raise UserError(
            f"{settings.source}: {len(rows)} pictures, expected {_FEWEST_ROWS} or more of a drive"
        )
    evidence = _evidence_of(rows, lambda row: covered(read_frame(row), fixed_pixels))
    pose = list(camera_pose(evidence))
    for finding in pose:
        if not finding.usable:
            raise UserError(f"{settings.source}: {finding.text}; {finding.remedy}")
    if known:
        return known, settings.camera_height_m, fixed_pixels, []
    # pictures of the size of frames are taken for the simulator's, unless the user says otherwise
    if stretched is None and not settings.fov:
        note = "camera: the simulator's, whose pictures have 320x160 pixels, too; for another one "
        note += "say --fov DEGREES"
        return None, settings.camera_height_m or HEIGHT_M, fixed_pixels, [note]
    framing = _framing_of(evidence, stretched or Framing(FRAME_WIDTH, FRAME_HEIGHT), settings)
    words = f"camera: {framing.describe()}"
    if not settings.fov:
        words += "; its angle of view is the file's, and less if the picture is cropped"
    for finding in pose:
        words += f"; careful: {finding.text}"
    note = f"{words}; {_agreement(evidence, framing)}"
    return framing, settings.camera_height_m, fixed_pixels, [note]


def _first_drive(format: str, settings: ImportSettings) -> tuple[list[Row], Framing | None]:
    """Return the longest drive in the first rows of a film, in order of time, as stretched frames.

    Also returns the framing by which most of them were stretched; None if they had the size of
    frames already.
    """
    seen = Seen(settings.min_throttle)
    drives: dict[int, list[Row]] = {0: []}
    with open_source(format, settings, seen, first=_FIRST_ROWS) as rows:
        for row in rows:
            if row.framing and not settings.framing and not any(drives.values()):
                # the user is asked at the first picture, before thousands are read and measured
                _angle_of_view(row.framing, settings)
            if not row.deleted:
                drives.setdefault(row.recording, []).append(row)
    seen.check(settings.source)
    longest = max(drives.values(), key=lambda drive: len(drive))
    longest.sort(key=attrgetter("time_ms"))
    framings = Counter(row.framing for row in longest if row.framing)
    return longest, max(framings, key=lambda framing: framings[framing], default=None)


def _evidence_of(rows: Sequence[Row], read_frame: ReadFrame) -> Evidence:
    """Return what the frames of rows show. read_frame: index of a row -> its frame"""
    figures = RecordingFigures(len(rows))
    with ProgressBar("finding where the camera looks", len(rows), "rows") as progress:
        for row in range(len(rows)):
            figures.add({CAMERAS[0]: read_frame(row)})
            progress.advance(1)
    table = pd.DataFrame({"line": range(1, len(rows) + 1)})
    for name in ("time_ms", *NUMBERS):
        table[name] = [getattr(row, name) for row in rows]
    none_deleted = table[:0]
    return Evidence(DriveRows.of(table, none_deleted), figures, read_frame)


def _framing_of(evidence: Evidence, stretched: Framing, settings: ImportSettings) -> Framing:
    """Return the framing of a film; raises UserError where it does not show where the camera looks.

    stretched: the framing that stretches the film's pictures to frames; it has their size
    """
    heading = evidence.heading
    if heading is None or not is_trusted(heading):
        raise UserError(
            f"{settings.source}: its first {_FIRST_ROWS} pictures do not show where the camera "
            "looks; film some minutes that begin on a straight road with texture, or give the "
            "camera's framing with --framing FILE"
        )
    degrees = _angle_of_view(stretched, settings)
    fisheye = degrees > _FISHEYE_DEGREES
    half = math.radians(degrees / 2)
    lens = Lens(
        # the focal length with which the width of a picture is seen at this angle
        focal_px=stretched.width / 2 / (half if fisheye else math.tan(half)),
        # from pixels of a frame to pixels of a picture; + 0.5: a pixel's number is its middle
        horizon_row=(heading.row + 0.5) * stretched.height / FRAME_HEIGHT - 0.5,
        vanishing_column=(heading.column + 0.5) * stretched.width / FRAME_WIDTH - 0.5,
        fisheye=fisheye,
    )
    return Framing(stretched.width, stretched.height, lens=lens)


def _angle_of_view(stretched: Framing, settings: ImportSettings) -> float:
    """Return the degrees that a film's camera sees from the left to the right edge.

    They are the user's, or else those that the file states, or else UserError asks for them.
    """
    if settings.fov:
        return settings.fov
    focal_mm = stated_focal_mm(settings.source, settings.follow_links)
    if focal_mm is None:
        command = shown_command("import", settings.source, *option_words(settings), "--fov")
        raise UserError(
            f"{settings.source}: the film does not state its angle of view; say with --fov how "
            "many degrees the camera sees from the left to the right edge; docs/how-to/film.md "
            f"lists usual cameras; for the main camera of a phone: {command} 69"
        )
    # a stated focal length is for a film of 36 mm; a picture that is higher than wide shows less of
    # its width
    half_mm = 18 * min(1.0, stretched.width / stretched.height)
    return math.degrees(2 * math.atan(half_mm / focal_mm))


def stated_focal_mm(source: Path, follow_links: bool = False) -> float | None:
    """Return the focal length that a video states, for film of 36x24 mm; None for none."""
    if not is_labelled_video(source):
        return None
    with open_video(only_video(ImportSettings(source, follow_links=follow_links))) as video:
        return video.focal_mm


def _agreement(evidence: Evidence, framing: Framing) -> str:
    """Return in words how well a network reads the road through a framing.

    Its steering is compared with the camera's turns a moment later, when the car answers.
    """
    rows = evenly(len(evidence.rows), _WITNESS_PICTURES)
    # the frames get back the proportions of the film's pictures
    size = (FRAME_WIDTH, round(FRAME_WIDTH * framing.height / framing.width))
    pictures = []
    for row in rows.tolist():
        frame = evidence.read_frame(row)
        assert frame is not None
        pictures.append(resized(frame, size))
    answers = answers_through(framing, pictures, witness_of(shipped_model(_WITNESS)))
    later = evidence.rows.seconds[rows] + STEERING_LAG_SECONDS
    turns = np.interp(later, evidence.rows.middles, evidence.signals.rate)
    r = correlation(answers, turns) or 0.0
    words = f"{_WITNESS} steers as the camera turns (r {r:.2f})"
    if r >= LEAST_CORRELATION:
        return words
    return (
        f"careful: {words}, expected {LEAST_CORRELATION} or more: the angle of view may be wrong, "
        "or the road unlike those that the network knows"
    )
