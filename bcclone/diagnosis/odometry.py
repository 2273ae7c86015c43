"""Frames of a car's camera -> how it moved: its speed, in heights of the camera, and how it turned.

A point that is followed from a frame to the next moves for two reasons: the camera rotates, and the
car drives on. Driving moves the point straight away from the pixel that the car heads for, a near
point more than a far one. So the part of the movement that is at right angles to this direction
shows the rotation alone, whatever the point's distance (R. Hartley, A. Zisserman, "Multiple View
Geometry in Computer Vision", 2nd edition, section 9.2).

Then a frame tells what a camera sees that has moved ahead over a flat road at any speed. This view
is made for each of many speeds, and compared with the next frame: how alike they are is the match
of the speed (a plane sweep: R. T. Collins, "A Space-Sweep Approach to True Multi-Image Matching",
1996). Speeds change gradually, so the sequence of speeds with the best matches and the fewest
changes is taken, the path (Viterbi's algorithm).

Plain ground, or a lane line alone, looks alike at every speed: then the best match is anywhere, or
at an end of the speeds that are tried. So a speed counts as measured only where the ground matches
clearly better at it than at much lower and much higher speeds.

If the horizon is wrong, near and far ground show different speeds. A wrong focal length does not
show in this way: it changes both speeds by the same factor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bcclone.camera.framing import Framing, sampling_of
from bcclone.camera.geometry import (
    FOCAL_PX,
    HEIGHT_M,
    VANISHING_ROW,
    CameraMove,
    simulated_camera,
    warp_to,
)
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, cv2
from bcclone.diagnosis.fixed_pixels import covered, find_fixed_pixels
from bcclone.diagnosis.heading import (
    FramePairs,
    is_clear_move,
    is_trusted,
    measure_heading,
    points_and_places,
    robust_weights,
)
from bcclone.diagnosis.motion import ReadFrame, Turns, is_shift, shift_between
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from bcclone.system.prefetch import read_ahead
from bcclone.system.statistics import top_of

_STEP = 1.08  # each speed that is tried is 8 % more than the speed before
_SPEEDS = np.concatenate([[0.0], 0.6 * _STEP ** np.arange(62)])  # camera heights a second
_EXCLUDED = -1.0  # match of a speed that is excluded; no other match is less
# by how much the mean match of a drive, far + near ground, must be higher at its speeds than at
# lower and higher ones: benchmarks/lab-log/2026-11.md
_LEAST_PEAK = 0.018

# the ground that is compared is a part of a frame; its rows:
_TOP = 80  # first row of the far ground
_MIDDLE = 102  # first row of the near ground
_BOTTOM = 134  # row after the near ground, where a bonnet may begin
# its columns:
_LEFT = 20  # first column
_COLUMN_STEP = 2  # every second column is compared
_COLUMNS = 140  # number of columns
# matrix from pixels of a frame to pixels of this ground
_VIEW = np.array([[1 / _COLUMN_STEP, 0, -_LEFT / _COLUMN_STEP], [0, 1, -_TOP], [0, 0, 1.0]])


@dataclass(frozen=True)
class CameraMotion:
    """How a camera moved from each row to the next. Arrays are (rows,)."""

    speed: FloatArray  # camera heights a second, 0 where the car stands
    # half of the difference between the speeds that near and far ground show; it serves as a
    # standard error
    speed_error: FloatArray
    yaw_rate: FloatArray  # rad/s to the right
    yaw_error: FloatArray  # standard error of yaw_rate
    usable: BoolArray  # whether the frames show the yaw
    speed_shown: BoolArray  # whether the ground shows the speed, or the car stands
    # speed that the near ground shows / speed that the far ground shows; None unless both show one
    near_to_far: float | None
    fixed_pixels: BoolArray  # those of the frames that were not used, (160, 320)


def is_consistent(near_to_far: float) -> bool:
    """Return whether near and far ground show the same speed, as flat ground does."""
    most = 1.2  # ratio of the greater speed to the smaller one
    return 1 / most < near_to_far < most


def shown_pixels(framing: Framing | None) -> BoolArray:
    """Return the pixels of frames that the camera's picture reaches, (160, 320).

    framing: how pictures became the frames; None for the simulator's frames
    """
    if framing is None or framing.lens is None:
        return np.full((FRAME_HEIGHT, FRAME_WIDTH), True)
    return sampling_of(framing).shows


def measure_motion(
    read: ReadFrame,
    seconds: Sequence[float],
    ends: Sequence[bool],
    framing: Framing | None,
) -> CameraMotion:
    """Return how the camera moved in a drive.

    read: index of a row -> its frame, RGB uint8 (160, 320, 3); called in several threads
    seconds: from each row to the next, (rows,)
    ends: whether a gap follows the row, (rows,)
    framing: how pictures became the frames; None for the simulator's frames
    """
    # what stands still in the picture, such as a clock, shows no motion
    fixed_pixels = find_fixed_pixels(read, len(seconds))
    # the detail of a pixel depends on those around it, see _detail()
    around = np.ones((13, 13), np.uint8)
    seen = shown_pixels(framing) & (cv2.dilate(fixed_pixels.astype(np.uint8), around) == 0)
    unknown = (0.0, math.inf, np.zeros((2, len(_SPEEDS)), np.float32))

    def measured(row: int) -> tuple[float, float, Float32Array]:
        """Return yaw, its standard error, and the matches of the speeds, to the next row."""
        if ends[row] or seconds[row] <= 0:
            return unknown
        before = covered(read(row), fixed_pixels)
        after = covered(read(row + 1), fixed_pixels)
        return _measured_pair(before, after, seconds[row], seen) or unknown

    with read_ahead("measuring the motion", "rows", measured, range(len(seconds) - 1)) as pairs:
        yaw, error, matches = map(np.array, zip(*pairs, unknown, strict=True))  # last, no pair
    passed = np.maximum(seconds, 1e-3)
    usable = np.isfinite(error)
    speed, speed_error, speed_shown, near_to_far = _speeds(matches[:-1], usable[:-1])
    return CameraMotion(
        speed=speed,
        speed_error=speed_error,
        yaw_rate=yaw / passed,
        yaw_error=np.where(usable, error, 0.0) / passed,
        usable=usable,
        speed_shown=speed_shown,
        near_to_far=near_to_far,
        fixed_pixels=fixed_pixels,
    )


def _measured_pair(
    before: Image | None, after: Image | None, seconds: float, seen: BoolArray
) -> tuple[float, float, Float32Array] | None:
    """Return what measured() does of two frames; None if they do not show it.

    seconds: time between the frames
    seen: pixels of the frames that show the road and what is around it, (160, 320)
    """
    if before is None or after is None:
        return None
    turn = shift_between(before, after)
    if not is_shift(turn):
        return None
    points, places = points_and_places(before, after, turn)
    # points are (column, row), pixels are (row, column)
    shown = seen[tuple(points.astype(int).T[::-1])]
    rotation = fit_rotation(points[shown], places[shown])
    if rotation is None:
        return None
    yaw, error = rotation
    matches = _matches_of_speeds(before, after, yaw, seconds, seen)
    moved = places[shown] - points[shown]
    if is_clear_move(np.hypot(moved[:, 0], moved[:, 1])).mean() > 0.5:
        # the car does not stand, although the ground may hardly show how fast it drives
        matches[:, 0] = _EXCLUDED
    return yaw, error, matches


# ---- the true horizon


def level_frames(
    read: ReadFrame, follows: BoolArray, framing: Framing
) -> tuple[ReadFrame, Framing, float]:
    """Return the frames of a drive, turned up or down if their horizon is surely wrong.

    The result is a function that reads a frame of the true horizon, how pictures of the camera
    would become these frames, and the angle in radians by which the recorded ones were turned down.

    follows: whether the next row follows without a pause, (rows - 1,)
    framing: how pictures became the recorded frames; raises ValueError for one without a lens
    """
    least_off = 3.0  # rows by which a horizon is surely wrong, beside twice the standard error
    lens = framing.lens
    if lens is None:
        raise ValueError("a framing without a lens, expected one")
    rows = range(len(follows) + 1)
    with read_ahead("finding the horizon", "rows", read, rows) as frames:
        shifts = [shift_between(before, after) for before, after in pairwise(frames)]
    turns = Turns.of(shifts, follows)
    heading = measure_heading(FramePairs(read, turns, follows).straight_on)
    if heading is None or not is_trusted(heading):
        return read, framing, 0.0
    below_px = heading.row - VANISHING_ROW
    if abs(below_px) < least_off + 2 * heading.row_error:
        return read, framing, 0.0

    middle = (FRAME_HEIGHT - 1) / 2
    pitch_rad = math.atan2(heading.row - middle, FOCAL_PX)
    pitch_rad -= math.atan2(VANISHING_ROW - middle, FOCAL_PX)
    warp = warp_to(CameraMove(0.0, 0.0, pitch_rad=pitch_rad))

    def read_level(row: int) -> Image | None:
        frame = read(row)
        if frame is None:
            return None
        return warp.apply(frame, FRAME_WIDTH, FRAME_HEIGHT)

    horizon_row = round(lens.horizon_row + below_px * lens.focal_px / FOCAL_PX, 3)
    true_lens = replace(lens, horizon_row=horizon_row)
    return read_level, replace(framing, lens=true_lens), pitch_rad


# ---- the rotation


def fit_rotation(points: FloatArray, places: FloatArray) -> tuple[float, float] | None:
    """Return the yaw of the camera in radians to the right, and its standard error.

    Returns None for few points. For a point whose ray is p in the first frame and r in the next
    one, a rotation w and the direction of travel t: (r + w x r) . (t x p) = 0.

    points: points of a frame, column and row, (points, 2)
    places: where they are in the next frame, (points, 2)
    """
    fewest_points = 8
    # sine of the angle from the focus within which the direction of a movement is uncertain
    near_focus = 0.02
    # added to the normal equations of pitch, yaw and roll: keeps small what the points hardly show
    stiffness = np.diag([0.2, 1e-3, 2.0])
    wide = 0.004  # radians; error of a point whose weight is a quarter
    rounds = 8  # of the robust fit
    if len(points) < fewest_points:
        return None

    # The plane of a point holds the camera, the point in the first frame, and the direction of
    # travel. By how much the point misses it, (points,), and what a rotation adds, (points, 3):
    before = _rays(points)
    after = _rays(places)
    across = np.cross([0.0, 0.0, 1.0], before)
    length = np.linalg.norm(across, axis=1) + near_focus
    missed = np.sum(after * across, axis=1) / length
    turned = np.cross(after, across / length[:, None])

    weights = np.ones(len(missed))
    for _ in range(rounds):
        weighted = (turned * weights[:, None]).T
        rotation = np.linalg.solve(weighted @ turned + stiffness, -weighted @ missed)
        errors = missed + turned @ rotation
        weights = robust_weights(errors, wide)
    normal = (turned * weights[:, None]).T @ turned + stiffness
    variance = np.sum(weights * errors**2) / np.sum(weights) * np.linalg.inv(normal)[1, 1]
    return float(rotation[1]), math.sqrt(float(variance))


def _rays(pixels: FloatArray) -> FloatArray:
    """Return the directions of pixels, (points, 3): right, down and ahead in the car, of length 1.

    pixels: column and row, (points, 2)
    """
    to_ray, _ = simulated_camera()
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ to_ray.T
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


# ---- the speed


def _matches_of_speeds(
    before: Image, after: Image, yaw: float, seconds: float, seen: BoolArray
) -> Float32Array:
    """Return the match of each speed, -1 to 1, (2, speeds): by the far and by the near ground.

    yaw: turn of the camera between the frames, in radians to the right
    """
    noise_levels = 2.0  # noise of a pixel, in grey levels of 0 to 255
    # a car that turns by a small yaw drives an arc, whose chord points yaw / 2 to the side
    ahead_m = _SPEEDS * seconds * HEIGHT_M
    move = CameraMove(
        lateral_offset_m=ahead_m * math.sin(yaw / 2),
        yaw_rad=np.full_like(ahead_m, yaw),
        ahead_m=ahead_m,
    )
    # the real view of the ground, (rows, columns), and the view at each speed, (speeds, rows,
    # columns): from pixels of the ground that is compared to the same places in `after`, and to the
    # places in `before` that a camera which has moved would see there
    ground = _detail(before, seen)
    real = _warped(_detail(after, seen), np.linalg.inv(_VIEW))
    warps = warp_to(move).between_images(view=_VIEW, frame=np.eye(3)).ground
    made = np.array([_warped(ground, warp) for warp in warps])

    # the matches are correlations of both views, which are summed row by row first; the noise that
    # is added keeps plain ground from matching
    products = np.einsum("vij,ij->vi", made, real)
    squares_made = np.einsum("vij,vij->vi", made, made)
    squares_real = np.einsum("ij,ij->i", real, real)
    noise = noise_levels**2 * made.shape[2]
    far_and_near = []
    for part in (slice(0, _MIDDLE - _TOP), slice(_MIDDLE - _TOP, None)):
        size_made = (squares_made[:, part] + noise).sum(axis=1)
        size_real = (squares_real[part] + noise).sum()
        far_and_near.append(products[:, part].sum(axis=1) / np.sqrt(size_made * size_real))
    return np.array(far_and_near)


def _detail(frame: Image, seen: BoolArray) -> Float32Array:
    """Return a grey frame without its coarse shades, which hardly move; 0 where it is not seen."""
    coarse_px = 5.0  # standard deviation of the blur that leaves the coarse shades
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray((gray - cv2.GaussianBlur(gray, (0, 0), coarse_px)) * seen, np.float32)


def _warped(frame: Float32Array, pixels: FloatArray) -> Float32Array:
    """Return the ground that is compared, (rows, columns).

    pixels: matrix (3, 3) from pixels of this ground to pixels of the frame
    """
    size = (_COLUMNS, _BOTTOM - _TOP)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(frame, pixels, size, flags=flags), np.float32)


def _speeds(
    matches: Float32Array, usable: BoolArray
) -> tuple[FloatArray, FloatArray, BoolArray, float | None]:
    """Return the speed of each row, its error and whether the ground shows it, (rows,) each.

    And the near ground's speed / the far ground's speed, 1 if both agree; None if they cannot be
    compared. A row's value is that of the pair which it begins. The last one begins none: its speed
    is 0.

    matches: of successive pairs, (pairs, 2, speeds)
    usable: whether the frames of a pair could be compared, (pairs,)
    """
    around = 6  # the matches are looked at up to this many speeds to either side of the path
    smooth_pairs = 9  # pairs whose matches are averaged to compare near and far ground
    shown_pairs = 61  # pairs whose matches are averaged to tell whether the ground shows the speed
    fastest = len(_SPEEDS) - 1
    path = np.zeros(0, np.int64)
    if len(matches):
        path = _best_path(matches.sum(axis=1))
    moving = usable & (path > 0)
    if not moving.any():
        none = np.zeros(len(path) + 1)
        return none, none, np.ones(len(none), np.bool_), None

    # the matches of far and near ground at the speeds around the path, (pairs, 2, these speeds)
    speeds = np.clip(path[:, None] + np.arange(-around, around + 1), 1, fastest)
    curves = np.take_along_axis(matches, np.repeat(speeds[:, None], 2, axis=1), axis=2)
    far, near = curves[moving].mean(axis=0, dtype=np.float64)
    is_shown = _peak(far + near) > _LEAST_PEAK
    both_show = min(_peak(far), _peak(near)) > _LEAST_PEAK / 2
    near_to_far = float(_STEP ** (top_of(near) - top_of(far))) if both_show else None
    # the true speeds lie between those that are tried: on average, `finer` steps above the path
    finer = top_of(far + near) - around if is_shown else 0.0

    # a speed at an end of those that are tried, or of those around the path, is none
    nearby = _blurred((curves.sum(axis=1) * moving[:, None]), shown_pairs)
    shown = is_shown & (_peak(nearby) > 0) & (path > 1) & (path < fastest)

    # at which speeds the far and the near ground match best
    smooth = _blurred(curves.reshape(len(matches), -1), smooth_pairs)
    tops = np.argmax(smooth.reshape(curves.shape), axis=2)
    steps = np.append(np.abs(np.diff(tops, axis=1)[:, 0]), 0)
    path = np.append(path, 0)
    speed = np.where(path > 0, _SPEEDS[path] * _STEP**finer, 0.0)
    speed_shown = np.append(shown, False) | (path == 0)
    return speed, speed * math.log(_STEP) / 2 * steps, speed_shown, near_to_far


def _peak(curves: FloatArray | Float32Array) -> FloatArray:
    """Return how much higher curves, (..., values), are inside than at their higher end, (...,)."""
    return np.asarray(curves.max(axis=-1) - np.maximum(curves[..., 0], curves[..., -1]), np.float64)


def _blurred(curves: Float32Array, pairs: int) -> Float32Array:
    """Return the mean curves of so many successive pairs, (pairs, values)."""
    means = cv2.blur(curves, (1, pairs), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(means, np.float32)


def _best_path(matches: FloatArray) -> IndexArray:
    """Return the index of a speed for each pair of frames, (pairs,).

    It is the sequence with the greatest sum of matches, after the cost of changes is taken off.

    matches: match of each speed, (pairs, speeds)
    """
    change_cost = 0.15  # taken off the matches for each step of speed between successive pairs
    indices = np.arange(matches.shape[1])
    cost = change_cost * np.abs(indices[:, None] - indices)
    total = matches[0]  # the greatest sum of a sequence that ends with each speed, (speeds,)
    back = []  # for each pair but the first: the best speed of the pair before, for each speed
    for of_pair in matches[1:]:
        reached = total - cost  # [to, from]: the sum if a speed is followed by another
        back.append(np.argmax(reached, axis=1))
        total = reached.max(axis=1) + of_pair
    path = [int(np.argmax(total))]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])
