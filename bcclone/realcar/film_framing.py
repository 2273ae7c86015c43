"""The first pictures of a film -> the framing of its camera.

The focus of expansion shows where the camera looks: it is the point away from which all points of
the picture move when the car drives straight on. The focal length is the user's, or that of the
file; otherwise the bends of the film show it (film_focal.py), or the user is asked. A network that
knows many cameras, the witness, is asked how well it reads the road through that lens.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd

from bcclone.camera.framing import Framing
from bcclone.camera.framing_files import read_framing
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, decode_jpeg
from bcclone.camera.lens import Lens
from bcclone.camera.vehicle import STEERING_LAG_SECONDS
from bcclone.diagnosis.bends import turn_rate
from bcclone.diagnosis.camera_faults import camera_pose
from bcclone.diagnosis.evidence import DriveEvidence
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.frame_figures import ReadFrame, RecordingFigures
from bcclone.diagnosis.heading import is_trusted
from bcclone.diagnosis.overlay import find_overlay, without_overlay
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.exchange.driving_direction import SeenThrottles, throttle_rule
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_row import ExchangedRow
from bcclone.exchange.formats import Format
from bcclone.exchange.framed_rows import FramedRow
from bcclone.exchange.labelled_video import stated_focal_mm
from bcclone.exchange.left_out import Tally
from bcclone.exchange.recording_import import open_source
from bcclone.model.shipped_models import shipped_model
from bcclone.realcar.film_focal import FocalEstimate, estimate_focal
from bcclone.realcar.framing_search import (
    LEAST_CORRELATION,
    MAX_TRIALS,
    FramingSearch,
    Trial,
    witness_of,
)
from bcclone.realcar.labelled_pictures import LabelledPictures
from bcclone.recording.row import CAMERAS, NUMBERS
from bcclone.system.errors import UserError
from bcclone.system.opencv import resized
from bcclone.system.progress import ProgressBar
from bcclone.system.statistics import evenly

_FIRST_ROWS = 3000  # rows from the start of a film that are read; their frames fit into memory
_FEWEST_ROWS = 10  # a drive with fewer pictures is an error
_WITNESS = "any-camera.h5"  # file of the network that knows many cameras
_WITNESS_PICTURES = 160  # most pictures of the film that this network answers
_FISHEYE_DEGREES = 110.0  # a lens with a wider angle of view counts as a fisheye


@dataclass(frozen=True)
class FilmCamera:
    """The camera of a film."""

    framing: Framing | None  # how its pictures become frames; None for the simulator's camera
    height_m: float | None  # height above the road; None if it is unknown
    note: str  # how the framing was found; "" if the user gave it


def find_camera(
    format: Format, settings: ImportSettings, throttles: SeenThrottles | None
) -> FilmCamera:
    """Return the camera of a film: by the user's settings, else by what the film shows.

    Raises UserError as _find_framing() does.

    throttles: as in throttle_rule()
    """
    if settings.framing:
        return FilmCamera(read_framing(settings.framing), settings.camera_height_m, "")
    drive = _first_drive(format, settings, throttles)
    framing, words = _find_framing(drive, settings)
    height_m = settings.camera_height_m
    if framing is None and height_m is None:
        height_m = HEIGHT_M
    return FilmCamera(framing, height_m, f"camera: {words}")


def _find_framing(drive: "_FirstDrive", settings: ImportSettings) -> tuple[Framing | None, str]:
    """Return the framing of a film's camera, None for the simulator's, and how it was found.

    Raises UserError for a film that shows no drive, or the wrong way round, and where nothing tells
    the focal length.
    """
    evidence = drive.evidence()
    pose = list(camera_pose(evidence))
    for finding in pose:
        if not finding.usable:
            raise UserError(f"{settings.source}: {finding.text}; {finding.remedy}")
    # pictures of the size of frames are taken for the simulator's, unless the user says otherwise
    if drive.stretched is None and not settings.fov:
        return (
            None,
            "the simulator's, whose pictures have 320x160 pixels, too; for another one say "
            "--fov DEGREES",
        )
    stretched = drive.stretched or Framing(FRAME_WIDTH, FRAME_HEIGHT)
    return _lens_of(drive, evidence, pose, stretched, settings)


# ---- the first pictures


@dataclass(frozen=True)
class _FirstDrive:
    """The first rows of a film, in order of time; their pictures are stretched to frames."""

    rows: list[ExchangedRow]  # rows that count
    deleted: list[ExchangedRow]  # rows that the source marks as deleted
    # the framing by which most pictures became frames; None if all had the size of frames already
    stretched: Framing | None

    @cached_property
    def read(self) -> ReadFrame:
        """Return a function that reads the frame of a row, by its index, without writing in it."""
        return without_overlay(self._read_frame, find_overlay(self._read_frame, len(self.rows)))

    def _read_frame(self, row: int) -> Image:
        return decode_jpeg(self.rows[row].images[CAMERAS[0]])

    def evidence(self) -> DriveEvidence:
        """Return what the frames show."""
        figures = RecordingFigures(len(self.rows))
        label = "finding where the camera looks"
        with ProgressBar(label, len(self.rows), "rows") as progress:
            for row in range(len(self.rows)):
                figures.add({CAMERAS[0]: self.read(row)})
                progress.advance(1)
        rows = RecordedRows.of_tables(_table(self.rows), _table(self.deleted))
        return DriveEvidence(rows, figures, self.read)


def _table(rows: Sequence[ExchangedRow]) -> pd.DataFrame:
    """Return rows as the table of a log."""
    table = pd.DataFrame({"line": range(1, len(rows) + 1)})
    for name in ("time_ms", *NUMBERS):
        table[name] = [getattr(row, name) for row in rows]
    return table


def _first_drive(
    format: Format, settings: ImportSettings, throttles: SeenThrottles | None
) -> _FirstDrive:
    """Return the longest drive in the first rows of a film; raises UserError if it is too short."""
    rule = throttle_rule(settings.min_throttle, throttles, framing=None)
    tally = Tally(rule)
    drives: dict[int, list[FramedRow]] = {}
    with open_source(format, settings, rule, first=_FIRST_ROWS) as items:
        for framed in tally.counted(items):
            drives.setdefault(framed.row.recording, []).append(framed)
    tally.check(settings.source)
    longest = max(map(_drive_of, drives.values()), key=lambda drive: len(drive.rows))
    if len(longest.rows) < _FEWEST_ROWS:
        raise UserError(
            f"{settings.source}: {len(longest.rows)} pictures, expected {_FEWEST_ROWS} or more of "
            "a drive"
        )
    return longest


def _drive_of(rows: Sequence[FramedRow]) -> _FirstDrive:
    """Return the drive of one recording of the film.

    A row with the time of a deleted row counts as deleted, too.
    """
    framings = Counter(framed.framing for framed in rows if framed.framing)
    most = framings.most_common(1)
    stretched = most[0][0] if most else None
    in_time = sorted((framed.row for framed in rows), key=attrgetter("time_ms"))
    deleted_ms = {row.time_ms for row in in_time if row.deleted}
    return _FirstDrive(
        rows=[row for row in in_time if row.time_ms not in deleted_ms],
        deleted=[row for row in in_time if row.time_ms in deleted_ms],
        stretched=stretched,
    )


# ---- the lens


def _lens_of(
    drive: _FirstDrive,
    evidence: DriveEvidence,
    pose: Sequence[Finding],
    stretched: Framing,
    settings: ImportSettings,
) -> tuple[Framing, str]:
    """Return the framing of a film, and how it was found; raises UserError.

    evidence: what the frames of the drive show
    pose: what camera_pose() finds in it
    stretched: the framing that stretches the film's pictures to frames; it has their size
    """
    looks, words = _known_direction(evidence, stretched)
    focal, focal_words = _known_focal(drive, evidence, stretched, settings)
    known = looks | focal
    words += focal_words
    for finding in pose:
        words += f"; careful: {finding.text}"
    # where the camera looks is searched for if the film does not show it; otherwise one lens is
    # tried, to see how it agrees
    search_all = "horizon_row" not in known
    trials = MAX_TRIALS if search_all else 1
    with ProgressBar("comparing it with a network", trials, "framings") as progress:
        witness = witness_of(shipped_model(_WITNESS))
        pictures = _turning_pictures(drive, evidence, stretched)
        search = FramingSearch(witness, pictures, progress.advance)
        trial = _trial(search, known, stretched)
    agrees = f"{_WITNESS} steers as the camera turns (r {trial.correlation:.2f})"
    is_read = trial.correlation >= LEAST_CORRELATION
    if search_all and not is_read:
        raise UserError(
            f"{settings.source}: through no lens {agrees}, expected {LEAST_CORRELATION} or more: "
            "film some minutes, with bends to both sides; or give a known --framing FILE"
        )
    if search_all:
        agrees = f"where it looks is a guess, with which {agrees}"
    elif not is_read:
        agrees = (
            f"careful: {agrees}, expected {LEAST_CORRELATION} or more: the angle of view may be "
            "wrong, or the road unlike those that the network knows"
        )
    return trial.framing, f"{trial.framing.describe()}{words}; {agrees}"


def _trial(search: FramingSearch, known: Mapping[str, Any], stretched: Framing) -> Trial:
    """Return the trial of the known lens, or of the best lens if not all of it is known.

    known: values of Lens that stay as they are, by name
    stretched: as in _lens_of()
    """
    if {"focal_px", "horizon_row"} <= known.keys():
        return search.attempt(Framing(stretched.width, stretched.height, lens=Lens(**known)))
    return search.find(known)


def _known_direction(evidence: DriveEvidence, stretched: Framing) -> tuple[dict[str, float], str]:
    """Return where a camera looks, values of Lens by name, and words that say whence it is known.

    stretched: as in _lens_of()
    """
    heading = evidence.heading
    if heading is None or not is_trusted(heading):
        return {}, ""
    # from pixels of a frame to pixels of a picture; + 0.5: a pixel's number is its middle
    looks = {
        "vanishing_column": (heading.column + 0.5) * stretched.width / FRAME_WIDTH - 0.5,
        "horizon_row": (heading.row + 0.5) * stretched.height / FRAME_HEIGHT - 0.5,
    }
    return looks, "; it looks where all points that it passes come from"


def _known_focal(
    drive: _FirstDrive, evidence: DriveEvidence, stretched: Framing, settings: ImportSettings
) -> tuple[dict[str, Any], str]:
    """Return a camera's focal length, as values of Lens by name, and words that say its source.

    The user's counts most, then that of the file, then what the bends show. Raises UserError, which
    asks the user, if the bends show it too inexactly.

    stretched: as in _lens_of()
    """
    width = stretched.width
    with ProgressBar("finding the angle of view", 1, "film") as progress:
        shown = estimate_focal(evidence, drive.read, width, stretched.height)
        progress.advance(1)
    fov = settings.fov
    words = ""
    focal_mm = None if fov else stated_focal_mm(settings.source)
    if focal_mm:
        # a stated focal length is for a film of 36 mm; a picture that is higher than wide shows
        # less of its width
        half_mm = 18 * min(1.0, width / stretched.height)
        fov = math.degrees(2 * math.atan(half_mm / focal_mm))
        words = (
            f"; its angle of view, {fov:.0f} degrees, is the file's, and less if the picture is "
            "cropped"
        )
    if not fov:
        if shown is None or not shown.is_sure:
            raise _angle_is_unknown(shown, settings)
        words = f"; its angle of view is what its bends show: {_degrees_shown(shown)}"
        return {"focal_px": shown.focal_px(width), "fisheye": shown.fisheye}, words
    half = math.radians(fov / 2)
    fisheye = fov > _FISHEYE_DEGREES
    focal_px = width / 2 / (half if fisheye else math.tan(half))
    if shown and shown.contradicts(focal_px, width):
        factor = (width / 2 / focal_px) ** 2 / shown.scale
        words += (
            f"; careful: its bends show {_degrees_shown(shown)}, with which the steering would be "
            f"{1 / factor:.2g} times as strong"
        )
    return {"focal_px": focal_px, "fisheye": fisheye}, words


def _degrees_shown(shown: FocalEstimate) -> str:
    """Return the angle of view that the bends show, and its range, in words."""
    low, high = shown.range_degrees
    lens = " of a fisheye lens" if shown.fisheye else ""
    return f"{shown.degrees:.0f} degrees{lens} ({low:.0f} to {high:.0f})"


def _angle_is_unknown(shown: FocalEstimate | None, settings: ImportSettings) -> UserError:
    """Return the error that asks for the angle of view."""
    what = "too few bends show the camera's angle of view"
    if shown:
        what = f"its bends show the angle of view too inexactly: {_degrees_shown(shown)}"
    return UserError(
        f"{settings.source}: {what}; the scale of the steering depends on it, so say how many "
        "degrees the camera sees from left to right with --fov DEGREES. Usual are: a phone 69 "
        "(26 mm) or 74 (24 mm), its wide lens 108; an action camera 118, its linear mode 86; a "
        "dashcam 0.87 times the diagonal of its data sheet, such as 122 of 140; a Raspberry Pi "
        "camera 54 (1), 62 (2), 66 (3)"
    )


def _turning_pictures(
    drive: _FirstDrive, evidence: DriveEvidence, stretched: Framing
) -> LabelledPictures:
    """Return pictures from all over a drive, with the camera's turns in place of a steering.

    A picture gets the turn a moment later, when the car answers the steering.

    stretched: as in _lens_of(); the frames get back the proportions of the film's pictures
    """
    rows = evenly(len(drive.rows), _WITNESS_PICTURES).tolist()
    unstretched = (FRAME_WIDTH, round(FRAME_WIDTH * stretched.height / stretched.width))
    seconds = evidence.rows.seconds[rows]
    answered = seconds + STEERING_LAG_SECONDS
    bends = turn_rate(evidence.rows, evidence.turns)
    return LabelledPictures(
        pictures=[resized(drive.read(row), unstretched) for row in rows],
        size=(stretched.width, stretched.height),
        steering=np.interp(answered, evidence.rows.middles, bends),
        seconds=seconds,
        left_out=0,
    )
