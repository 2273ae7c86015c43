"""Frames of a camera over a flat road -> the car's speeds, in camera heights a second.

Over a flat road, a frame tells what a camera sees that has moved ahead at any speed: warp_to()
makes this view of the ground from the frame. The view is made for each of many speeds, and compared
with the next frame: how alike they are is the match of the speed. This is a plane sweep
(R. T. Collins, "A Space-Sweep Approach to True Multi-Image Matching", 1996). Speeds change
gradually, so the sequence of speeds with the best matches and the fewest changes is taken, the path
(Viterbi's algorithm).

If the horizon is wrong, near and far ground show different speeds (SpeedPath.near_to_far). A wrong
focal length does not show in this way: it changes both speeds by the same factor.
"""

import math

import numpy as np

from bcclone.camera.geometry import HEIGHT_M, CameraMove, warp_to
from bcclone.camera.images import Image, cv2
from bcclone.system.numbers import BoolArray, Float32Array, FloatArray, IndexArray, top_of

_STEP = 1.08  # each speed that is tried is 8 % more than the speed before
_SLOWEST = 0.6  # camera heights a second; the smallest speed that is tried, beside 0
_SPEEDS = np.concatenate([[0.0], _SLOWEST * _STEP ** np.arange(62)])
NO_MATCH = -1.0  # match of a speed that is excluded; no other match is less
# what matches_of_speeds() would return, for two frames that are not compared
NO_MATCHES = np.zeros((2, len(_SPEEDS)), np.float32)

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
# near and far ground are compared at this many speeds to either side of the path
_AROUND = 6


def matches_of_speeds(
    before: Image, after: Image, yaw: float, seconds: float, seen: BoolArray
) -> Float32Array:
    """Return the match of each speed, (2, speeds), -1 to 1.

    The first row is for the far ground, the second row for the near ground.

    before, after: a frame and the next one, RGB uint8 (160, 320, 3)
    yaw: turn of the camera between the frames, in radians to the right
    seconds: time between the frames
    seen: which pixels of the frames are compared, (160, 320)
    """
    noise_levels = 2.0  # noise of a pixel, in grey levels of 0 to 255
    # the real view of the ground, (rows, columns), and the view at each speed, (speeds, rows,
    # columns)
    ahead_m = _SPEEDS * seconds * HEIGHT_M
    # a car that turns by a small yaw drives an arc, whose chord points yaw / 2 to the side
    move = CameraMove(
        lateral_offset_m=ahead_m * math.sin(yaw / 2),
        yaw_rad=np.full_like(ahead_m, yaw),
        ahead_m=ahead_m,
    )
    ground = _detail(before, seen)
    # both from pixels of the ground that is compared: to the same places in `after`, and to the
    # places in `before` that a camera which has moved would see there
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
    """Return a grey frame without its coarse shades, which hardly move, (160, 320).

    seen: which pixels are compared; the others become 0
    """
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


class SpeedPath:
    """The speeds of a drive; add() the matches of its pairs of frames, part by part, in order.

    Arrays are (frames,): a frame's value is that of the pair which it begins. The last frame begins
    no pair; its speed is 0.
    """

    def __init__(self) -> None:
        self._paths: list[IndexArray] = []  # for each part, the index of each pair's speed
        # for each part, steps from the speed of the far ground to that of the near ground
        self._apart: list[IndexArray] = []
        # matches of far and near ground at the speeds around the path, summed over all pairs
        self._curves = np.zeros((2, 2 * _AROUND + 1))

    def add(self, matches: Float32Array) -> None:
        """Add the matches of successive pairs, (pairs, 2, speeds)."""
        smooth_pairs = 9  # pairs whose matches are averaged to compare near and far ground
        path = _best_path(matches.sum(axis=1))

        # the matches of far and near ground at the speeds around the path, (pairs, 2, these speeds)
        middle = np.clip(path, _AROUND, len(_SPEEDS) - 1 - _AROUND)
        speeds = middle[:, None] + np.arange(-_AROUND, _AROUND + 1)
        curves = np.take_along_axis(matches, np.repeat(speeds[:, None], 2, axis=1), axis=2)
        # a path at the end of the scale is not in the middle of its curves
        self._curves += curves[path == middle].sum(axis=0)

        # at which speeds the far and the near ground match best
        smooth = cv2.blur(
            curves.reshape(len(matches), -1),
            (1, smooth_pairs),
            borderType=cv2.BORDER_REPLICATE,
        )
        tops = np.argmax(smooth.reshape(curves.shape), axis=2)
        self._paths.append(path)
        self._apart.append(np.diff(tops, axis=1)[:, 0])

    @property
    def speed(self) -> FloatArray:
        """Return camera heights a second, 0 where the car stands."""
        path = self._path
        # the true speeds lie between those that are tried: on average, `finer` steps above the path
        finer = _top(self._curves.sum(axis=0))
        return np.where(path > 0, _SPEEDS[path] * _STEP**finer, 0.0)

    @property
    def speed_error(self) -> FloatArray:
        """Return half of the difference between the speeds that near and far ground show."""
        steps = np.abs(np.concatenate([*self._apart, [0]]))
        return np.asarray(self.speed * math.log(_STEP) / 2 * steps)

    @property
    def is_measured(self) -> BoolArray:
        """Return whether the speed is below the fastest of _SPEEDS, which any faster car gets."""
        return np.asarray(self._path < len(_SPEEDS) - 1)

    @property
    def near_to_far(self) -> float:
        """Return the near ground's speed / the far ground's speed; 1 if both agree."""
        far, near = self._curves
        return float(_STEP ** (_top(near) - _top(far)))

    @property
    def _path(self) -> IndexArray:
        return np.concatenate([*self._paths, [0]])


def _top(curve: FloatArray) -> float:
    """Return where a curve of matches around the path is highest, in steps from the path."""
    return top_of(curve) - _AROUND


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
