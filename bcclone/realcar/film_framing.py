"""The first pictures of a film -> the framing of its camera.

The focus of expansion shows where the camera looks: it is the point away from which all points of
the picture move when the car drives straight on. The focal length is what the user or the file
states, see film_angle.py. A network that knows many cameras, the witness, tells how well it reads
the road through that lens.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import pandas as pd

from bcclone.camera.framing import Framing, Lens, read_framing
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, decode_jpeg, resized
from bcclone.camera.vehicle import STEERING_LAG_SECONDS
from bcclone.diagnosis.cameras import camera_pose
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.heading import is_trusted
from bcclone.diagnosis.motion import RecordingFigures
from bcclone.diagnosis.overlay import covered, find_overlay
from bcclone.diagnosis.rows import Rows, turn_rate
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.recording_import import open_source
from bcclone.exchange.rows import Row
from bcclone.exchange.seen import Seen
from bcclone.model.model_path import shipped_model
from bcclone.realcar.film_angle import angle_of_view, known_focal
from bcclone.realcar.framing_search import (
    LEAST_CORRELATION,
    MAX_TRIALS,
    FramingSearch,
    witness_of,
)
from bcclone.realcar.labelled_pictures import LabelledPictures, RecordedSteering
from bcclone.recording.row import CAMERAS, NUMBERS
from bcclone.system.errors import UserError
from bcclone.system.numbers import BoolArray, evenly
from bcclone.system.process import ProgressBar

_FIRST_ROWS = 3000  # rows from the start of a film that are read; their frames fit into memory
_FEWEST_ROWS = 10  # a drive with fewer pictures is an error
_WITNESS = "any-camera.h5"  # file of the network that knows many cameras
_WITNESS_PICTURES = 160  # most pictures of the film that this network answers


@dataclass(frozen=True)
class FilmCamera:
    """The camera of a film."""

    framing: Framing | None  # how its pictures become frames; None for the simulator's camera
    height_m: float | None  # height above the road; None if it is unknown
    note: str  # how the framing was found; "" if the user gave it


def find_camera(format: str, settings: ImportSettings) -> FilmCamera:
    """Return the camera of a film: by the user's settings, else by what the film shows.

    Raises UserError as _find_framing() does.
    """
    if settings.framing:
        return FilmCamera(read_framing(settings.framing), settings.camera_height_m, "")
    drive = _first_drive(format, settings)
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
    # pictures of the size of frames are taken for the simulator's, unless the user says otherwise
    is_simulator = drive.stretched is None and not settings.fov
    stretched = drive.stretched or Framing(FRAME_WIDTH, FRAME_HEIGHT)
    evidence = drive.evidence()
    pose = list(camera_pose(evidence))
    for finding in pose:
        if not finding.usable:
            raise UserError(f"{settings.source}: {finding.text}; {finding.remedy}")
    if is_simulator:
        return (
            None,
            "the simulator's, whose pictures have 320x160 pixels, too; for another one say "
            "--fov DEGREES",
        )
    looks, words = _known_direction(evidence, stretched)
    focal = known_focal(stretched, settings)
    words += focal.words
    for finding in pose:
        words += f"; careful: {finding.text}"
    known = {**looks, "focal_px": focal.focal_px, "fisheye": focal.fisheye}
    framing, agreement = _lens_of(drive, evidence, stretched, known, settings)
    return framing, f"{framing.describe()}{words}; {agreement}"


# ---- the first pictures


@dataclass(frozen=True)
class _FirstDrive:
    """The first rows of a film, in order of time; their pictures are stretched to frames."""

    rows: list[Row]  # rows that count
    deleted: list[Row]  # rows that the source marks as deleted
    # the framing by which most pictures became frames; None if all had the size of frames already
    stretched: Framing | None

    def read(self, row: int) -> Image:
        """Return the frame of a row, by its index; what stands still in the film is covered."""
        return covered(self._read_frame(row), self._overlay)

    @cached_property
    def _overlay(self) -> BoolArray:
        return find_overlay(self._read_frame, len(self.rows))

    def _read_frame(self, row: int) -> Image:
        return decode_jpeg(self.rows[row].images[CAMERAS[0]])

    def evidence(self) -> Evidence:
        """Return what the frames show."""
        figures = RecordingFigures(len(self.rows))
        label = "finding where the camera looks"
        with ProgressBar(label, len(self.rows), "rows") as progress:
            for row in range(len(self.rows)):
                figures.add({CAMERAS[0]: self.read(row)})
                progress.advance(1)
        rows = Rows.of(_table(self.rows), _table(self.deleted))
        return Evidence(rows, figures, self.read)


def _table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows as the table of a log."""
    table = pd.DataFrame({"line": range(1, len(rows) + 1)})
    for name in ("time_ms", *NUMBERS):
        table[name] = [getattr(row, name) for row in rows]
    return table


def _first_drive(format: str, settings: ImportSettings) -> _FirstDrive:
    """Return the longest drive in the first rows of a film.

    Raises UserError if it is too short, and if nothing states the camera's angle of view.
    """
    seen = Seen(settings.min_throttle)
    drives: dict[int, list[Row]] = {}
    with open_source(format, settings, seen, first=_FIRST_ROWS) as rows:
        for row in rows:
            if row.framing and not drives:
                # the user is asked at the first picture, before thousands are read and measured
                angle_of_view(row.framing, settings)
            drives.setdefault(row.recording, []).append(row)
    seen.check(settings.source)
    longest = max(map(_drive_of, drives.values()), key=lambda drive: len(drive.rows))
    if len(longest.rows) < _FEWEST_ROWS:
        raise UserError(
            f"{settings.source}: {len(longest.rows)} pictures, expected {_FEWEST_ROWS} or more of "
            "a drive"
        )
    return longest


def _drive_of(rows: Sequence[Row]) -> _FirstDrive:
    """Return the drive of one recording of the film.

    A row with the time of a deleted row counts as deleted, too.
    """
    framings = Counter(row.framing for row in rows if row.framing)
    most = framings.most_common(1)
    stretched = most[0][0] if most else None
    in_time = sorted(rows, key=attrgetter("time_ms"))
    deleted_ms = {row.time_ms for row in in_time if row.deleted}
    return _FirstDrive(
        rows=[row for row in in_time if row.time_ms not in deleted_ms],
        deleted=[row for row in in_time if row.time_ms in deleted_ms],
        stretched=stretched,
    )


# ---- the lens


def _lens_of(
    drive: _FirstDrive,
    evidence: Evidence,
    stretched: Framing,
    known: Mapping[str, Any],
    settings: ImportSettings,
) -> tuple[Framing, str]:
    """Return the framing of a film, and how a network agrees with it; raises UserError.

    evidence: what the frames of the drive show
    stretched: the framing that stretches the film's pictures to frames; it has their size
    known: values of Lens by name, among them the focal length
    """
    # where the camera looks is searched for if the film does not show it; otherwise one lens is
    # tried, to see how it agrees
    search_all = "horizon_row" not in known
    trials = MAX_TRIALS if search_all else 1
    with ProgressBar("comparing it with a network", trials, "framings") as progress:
        witness = witness_of(shipped_model(_WITNESS))
        pictures = _turning_pictures(drive, evidence, stretched)
        search = FramingSearch(witness, pictures, progress.advance)
        if search_all:
            trial = search.find(known)
        else:
            size = (stretched.width, stretched.height)
            trial = search.attempt(Framing(*size, lens=Lens(**known)))
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
    return trial.framing, agrees


def _known_direction(evidence: Evidence, stretched: Framing) -> tuple[dict[str, float], str]:
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


def _turning_pictures(
    drive: _FirstDrive, evidence: Evidence, stretched: Framing
) -> LabelledPictures:
    """Return pictures from all over a drive, with the camera's turns in place of a steering.

    A picture gets the turn a moment later, when the car answers the steering.

    stretched: as in _lens_of(); the frames get back the proportions of the film's pictures
    """
    rows = evenly(len(drive.rows), _WITNESS_PICTURES).tolist()
    unstretched = (FRAME_WIDTH, round(FRAME_WIDTH * stretched.height / stretched.width))
    seconds = evidence.rows.seconds[rows]
    bends = turn_rate(evidence.rows, evidence.turns)
    recorded = RecordedSteering(evidence.rows.middles - STEERING_LAG_SECONDS, bends)
    return LabelledPictures(
        pictures=[resized(drive.read(row), unstretched) for row in rows],
        size=(stretched.width, stretched.height),
        steering=recorded.at(seconds),
        seconds=seconds,
        left_out=0,
        recorded=recorded,
    )
