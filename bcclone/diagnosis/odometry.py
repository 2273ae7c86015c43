"""Frames of a car's camera -> how it moved: its speed, in heights of the camera, and how it turned.

Each point that is followed from a frame to the next moves by the camera's rotation, and away from
where the car drives to, the farther the nearer it is. So its movement across that direction shows
the rotation alone, whatever its distance (R. Hartley, A. Zisserman, "Multiple View Geometry in
Computer Vision", 2nd edition, section 9.2).

A camera over a flat road sees its own height everywhere: from each frame, the views are made of a
camera that has moved ahead at each of many speeds (warp_to()), and the speed is the one whose view
of the ground is the next frame: a plane sweep (R. T. Collins, "A Space-Sweep Approach to True
Multi-Image Matching", 1996). Speeds change gradually, so the sequence of speeds with the best
matches and the fewest changes is taken (Viterbi's algorithm). A wrong focal length changes
distances ahead and speeds, but hardly the lateral offset; a wrong horizon changes all, and shows in
different speeds of near and far ground.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from bcclone.camera.framing import Framing, sampling_of
from bcclone.camera.geometry import HEIGHT_M, CameraMove, simulated_camera, warp_to
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.diagnosis.heading import robust_weights
from bcclone.diagnosis.motion import is_shift, moved_points, shift_between
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from bcclone.system.opencv import cv2
from bcclone.system.prefetch import read_ahead
from bcclone.system.statistics import block_jackknife, top_of

_SLOWEST, _STEP, _COUNT = (
    0.6,
    1.08,
    62,
)  # camera heights a second; each speed is 8 % more than the one before
_SPEEDS = np.concatenate([[0.0], _SLOWEST * _STEP ** np.arange(_COUNT)])
_CHANGE_COST = 0.15  # of the matches, for a change of the speed by one step from row to row
_AROUND = 6  # steps to either side, where near and far ground are compared
_TOP, _MIDDLE, _BOTTOM = (
    80,
    102,
    134,
)  # rows of the ground, far and near; below them may be a bonnet
_LEFT, _COLUMN_STEP, _COLUMNS = 20, 2, 140
_VIEW = np.array([[1 / _COLUMN_STEP, 0, -_LEFT / _COLUMN_STEP], [0, 1, -_TOP], [0, 0, 1.0]])
_DETAIL_PX = 5.0  # coarser shades are not compared: they hardly move
_NOISE = 2.0  # grey levels of a pixel
_ROWS_AT_ONCE = 2000  # so that a long drive takes no more memory than a short one
_FEWEST_POINTS, _WIDTH, _ROUNDS = 8, 0.004, 8  # of a fit of the rotation; radians
_STIFFNESS = np.diag([0.2, 1e-3, 2.0])  # against pitch, yaw and roll that the points do not show
_NEAR_FOCUS = (
    0.02  # sine of the angle from it within which the direction of a movement is uncertain
)
_GREATEST_APART = 1.2  # speed of the near ground for that of the far
_SMOOTH_ROWS = 9  # to compare the speeds of near and far ground


@dataclass(frozen=True)
class CameraMotion:
    """How a camera moved until the next row; all (rows,) but the last two.

    speed: camera heights a second, 0 where the car stands; speed_error: half of the difference
    between near and far ground, for a standard error; yaw_rate: rad/s to the right; yaw_error: its
    standard error; usable: whether the frames show how it turned; near_to_far: the speed of the
    near ground for that of the far ground; shear: FramePair's sheared and told, (rows, 2).
    """

    speed: FloatArray
    speed_error: FloatArray
    yaw_rate: FloatArray
    yaw_error: FloatArray
    usable: BoolArray
    near_to_far: float
    shear: FloatArray

    def readout(self) -> tuple[float, float]:
        """Return the seconds from the first to the last row of a frame, of a rolling shutter, and
        the standard error.

        Rows that are taken later see the yaw of a later time, which differs where the yaw rate
        changes.
        """
        change = np.gradient(self.yaw_rate)

        def of(rows: IndexArray) -> float:
            weight = change[rows] ** 2 @ self.shear[rows, 1]
            return float(change[rows] @ self.shear[rows, 0] / max(weight, 1e-12))

        return of(np.arange(len(change))), block_jackknife(len(change), of)


def is_consistent(near_to_far: float) -> bool:
    """Return whether near and far ground show the same speed, as they do on flat ground with the
    right lens.
    """
    return 1 / _GREATEST_APART < near_to_far < _GREATEST_APART


class FramePair(NamedTuple):
    """How the camera moved from a frame to the next one.

    yaw, error: radians to the right; sheared: how much more the last row is turned than the first,
    in radians, times the sum of squares by which the points tell it; told: this sum; matches: of
    the far and the near ground at each speed, (2, speeds).
    """

    yaw: float = 0.0
    error: float = math.inf
    sheared: float = 0.0
    told: float = 0.0
    matches: Float32Array = np.zeros((2, len(_SPEEDS)), np.float32)

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.error)


def measure_motion(
    read: Callable[[int], Image | None],
    seconds: Sequence[float],
    ends: Sequence[bool],
    framing: Framing | None,
) -> CameraMotion:
    """Return how the camera moved in a drive.

    read: the index of a row -> its frame, RGB uint8 (160, 320, 3), called in several threads;
    seconds: until the next row, (rows,); ends: whether a gap follows, (rows,); framing: by which
    the frames were made, None for those of the simulator.
    """
    is_whole = framing is None or framing.lens is None
    seen = np.full((FRAME_HEIGHT, FRAME_WIDTH), True) if is_whole else sampling_of(framing).shows

    def measured(row: int) -> FramePair:
        before, after = (
            (None, None) if ends[row] or seconds[row] <= 0 else (read(row), read(row + 1))
        )
        if before is None or after is None or not is_shift(turn := shift_between(before, after)):
            return FramePair()
        points, places = moved_points(before, after, turn)
        shown = seen[tuple(points.astype(int).T[::-1])]
        pair = fit_rotation(points[shown], places[shown])
        return (
            pair._replace(matches=_matches(before, after, pair.yaw, seconds[row], seen))
            if pair.is_known
            else pair
        )

    turns = list[tuple[float, ...]]()  # of each pair all but its matches
    paths, apart = list[IndexArray](), list[IndexArray]()
    curves = np.zeros((2, 2 * _AROUND + 1))  # of far and near ground, at the speeds around the path
    with read_ahead("measuring the motion", "rows", measured, range(len(seconds) - 1)) as pairs:
        while part := list(islice(pairs, _ROWS_AT_ONCE)):
            turns += [pair[:-1] for pair in part]
            matches = np.array([pair.matches for pair in part])
            paths.append(_best_path(matches.sum(axis=1)))
            middle = np.clip(paths[-1], _AROUND, len(_SPEEDS) - 1 - _AROUND)
            around = middle[:, None] + np.arange(-_AROUND, _AROUND + 1)
            near_path = np.take_along_axis(matches, np.repeat(around[:, None], 2, axis=1), axis=2)
            curves += near_path[paths[-1] == middle].sum(axis=0)
            smooth = cv2.blur(
                near_path.reshape(len(part), -1), (1, _SMOOTH_ROWS), borderType=cv2.BORDER_REPLICATE
            )
            apart.append(np.diff(np.argmax(smooth.reshape(near_path.shape), axis=2), axis=1)[:, 0])
    path = np.concatenate([*paths, [0]])
    far, near, both = (top_of(curve) - _AROUND for curve in (*curves, curves.sum(axis=0)))
    speed = np.where(path > 0, _SPEEDS[path] * _STEP**both, 0.0)
    passed = np.maximum(seconds, 1e-3)
    yaw, error, *shear = np.array([*turns, FramePair()[:-1]]).T
    usable = np.isfinite(error) & (path < len(_SPEEDS) - 1)  # a faster car cannot be measured
    return CameraMotion(
        speed,
        speed * math.log(_STEP) / 2 * np.abs(np.concatenate([*apart, [0]])),
        yaw / passed,
        np.where(usable, error, 0.0) / passed,
        usable,
        float(_STEP ** (near - far)),
        np.stack(shear, 1),
    )


# ---- the turn


def fit_rotation(points: FloatArray, places: FloatArray) -> FramePair:
    """Return the rotation of the camera, without matches; of too few points, as one with an
    infinite error.

    points, places: of a frame and of the next one, (points, 2), column and row. For a rotation w, a
    ray r of the next frame, the ray p that it was, and the direction of travel t: (r + w x r) . (t
    x p) = 0.
    """
    if len(points) < _FEWEST_POINTS:
        return FramePair()
    before, after = _rays(points), _rays(places)
    across = np.cross([0.0, 0.0, 1.0], before)
    length = np.linalg.norm(across, axis=1) + _NEAR_FOCUS
    missed, turned = (
        np.sum(after * across, axis=1) / length,
        np.cross(after, across / length[:, None]),
    )
    weights, rotation = np.ones(len(points)), np.zeros(3)
    for _ in range(_ROUNDS):
        normal = (turned * weights[:, None]).T @ turned + _STIFFNESS
        rotation = np.linalg.solve(normal, -(turned * weights[:, None]).T @ missed)
        errors = missed + turned @ rotation
        weights = robust_weights(errors, _WIDTH)
    inverse = np.linalg.inv((turned * weights[:, None]).T @ turned + _STIFFNESS)
    variance = np.sum(weights * errors**2) / np.sum(weights) * inverse[1, 1]
    later = turned[:, 1] * (points[:, 1] / FRAME_HEIGHT - 0.5)
    later -= turned @ (inverse @ (turned.T @ (weights * later)))  # what no rotation explains
    sheared, told = -float(np.sum(weights * later * missed)), float(np.sum(weights * later**2))
    return FramePair(float(rotation[1]), math.sqrt(float(variance)), sheared, told)


def _rays(pixels: FloatArray) -> FloatArray:
    """Return the directions of pixels, (points, 3): right, down, ahead in the car, of length 1."""
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ simulated_camera()[0].T
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


# ---- the speed


def _detail(frame: Image, seen: BoolArray) -> Float32Array:
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray((gray - cv2.GaussianBlur(gray, (0, 0), _DETAIL_PX)) * seen, np.float32)


def _warped(frame: Float32Array, pixels: FloatArray) -> Float32Array:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpPerspective(frame, pixels, (_COLUMNS, _BOTTOM - _TOP), flags=flags), np.float32
    )


def _matches(
    before: Image, after: Image, yaw: float, seconds: float, seen: BoolArray
) -> Float32Array:
    """Return how the next frame matches what a camera sees that moved at each speed: far and near
    ground, (2, speeds).

    yaw: in these seconds, in radians to the right; seen: pixels of the frames that are compared,
    (160, 320).
    """
    ahead_m = _SPEEDS * seconds * HEIGHT_M
    move = CameraMove(ahead_m * math.sin(yaw / 2), np.full_like(ahead_m, yaw), ahead_m=ahead_m)
    ground, real = _detail(before, seen), _warped(_detail(after, seen), np.linalg.inv(_VIEW))
    made = np.array(
        [_warped(ground, warp) for warp in warp_to(move).through(_VIEW, np.eye(3)).ground]
    )
    both, one = np.einsum("vij,ij->vi", made, real), np.einsum("vij,vij->vi", made, made)
    other, noise = np.einsum("ij,ij->i", real, real), _NOISE**2 * made.shape[2]
    far_and_near = []
    for part in (slice(0, _MIDDLE - _TOP), slice(_MIDDLE - _TOP, None)):
        size = (one[:, part] + noise).sum(axis=1) * (other[part] + noise).sum()
        far_and_near.append(both[:, part].sum(axis=1) / np.sqrt(size))
    return np.array(far_and_near)


def _best_path(matches: FloatArray) -> IndexArray:
    """Return the index of a speed for each row, (rows,), with the greatest sum of matches and the
    fewest changes.
    """
    indices = np.arange(matches.shape[1])
    cost = _CHANGE_COST * np.abs(indices[:, None] - indices)
    total, back = matches[0], []
    for row in matches[1:]:
        reached = total - cost  # to each speed (rows) from each (columns)
        back.append(np.argmax(reached, axis=1))
        total = reached.max(axis=1) + row
    path = [int(np.argmax(total))]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])
