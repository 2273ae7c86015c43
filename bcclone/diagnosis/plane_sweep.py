"""Frames of a camera over a flat road -> how well each speed explains two of them; the speeds.

A camera over a flat road sees its own height everywhere: from each frame, the views are made of a
camera that has moved ahead at each of many speeds (warp_to()), and the speed is the one whose view
of the ground is the next frame: a plane sweep (R. T. Collins, "A Space-Sweep Approach to True
Multi-Image Matching", 1996). Speeds change gradually, so the sequence of speeds with the best
matches and the fewest changes is taken (Viterbi's algorithm). A wrong focal length changes
distances ahead and speeds, but hardly the lateral offset; a wrong horizon changes all, and shows in
different speeds of near and far ground.
"""

import math

import numpy as np

from bcclone.camera.geometry import HEIGHT_M, CameraMove, warp_to
from bcclone.camera.images import Image
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from bcclone.system.opencv import cv2
from bcclone.system.statistics import top_of

_STEP = 1.08  # each speed is 8 % more than the one before
_SLOWEST = 0.6  # camera heights a second
_SPEEDS = np.concatenate([[0.0], _SLOWEST * _STEP ** np.arange(62)])
NO_MATCHES = np.zeros((2, len(_SPEEDS)), np.float32)

# the ground that is compared: rows of a frame, far and near; below them may be a bonnet
_TOP = 80
_MIDDLE = 102
_BOTTOM = 134
# and its columns, every second one
_LEFT = 20
_COLUMN_STEP = 2
_COLUMNS = 140
_VIEW = np.array([[1 / _COLUMN_STEP, 0, -_LEFT / _COLUMN_STEP], [0, 1, -_TOP], [0, 0, 1.0]])
_AROUND = 6  # steps of speed to either side, where near and far ground are compared


def matches_of_speeds(
    before: Image, after: Image, yaw: float, seconds: float, seen: BoolArray
) -> Float32Array:
    """Return how a frame matches what a camera sees that has moved at each speed, (2, speeds).

    The first row is of the far ground, the second row of the near ground.

    yaw: turn of the camera between the frames, in radians to the right
    seconds: time between the frames
    seen: which pixels of the frames are compared, (160, 320)
    """
    noise_levels = 2.0  # grey levels of a pixel
    ahead_m = _SPEEDS * seconds * HEIGHT_M
    move = CameraMove(ahead_m * math.sin(yaw / 2), np.full_like(ahead_m, yaw), ahead_m=ahead_m)
    ground = _detail(before, seen)
    real = _warped(_detail(after, seen), np.linalg.inv(_VIEW))
    warps = warp_to(move).through(_VIEW, np.eye(3)).ground
    made = np.array([_warped(ground, warp) for warp in warps])

    # correlations of both pictures; noise keeps plain ground from matching
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
    """Return a frame without its coarse shades, which hardly move, grey (160, 320)."""
    coarse_px = 5.0
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray((gray - cv2.GaussianBlur(gray, (0, 0), coarse_px)) * seen, np.float32)


def _warped(frame: Float32Array, pixels: FloatArray) -> Float32Array:
    """Return the ground that is compared, (rows, columns).

    pixels: matrix (3, 3) from pixels of this ground to pixels of the frame
    """
    size = (_COLUMNS, _BOTTOM - _TOP)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(frame, pixels, size, flags=flags), np.float32)


class SpeedPath:
    """The speeds of a drive; add() the matches of its pairs of frames, part by part, in order.

    Arrays are (rows,): of each pair, and 0 for the last row.
    """

    def __init__(self) -> None:
        self._paths: list[IndexArray] = []  # index of the speed of each pair
        self._apart: list[IndexArray] = []  # steps from the far ground's speed to the near one's
        # matches of far and near ground, at the speeds around the path, summed
        self._curves = np.zeros((2, 2 * _AROUND + 1))

    def add(self, matches: Float32Array) -> None:
        """Add the matches of successive pairs, (pairs, 2, speeds)."""
        smooth_rows = 9  # to compare the speeds of near and far ground
        path = _best_path(matches.sum(axis=1))
        middle = np.clip(path, _AROUND, len(_SPEEDS) - 1 - _AROUND)
        around = middle[:, None] + np.arange(-_AROUND, _AROUND + 1)
        near_path = np.take_along_axis(matches, np.repeat(around[:, None], 2, axis=1), axis=2)
        self._curves += near_path[path == middle].sum(axis=0)
        smooth = cv2.blur(
            near_path.reshape(len(matches), -1),
            (1, smooth_rows),
            borderType=cv2.BORDER_REPLICATE,
        )
        tops = np.argmax(smooth.reshape(near_path.shape), axis=2)
        self._paths.append(path)
        self._apart.append(np.diff(tops, axis=1)[:, 0])

    @property
    def speed(self) -> FloatArray:
        """Return camera heights a second, 0 where the car stands."""
        path = self._path
        finer = _top(self._curves.sum(axis=0))  # between two of the speeds
        return np.where(path > 0, _SPEEDS[path] * _STEP**finer, 0.0)

    @property
    def speed_error(self) -> FloatArray:
        """Return half of the difference between the speeds of near and far ground."""
        steps = np.abs(np.concatenate([*self._apart, [0]]))
        return np.asarray(self.speed * math.log(_STEP) / 2 * steps)

    @property
    def is_measured(self) -> BoolArray:
        """Return where the speed is below the fastest of _SPEEDS: a faster car looks the same."""
        return np.asarray(self._path < len(_SPEEDS) - 1)

    @property
    def near_to_far(self) -> float:
        """Return the ratio of the near ground's speed to the far ground's; 1 if both agree."""
        far, near = self._curves
        return float(_STEP ** (_top(near) - _top(far)))

    @property
    def _path(self) -> IndexArray:
        return np.concatenate([*self._paths, [0]])


def _top(curve: FloatArray) -> float:
    """Return where a curve around the path is highest, in steps from the path."""
    return top_of(curve) - _AROUND


def _best_path(matches: FloatArray) -> IndexArray:
    """Return the index of a speed for each row, (rows,), by the matches, (rows, speeds).

    It is the sequence with the greatest sum of matches, after the cost of changes is taken off.
    """
    change_cost = 0.15  # taken off the matches for each step of speed between successive rows
    indices = np.arange(matches.shape[1])
    cost = change_cost * np.abs(indices[:, None] - indices)
    total = matches[0]
    back = []
    for row in matches[1:]:
        reached = total - cost  # to each speed (rows) from each (columns)
        back.append(np.argmax(reached, axis=1))
        total = reached.max(axis=1) + row
    path = [int(np.argmax(total))]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])
