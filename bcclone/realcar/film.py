"""A film of driving without steering -> a recording whose steering is what the film shows.

The camera's framing is found first: where it looks by the focus of expansion, and its focal length
by the network that knows many cameras, which reads the road best through the right lens. Then
odometry.py measures how the camera moved, and the steering at a row is that of the path around the
time at which the car answers: its turn by its length.
"""

import math
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from bcclone.camera.framing import Framing, Lens, framing_of, read_framing
from bcclone.camera.geometry import FOCAL_PX, HEIGHT_M
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, MPH, STEERING_LAG_SECONDS, steering_of
from bcclone.diagnosis.bends import curvature
from bcclone.diagnosis.camera_faults import camera_pose
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.frame_figures import ReadFrame, look_at, read_center
from bcclone.diagnosis.heading import PARTS, Heading, is_trusted, measure_heading
from bcclone.diagnosis.motion import follow_points, new_pictures
from bcclone.diagnosis.odometry import CameraMotion, is_consistent, measure_motion
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.labelled_video import stated_focal_mm
from bcclone.exchange.left_out import shares_of
from bcclone.exchange.recording_import import ImportResult, import_recording
from bcclone.model.model_path import shipped_model
from bcclone.realcar.calibration import LEAST_CORRELATION, MAX_TRIALS, FramingSearch, witness_of
from bcclone.realcar.labelled_pictures import LabelledPictures
from bcclone.recording.dialect import COLUMNS
from bcclone.recording.edits import edits_path
from bcclone.recording.files import ImageIndex, find_local_logs
from bcclone.recording.log import EPISODE_GAP_MS, read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import MOTION
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.atomic import replacing_folder, write_text
from bcclone.system.errors import UserError
from bcclone.system.opencv import resized
from bcclone.system.output import NEW_FOLDER, writes
from bcclone.system.progress import ProgressBar
from bcclone.system.statistics import evenly

_WITNESS = "any-camera.h5"
_FEWEST_ROWS, _FIRST_FRAMES, _PICTURES = (
    10,
    3000,
    160,
)  # to find where the camera looks; its focal length
_FISHEYE_DEGREES = 110.0  # of a wider angle of view, no lens is a pinhole
_SPREAD_SECONDS, _REACH_SECONDS = (
    0.1,
    0.3,
)  # standard deviation of the times that make up a row's steering; at most
_LEAST_SHOWN = 0.5  # share of these times
_GREATEST_ERROR, _GREATEST_SHARE = 0.1, 0.5  # standard error of a steering, and its share in a bend
_LEAST_KEPT, _GREATEST_FULL = 0.5, 0.05  # of the rows
_AROUND, _MOSTLY_NEW = 10, 0.95  # rows; share of the rows
_STRAIGHT_RAD, _SHARP, _PAIRS = (
    0.007,
    0.7,
    60,
)  # from row to row; share of turns that are less sharp; pairs of frames
_LEAST_READOUT, _SURE = 0.008, 4.0  # seconds; standard errors
_GREATEST_TURNED_DEGREES, _GREATEST_LATE = 6.0, 0.15  # seconds
_STEERING, _SPEED = map(COLUMNS.split(",").index, ("steering", "speed"))


@writes(NEW_FOLDER)
def import_film(settings: ImportSettings) -> ImportResult:
    """Write a film as a recording, with the steering that it shows; rows in which it shows none are
    left out.

    Raises UserError as import_recording(), where the network does not tell the focal length, and
    where no row shows a steering.
    """
    begin = time.monotonic()
    framing, words = (
        (read_framing(settings.framing), "") if settings.framing else _find_framing(settings)
    )
    notes, steered = [f"camera: {words}"] if words else [], list[FloatArray]()
    with replacing_folder(settings.output) as folder:
        result = import_recording(replace(settings, output=(film := folder / "film")), framing)
        for log in find_local_logs([str(film)]):
            height_m = settings.camera_height_m or (None if framing else HEIGHT_M)
            steered.append(_label(log, framing, height_m, notes))
            if not len(steered[-1]):
                shutil.rmtree(log.parent)
        if not (rows := sum(map(len, steered))):
            raise UserError(
                f"{settings.source}: {notes[-1]}; film a car that drives, in daylight, on a road with texture"
            )
        for path in film.iterdir():
            path.rename(folder / path.name)
        film.rmdir()
    steering, seconds = np.concatenate(steered), round(time.monotonic() - begin, 2)
    share, full = len(steering) / max(result.rows, 1), float(np.mean(np.abs(steering) >= 1))
    if share < _LEAST_KEPT:
        notes.append(
            f"careful: {share:.0%} of the rows show a steering, expected most: is the film upright and clear?"
        )
    if full > _GREATEST_FULL:
        notes.append(
            f"careful: {full:.0%} of the rows have full steering: sharper bends than the simulator's, or a wrong --fov"
        )
    seen = replace(result.seen, notes=(*result.seen.notes, *notes), **shares_of(steering))
    return replace(
        result,
        output=settings.output,
        recordings=sum(len(each) > 0 for each in steered),
        rows=rows,
        deleted=0,
        seconds=seconds,
        seen=seen,
        has_estimates=True,
    )


def _label(
    log: Path, framing: Framing | None, height_m: float | None, notes: list[str]
) -> FloatArray:
    """Write the steering that a recording's frames show into its log, and return it, (rows that
    show one,).
    """
    table, index = read_log(log), ImageIndex(log)
    paths = [index.find(name) for name in table.rows["center"]]
    new = new_pictures(paths)

    def read(row: int) -> Image | None:
        return try_frame(paths[new[row]])[0]

    names, times = (
        table.rows["center"].to_numpy()[new],
        table.rows["time_ms"].to_numpy()[new] / 1000,
    )
    passed = np.append(np.diff(times), 0.0)
    ends = passed > EPISODE_GAP_MS / 1000
    if len(new) < _MOSTLY_NEW * len(paths):  # the pictures were taken evenly, but are not shown so
        weight = np.ones(2 * _AROUND + 1)
        sums, counts = (
            np.convolve(each, weight, "same") for each in (np.where(ends, 0.0, passed), ~ends)
        )
        passed = sums / np.maximum(counts, 1)
    passed[ends] = 0.0
    motion = measure_motion(read, passed.tolist(), ends.tolist(), framing)
    rows = list(_paths(motion, times, passed, height_m))
    hidden = Counter(row for row in rows if isinstance(row, str))
    hidden += Counter(
        {
            "the picture is the one before": len(paths) - len(new),
            "it is deleted": len(table.deleted),
        }
    )
    shown = {name: row for name, row in zip(names, rows, strict=True) if isinstance(row, _Path)}
    reasons = ", ".join(f"{count} where {reason}" for reason, count in hidden.items())
    notes.append(f"steering: shown in {len(shown)} rows{reasons and f'; left out: {reasons}'}")
    if shown:
        error = _as_steering(float(np.median([row.error for row in shown.values()])), height_m)
        notes.append(
            f"standard error of the steering {error:.3f} in the median, besides that of the focal length, on which its "
            f"scale depends; the near ground shows {motion.near_to_far:.2f} times the speed of the far, expected 1"
        )
        notes.extend(f"careful: {fault}" for fault in _faults(motion, passed, read))
    write_shown_rows(log, shown, height_m)
    return np.array([row.steering for row in shown.values()])


def write_shown_rows(log: Path, shown: Mapping[str, "_Path"], height_m: float | None) -> None:
    """Replace a recording's rows and pictures by those that show a steering. shown: of them, by
    name of the picture.
    """
    kept = list[str]()
    left = dict(shown)
    for line in log.read_text().splitlines():
        cells = line.split(",")
        name = PurePosixPath(cells[0]).name
        if row := left.pop(name, None):
            cells[_STEERING] = repr(row.steering)
            cells[_SPEED] = repr(row.speed_mph) if height_m else cells[_SPEED]
            kept.append(",".join(cells) + "\n")
        elif name not in shown:
            for image in filter(None, map(str.strip, cells[: len(CAMERAS)])):
                (log.parent / image).unlink(missing_ok=True)
    write_text(log, "".join(kept))
    motions = (
        f"{name},{row.curvature:.6f},{row.error:.6f},{row.speed:.4f}\n"
        for name, row in shown.items()
    )
    write_text(log.parent / MOTION.name, MOTION.header + "".join(motions))
    edits_path(log).unlink(missing_ok=True)


class _Path(NamedTuple):
    """The path at a row. curvature, error: 1 / camera height; speed: camera heights a second."""

    steering: float
    speed_mph: float
    curvature: float
    error: float
    speed: float


def _paths(
    motion: CameraMotion, seconds: FloatArray, passed: FloatArray, height_m: float | None
) -> Iterator[_Path | str]:
    """Yield the path at each row, or why the film shows none. seconds; passed: until the next row;
    both (rows,).
    """
    answered, middles = seconds + STEERING_LAG_SECONDS, seconds + passed / 2
    way, turn = motion.speed * passed, motion.yaw_rate * passed
    way_error, turn_error = motion.speed_error * passed, motion.yaw_error * passed
    readable = motion.usable | np.roll(motion.usable, 1)  # the picture of the row itself
    for row, at in enumerate(answered):
        part = slice(*np.searchsorted(middles, (at - _REACH_SECONDS, at + _REACH_SECONDS)))
        near = np.exp(-(((middles[part] - at) / _SPREAD_SECONDS) ** 2) / 2)
        seen = near * motion.usable[part]
        driven = seen * (way[part] > 0)
        if not readable[row] or seen.sum() <= _LEAST_SHOWN * near.sum():
            yield "nothing can be followed"
            continue
        if driven.sum() <= _LEAST_SHOWN * seen.sum():
            yield "the car stands"
            continue
        length = float(driven @ way[part])
        curvature, speed = (
            float(driven @ turn[part]) / length,
            length / float(driven @ passed[part]),
        )
        of_turn = math.sqrt(float(np.sum((driven * turn_error[part]) ** 2))) / length
        error = math.hypot(of_turn, curvature * float(driven @ way_error[part]) / length)
        steering = _as_steering(curvature, height_m)
        if _as_steering(error, height_m) > max(_GREATEST_ERROR, _GREATEST_SHARE * abs(steering)):
            yield f"its error is above {_GREATEST_ERROR}"
        else:
            yield _Path(steering, speed * (height_m or 0.0) / MPH, curvature, error, speed)


def _faults(motion: CameraMotion, passed: FloatArray, read: ReadFrame) -> Iterator[str]:
    """Yield what is wrong with the camera of a film, or how it filmed. passed: seconds until the
    next row, (rows,).
    """
    readout, error = motion.readout()
    if readout > max(_LEAST_READOUT, _SURE * error):
        yield (
            f"a rolling shutter: the last row of a picture is taken {1000 * readout:.0f} ms after the first "
            f"(standard error {1000 * error:.0f}); it does little harm to the steering"
        )
    if not is_consistent(motion.near_to_far):
        yield (
            "near and far ground show different speeds: the angle of view or the horizon is wrong, or the ground shows "
            "too little; say --fov DEGREES, or correct it"
        )
    rates = np.where(motion.usable & (motion.speed > 0), motion.yaw_rate, np.nan)
    sharp = np.nanquantile(np.abs(rates), _SHARP)
    straight = _heading(np.abs(rates) * passed < _STRAIGHT_RAD, read)
    if straight is None or straight.column_error >= FRAME_WIDTH:  # unknown
        return
    late = list[float]()  # in bends to the left, and to the right
    for bend in (rates < -sharp, rates > sharp):
        if heading := _heading(bend, read):
            late.append((heading.column - straight.column) / FOCAL_PX / float(rates[bend].mean()))
    # a camera ahead of the axle moves aside in a bend
    usual = CAMERA_AHEAD_M / HEIGHT_M / max(float(np.median(motion.speed)), 1.0)
    spread = math.degrees(straight.column_error * math.sqrt(PARTS) / FOCAL_PX)
    if spread > _GREATEST_TURNED_DEGREES or (late and min(late) > usual / 2 + _GREATEST_LATE):
        yield (
            f"the picture does not turn as the car does: it looks {spread:.0f} degrees to and fro, and in bends "
            f"{min(late, default=0.0):.1f} s behind, as of a stabilised film, a gimbal or a loose camera: film again "
            "with a fixed one; the steering is late or wrong"
        )


def _heading(rows: BoolArray, read: ReadFrame) -> Heading | None:
    """Return where the car drives to in rows, (rows,), None where too little can be followed."""
    chosen = np.flatnonzero(rows)
    pairs = [(read(row), read(row + 1)) for row in chosen[evenly(len(chosen), _PAIRS)].tolist()]
    return measure_heading(
        [follow_points(one, other) for one, other in pairs if one is not None and other is not None]
    )


def _as_steering(curvature: float, height_m: float | None) -> float:
    """Return the steering of a path, -1 to 1. curvature: 1 / camera height; height_m: None for the
    simulator's.
    """
    return float(steering_of(curvature / (height_m or HEIGHT_M)))


def _find_framing(settings: ImportSettings) -> tuple[Framing | None, str]:
    """Return the framing of a film's camera, None for the simulator's, and how it was found."""
    with TemporaryDirectory() as folder:
        plain = replace(settings, output=Path(folder) / "plain", fov=None, camera_height_m=None)
        import_recording(plain, most=_FIRST_FRAMES)
        log = max(
            map(read_log, find_local_logs([str(plain.output)])), key=lambda log: len(log.rows)
        )
        if len(log.rows) < _FEWEST_ROWS:
            raise UserError(
                f"{settings.source}: {len(log.rows)} pictures, expected {_FEWEST_ROWS} or more of a drive"
            )
        size, index = framing_of(log.path), ImageIndex(log.path)
        if size and size.lens:
            raise UserError(
                f"{settings.source}: its pictures are framed already; import what it was made from"
            )

        def read(row: int) -> Image | None:
            return read_center(log, row, index)

        with ProgressBar("finding where the camera looks", len(log.rows), "rows") as progress:
            figures, _ = look_at(log.rows.assign(left="", right=""), index, progress.advance)
        evidence = Evidence(log, figures, read)
        for finding in camera_pose(evidence):
            if not finding.usable:
                raise UserError(f"{settings.source}: {finding.text}; {finding.remedy}")
        if size is None and not settings.fov:
            return (
                None,
                "the simulator's, whose pictures have 320x160 pixels, too; for another one say --fov DEGREES",
            )
        return _lens_of(evidence, size or Framing(FRAME_WIDTH, FRAME_HEIGHT), settings, read)


def _lens_of(
    evidence: Evidence, size: Framing, settings: ImportSettings, read: ReadFrame
) -> tuple[Framing, str]:
    """Return the framing of a film whose pictures are stretched to frames, and how it was found.
    size: of pictures.
    """
    known, words = _known_lens(evidence, size, settings)
    rows = evenly(len(evidence.rows), _PICTURES).tolist()
    shape = FRAME_WIDTH, round(FRAME_WIDTH * size.height / size.width)
    pictures = {row: resized(picture, shape) for row in rows if (picture := read(row)) is not None}
    seconds = evidence.rows.seconds[list(pictures)]
    bends = curvature(evidence.rows, evidence.turns)
    turn = np.interp(seconds + STEERING_LAG_SECONDS, evidence.rows.middles, bends)
    labelled = LabelledPictures(
        list(pictures.values()), (size.width, size.height), turn, seconds, 0
    )
    has_fov, is_found = "focal_px" in known, {"focal_px", "horizon_row"} <= known.keys()
    with ProgressBar(
        "comparing it with a network", 1 if is_found else MAX_TRIALS, "framings"
    ) as progress:
        search = FramingSearch(witness_of(shipped_model(_WITNESS)), labelled, progress.advance)
        lens = Lens(**known) if is_found else None
        trial = (
            search.attempt(Framing(size.width, size.height, lens=lens))
            if lens
            else search.find(known)
        )
    agrees = f"{_WITNESS} steers as the camera turns (r {trial.correlation:.2f})"
    if trial.correlation < LEAST_CORRELATION and not is_found:
        hint = "" if has_fov else ", or say what the camera sees with --fov DEGREES"
        raise UserError(
            f"{settings.source}: through no lens {agrees}, expected {LEAST_CORRELATION} or more: film some minutes, "
            f"with bends to both sides{hint}; or give a known --framing FILE"
        )
    if not has_fov:
        agrees = f"the lens is a guess, with which {agrees}, and as good is the steering's scale: say --fov DEGREES"
    elif not is_found:
        agrees = f"where it looks is a guess, with which {agrees}"
    return trial.framing, f"{trial.framing.describe()}{words}; {agrees}"


def _known_lens(
    evidence: Evidence, size: Framing, settings: ImportSettings
) -> tuple[dict[str, Any], str]:
    """Return what is known of a camera's lens, by the names in Lens, and whence. size: of its
    pictures.
    """
    known, words, heading, fov = dict[str, Any](), "", evidence.heading, settings.fov
    if heading and is_trusted(heading):
        known["vanishing_column"] = (heading.column + 0.5) * size.width / FRAME_WIDTH - 0.5
        known["horizon_row"] = (heading.row + 0.5) * size.height / FRAME_HEIGHT - 0.5
        words = "; it looks where all points that it passes come from"
    if not fov and (focal_mm := stated_focal_mm(settings.source)):
        fov = math.degrees(2 * math.atan(18 * min(1.0, size.width / size.height) / focal_mm))
        words += f"; its angle of view, {fov:.0f} degrees, is the file's, and less if the picture is cropped"
    if fov:
        known["fisheye"], half = fov > _FISHEYE_DEGREES, math.radians(fov / 2)
        known["focal_px"] = size.width / 2 / (half if known["fisheye"] else math.tan(half))
    words += "".join(
        f"; careful: {finding.text}" for finding in camera_pose(evidence) if finding.usable
    )
    return known, words
