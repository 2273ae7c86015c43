"""The first pictures of a film -> the framing of its camera.

The focus of expansion shows where the camera looks: it is the point away from which all points of
the picture move when the car drives straight on. The focal length follows from the angle of view
that the user or the file states: the scale of the steering goes with its square, and the film
itself hardly shows it. In a turn, points x columns from the middle move by x^2 / f more, but away
from the middle, and so do points that the car passes. A network that knows many cameras tells how
well it reads the road through that lens.
"""

import math
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import pandas as pd

from bcclone.camera.framing import Framing, Lens, read_framing
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, decode_jpeg, resized
from bcclone.camera.vehicle import STEERING_LAG_SECONDS
from bcclone.diagnosis.camera_faults import camera_pose
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.fixed_pixels import covered, find_fixed_pixels
from bcclone.diagnosis.heading import is_trusted
from bcclone.diagnosis.motion import ReadFrame, RecordingFigures
from bcclone.exchange.exchange_settings import FROM_MOTION, ImportSettings
from bcclone.exchange.exchanged_rows import Row, Seen
from bcclone.exchange.labelled_video import stated_focal_mm
from bcclone.exchange.recording_import import open_source
from bcclone.model.model_path import shipped_model
from bcclone.realcar.lens_search import LEAST_CORRELATION, answers_through, witness_of
from bcclone.recording.row import CAMERAS, NUMBERS
from bcclone.system.errors import UserError, shown_command
from bcclone.system.numbers import evenly
from bcclone.system.process import ProgressBar
from bcclone.system.statistics import correlation

_FIRST_ROWS = 3000  # rows from the start of a film that are read; their frames fit into memory
_FEWEST_ROWS = 10  # a drive with fewer pictures is an error
_FISHEYE_DEGREES = 110.0  # a lens with a wider angle of view counts as a fisheye
_WITNESS = "any-camera.h5"  # file of the network that knows many cameras
_WITNESS_PICTURES = 160  # most pictures of the film that this network answers


def find_camera(format: str, settings: ImportSettings) -> tuple[Framing | None, float | None, str]:
    """Return the framing of a film's camera, its height in metres, and how both were found.

    The framing is None for the simulator's camera, the height if it is unknown; "" if the user gave
    the framing. Raises UserError for a film that shows no drive, or the wrong way round, and where
    nothing tells the focal length.
    """
    if settings.framing:
        return read_framing(settings.framing), settings.camera_height_m, ""
    rows, stretched = _first_drive(format, settings)

    def read_frame(row: int) -> Image:
        return decode_jpeg(rows[row].images[CAMERAS[0]])

    # what stands still in the film is covered
    fixed_pixels = find_fixed_pixels(read_frame, len(rows))
    evidence = _evidence_of(rows, lambda row: covered(read_frame(row), fixed_pixels))
    pose = list(camera_pose(evidence))
    for finding in pose:
        if not finding.usable:
            raise UserError(f"{settings.source}: {finding.text}; {finding.remedy}")
    # pictures of the size of frames are taken for the simulator's, unless the user says otherwise
    if stretched is None and not settings.fov:
        return (
            None,
            settings.camera_height_m or HEIGHT_M,
            "camera: the simulator's, whose pictures have 320x160 pixels, too; for another one say "
            "--fov DEGREES",
        )
    framing = _framing_of(evidence, stretched or Framing(FRAME_WIDTH, FRAME_HEIGHT), settings)
    words = f"camera: {framing.describe()}"
    if not settings.fov:
        words += "; its angle of view is the file's, and less if the picture is cropped"
    for finding in pose:
        words += f"; careful: {finding.text}"
    return framing, settings.camera_height_m, f"{words}; {_agreement(evidence, framing)}"


# ---- the first pictures


def _first_drive(format: str, settings: ImportSettings) -> tuple[list[Row], Framing | None]:
    """Return the longest drive in the first rows of a film, in order of time.

    Its pictures are stretched to frames. Also returns the framing by which most of them were; None
    if all had the size of frames already. Raises UserError if the drive is too short, and if
    nothing states the camera's angle of view.
    """
    seen = Seen(settings.min_throttle)
    drives: dict[int, list[Row]] = {}
    with open_source(format, settings, seen, first=_FIRST_ROWS) as rows:
        for row in rows:
            if row.framing and not drives:
                # the user is asked at the first picture, before thousands are read and measured
                angle_of_view(row.framing, settings)
            if not row.deleted:
                drives.setdefault(row.recording, []).append(row)
    seen.check(settings.source)
    rows_of_longest: list[Row] = max(drives.values(), key=len, default=[])
    longest = sorted(rows_of_longest, key=attrgetter("time_ms"))
    if len(longest) < _FEWEST_ROWS:
        raise UserError(
            f"{settings.source}: {len(longest)} pictures, expected {_FEWEST_ROWS} or more of a "
            "drive"
        )
    framings = Counter(row.framing for row in longest if row.framing)
    return longest, max(framings, key=lambda framing: framings[framing], default=None)


def _evidence_of(rows: Sequence[Row], read: ReadFrame) -> Evidence:
    """Return what the frames of rows show.

    read: index of a row -> its frame
    """
    figures = RecordingFigures(len(rows))
    with ProgressBar("finding where the camera looks", len(rows), "rows") as progress:
        for row in range(len(rows)):
            figures.add({CAMERAS[0]: read(row)})
            progress.advance(1)
    table = pd.DataFrame({"line": range(1, len(rows) + 1)})
    for name in ("time_ms", *NUMBERS):
        table[name] = [getattr(row, name) for row in rows]
    none_deleted = table[:0]
    return Evidence(DriveRows.of(table, none_deleted), figures, read)


# ---- the lens


def _framing_of(evidence: Evidence, stretched: Framing, settings: ImportSettings) -> Framing:
    """Return the framing of a film; raises UserError where it does not show where the camera looks.

    evidence: what the frames of the drive show
    stretched: the framing that stretches the film's pictures to frames; it has their size
    """
    heading = evidence.heading
    if heading is None or not is_trusted(heading):
        raise UserError(
            f"{settings.source}: its first {_FIRST_ROWS} pictures do not show where the camera "
            "looks; film some minutes that begin on a straight road with texture, or give the "
            "camera's framing with --framing FILE"
        )
    degrees = angle_of_view(stretched, settings)
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


def angle_of_view(stretched: Framing, settings: ImportSettings) -> float:
    """Return the degrees that a film's camera sees from the left to the right edge.

    They are the user's, or else those that the file states. Raises UserError, which asks for them,
    without both.

    stretched: as in _framing_of()
    """
    if settings.fov:
        return settings.fov
    focal_mm = stated_focal_mm(settings.source)
    if focal_mm is None:
        command = shown_command(
            "import", settings.source, "-o", settings.output, "--steering", FROM_MOTION, "--fov"
        )
        raise UserError(
            f"{settings.source}: the film does not state its angle of view, on which the scale of "
            "the steering depends; say with --fov how many degrees the camera sees from the left "
            "to the right edge, or less if the film is cropped or stabilised: 69 for the main "
            "camera of a phone, 104 for a dashcam of 120 degrees, which is its diagonal, 62 for a "
            "Raspberry Pi camera 2; docs/how-to/film.md has more of them. For a phone, for "
            f"example: {command} 69"
        )
    # a stated focal length is for a film of 36 mm; a picture that is higher than wide shows less of
    # its width
    half_mm = 18 * min(1.0, stretched.width / stretched.height)
    return math.degrees(2 * math.atan(half_mm / focal_mm))


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
