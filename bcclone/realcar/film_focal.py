"""Frames of a film with bends -> the focal length of its camera, with its error.

When a camera turns, the points of its picture move sideways: those in the middle by the turn times
the focal length f, those at a distance of x columns by 1 + (x / f)^2 times as much. So the way in
which a turn bends the picture tells f (R. Hartley, A. Zisserman, "Multiple View Geometry in
Computer Vision", 2nd edition, section 8.4, on cameras that rotate). The car drives on meanwhile,
which moves points away from the one towards which it heads; only movements at right angles to that
are used, as in diagnosis/odometry.py.

The scale of a film's steering is in proportion to 1 / f^2, and so are these differences; therefore
it is (half the width / f)^2 that is estimated here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.camera.lens import Lens
from bcclone.diagnosis.evidence import DriveEvidence
from bcclone.diagnosis.frame_figures import ReadFrame
from bcclone.diagnosis.heading import Heading, is_trusted
from bcclone.diagnosis.motion import is_shift, moved_points, shift_between
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.statistics import block_jackknife

_PAIRS = 150  # most pairs of frames that are compared
_FEWEST_PAIRS = 40
_FEWEST_POINTS = 15  # a pair with fewer points is not used
_HALF_WIDTH = FRAME_WIDTH / 2
# the focal lengths that are tried, as (half the width / f)^2: from 15 to 135 degrees
_SCALES = np.geomspace(math.tan(math.radians(7.5)) ** 2, math.tan(math.radians(67.5)) ** 2, 22)
# The camera is ahead of the rear axle, so in a bend the car heads for a point beside the middle:
# by these multiples of the turn
_SIDEWAYS = (0.0, 0.3, 0.6, 1.0, 1.5, 2.2, 3.0)


@dataclass(frozen=True)
class FocalEstimate:
    """The focal length that the bends of a film show."""

    scale: float  # (half the width / f)^2
    error: float  # standard error of `scale`
    fisheye: bool  # whether the lens is more like a fisheye's

    @property
    def is_sure(self) -> bool:
        """Return whether the scale of the steering would be good enough."""
        greatest_error = 0.25  # of the scale
        return self.error < greatest_error * self.scale

    @property
    def degrees(self) -> float:
        return self._degrees_at(self.scale)

    @property
    def range_degrees(self) -> tuple[float, float]:
        """Return the angles of view that are one standard error away."""
        smallest = max(self.scale - self.error, float(_SCALES[0]))
        return self._degrees_at(smallest), self._degrees_at(self.scale + self.error)

    def focal_px(self, width: int) -> float:
        """Return the focal length in pixels of a picture of this width."""
        return width / 2 / math.sqrt(self.scale)

    def contradicts(self, focal_px: float, width: int) -> bool:
        """Return whether a focal length that someone states is surely another one."""
        greatest_factor = 1.5  # of the steering's scale, from which it matters
        stated = (width / 2 / focal_px) ** 2
        factor = max(stated / self.scale, self.scale / stated)
        return factor > greatest_factor and abs(stated - self.scale) > 3 * self.error

    def _degrees_at(self, scale: float) -> float:
        lens = Lens(_HALF_WIDTH / math.sqrt(scale), 0.0, 0.0, fisheye=self.fisheye)
        return lens.degrees_across(FRAME_WIDTH)


def estimate_focal(
    evidence: DriveEvidence, read: ReadFrame, width: int, height: int
) -> FocalEstimate | None:
    """Return the focal length that the bends of a drive show; None if there are too few.

    read: index of a row -> its frame
    width, height: size of the pictures that were stretched to frames
    """
    heading = evidence.heading
    if heading is None or not is_trusted(heading):
        return None
    pairs = _turning_pairs(evidence, read)
    if len(pairs) < _FEWEST_PAIRS:
        return None
    return fit_focal(pairs, heading, height / width)


def fit_focal(
    pairs: Sequence[tuple[FloatArray, FloatArray]], heading: Heading, shape: float
) -> FocalEstimate:
    """Return the focal length with which the points of some pairs of frames move as they do.

    pairs: points of a frame, and their places in another one, (points, 2) each, in order of time
    heading: where the car heads on straight road
    shape: height / width of the pictures that were stretched to frames
    """
    points = _Points.of(pairs, heading, shape)
    of_kinds = [_estimate(_costs(points, fisheye), fisheye) for fisheye in (False, True)]
    best, other = sorted(of_kinds, key=lambda of_kind: of_kind.cost)
    error = best.error
    least_difference = 0.01  # of the cost, below which the kind of lens is not known
    if other.cost < (1 + least_difference) * best.cost:
        error = math.hypot(error, best.scale - other.scale)
    return FocalEstimate(best.scale, error, best.fisheye)


# ---- the pairs of frames


def _turning_pairs(evidence: DriveEvidence, read: ReadFrame) -> list[tuple[FloatArray, FloatArray]]:
    """Return points of frames in bends, and their places a moment later, (points, 2) each.

    The pairs of frames are those with the greatest turns, in order of time.
    """
    apart_seconds = 0.15
    least_turn = 1.5  # pixels of a frame
    seconds = evidence.rows.seconds
    step = max(1, round(apart_seconds / float(np.median(np.diff(seconds)))))
    turns = evidence.turns
    right = np.where(turns.usable, turns.right, np.nan)
    if len(right) < step:
        return []
    turned = np.abs(np.convolve(right, np.ones(step), "valid"))
    turned[~(turned > least_turn)] = 0.0

    chosen: list[int] = []
    is_taken = np.zeros(len(turned) + step, np.bool_)
    for row in np.argsort(-turned).tolist():
        if not turned[row] or len(chosen) == _PAIRS:
            break
        if not is_taken[row]:
            is_taken[max(row - step + 1, 0) : row + step] = True
            chosen.append(row)
    pairs = []
    for row in sorted(chosen):
        before = read(row)
        after = read(row + step)
        if before is None or after is None:
            continue
        turn = shift_between(before, after)
        if is_shift(turn):
            points, places = moved_points(before, after, turn)
            if len(points) >= _FEWEST_POINTS:
                pairs.append((points, places))
    return pairs


class _Points(NamedTuple):
    """The points of all pairs, in pixels from the middle of a picture as wide as a frame.

    Pairs have `most` points each; where there are fewer, `known` is 0.
    """

    middle: FloatArray  # middle between both places of a point, (pairs, most, 2)
    moved: FloatArray  # from the first place to the second, (pairs, most, 2)
    known: FloatArray  # 1 for a point, 0 for none, (pairs, most)
    focus: FloatArray  # where the car heads on straight road, (2,)

    @classmethod
    def of(
        cls, pairs: Sequence[tuple[FloatArray, FloatArray]], heading: Heading, shape: float
    ) -> "_Points":
        """Return the points of pairs.

        shape: height / width of the pictures that were stretched to frames
        """
        # frames are twice as wide as high, so rows have to be stretched
        stretch = np.array([1.0, shape * FRAME_WIDTH / FRAME_HEIGHT])
        center = np.array([FRAME_WIDTH - 1, FRAME_HEIGHT - 1]) / 2
        most = max(len(points) for points, _ in pairs)
        middle = np.zeros((len(pairs), most, 2))
        moved = np.zeros((len(pairs), most, 2))
        known = np.zeros((len(pairs), most))
        for pair, (points, places) in enumerate(pairs):
            count = len(points)
            middle[pair, :count] = ((points + places) / 2 - center) * stretch
            moved[pair, :count] = (places - points) * stretch
            known[pair, :count] = 1.0
        focus = (np.array([heading.column, heading.row]) - center) * stretch
        return cls(middle, moved, known, focus)


# ---- the fit


class _KindEstimate(NamedTuple):
    """What is estimated for a kind of lens."""

    cost: float
    scale: float
    error: float
    fisheye: bool


def _estimate(costs: FloatArray, fisheye: bool) -> _KindEstimate:
    """Return the scale with the least cost, and its standard error.

    costs: as _costs() returns them
    """

    def best_scale(pairs: IndexArray) -> float:
        curve = costs[:, :, pairs].sum(axis=2).min(axis=0)
        lowest = int(np.argmin(curve))
        if not 0 < lowest < len(curve) - 1:
            return float(_SCALES[lowest])
        # the vertex of the parabola through the lowest point and its neighbours
        around = slice(lowest - 1, lowest + 2)
        bend, slope, _ = np.polyfit(np.log(_SCALES[around]), curve[around], 2)
        return math.exp(-slope / (2 * bend)) if bend > 0 else float(_SCALES[lowest])

    pairs = costs.shape[2]
    total = costs.sum(axis=2)
    scale = best_scale(np.arange(pairs))
    error = block_jackknife(pairs, best_scale)
    if int(np.argmin(total.min(axis=0))) in (0, len(_SCALES) - 1):
        error = math.inf  # the true one may lie beyond those that are tried
    return _KindEstimate(float(total.min()), scale, error, fisheye)


def _costs(points: _Points, fisheye: bool) -> FloatArray:
    """Return how badly each pair fits, (multiples of _SIDEWAYS, _SCALES, pairs)."""
    costs = np.zeros((len(_SIDEWAYS), len(_SCALES), len(points.known)))
    for index, scale in enumerate(_SCALES):
        focal_px = _HALF_WIDTH / math.sqrt(scale)
        flow = _flow_of_turns(points.middle.reshape(-1, 2), focal_px, fisheye)
        flow = flow.reshape(*points.middle.shape, 3)
        for multiple, sideways in enumerate(_SIDEWAYS):
            costs[multiple, index] = _cost(points, flow, focal_px, sideways)
    return costs


def _cost(points: _Points, flow: FloatArray, focal_px: float, sideways: float) -> FloatArray:
    """Return how badly each pair fits a focal length: the logarithms of Cauchy's distribution.

    flow: as _flow_of_turns() returns it, (pairs, points, 2, 3)
    sideways: see _SIDEWAYS
    """
    wide_px = 0.4  # error of a point whose weight is half
    rounds = 10  # of the robust fit
    # keeps pitch, yaw and roll small where the points hardly show them
    stiffness = np.diag([1.0, 1e-3, 4.0]) * 0.01 * focal_px**2
    weights = points.known
    turns = np.zeros((len(points.known), 3))
    for _ in range(rounds):
        # the direction at right angles to the line from the focus to each point
        focus = np.tile(points.focus, (len(turns), 1))
        focus[:, 0] += focal_px * sideways * turns[:, 1]
        away = points.middle - focus[:, np.newaxis]
        length = np.maximum(np.linalg.norm(away, axis=2), 1.0)
        across = np.stack([-away[..., 1], away[..., 0]], axis=2) / length[..., np.newaxis]

        # the turns of each pair, by weighted least squares
        per_turn = np.einsum("pni,pnik->pnk", across, flow)
        moved = np.einsum("pni,pni->pn", across, points.moved)
        weighted = per_turn * weights[..., np.newaxis]
        normal = np.einsum("pnk,pnl->pkl", weighted, per_turn) + stiffness
        right_side = np.einsum("pnk,pn->pk", weighted, moved)
        turns = np.linalg.solve(normal, right_side[..., np.newaxis])[..., 0]
        errors = moved - np.einsum("pnk,pk->pn", per_turn, turns)
        weights = points.known / (1 + (errors / wide_px) ** 2)
    costs = points.known * np.log1p((errors / wide_px) ** 2)
    return np.asarray(costs.sum(axis=1))


def _flow_of_turns(pixels: FloatArray, focal_px: float, fisheye: bool) -> FloatArray:
    """Return how pixels move for a pitch, a yaw and a roll of the camera of one radian.

    The yaw is to the right. The result has the shape (pixels, 2, 3).

    pixels: column and row from the middle of the picture, (pixels, 2)
    """
    small = 1e-4  # radians
    rays = _rays(pixels, focal_px, fisheye)
    flows = []
    for axis in np.eye(3):
        turned = rays - np.cross(small * axis, rays)
        flows.append((_pixels(turned, focal_px, fisheye) - pixels) / small)
    return np.stack(flows, axis=2)


def _rays(pixels: FloatArray, focal_px: float, fisheye: bool) -> FloatArray:
    """Return the directions that pixels show, (pixels, 3): right, down, ahead.

    pixels: as in _flow_of_turns()
    """
    if not fisheye:
        return np.column_stack([pixels / focal_px, np.ones(len(pixels))])
    distance = np.maximum(np.hypot(pixels[:, 0], pixels[:, 1]), 1e-6)
    angle = distance / focal_px
    sideways = pixels * (np.sin(angle) / distance)[:, np.newaxis]
    return np.column_stack([sideways, np.cos(angle)])


def _pixels(rays: FloatArray, focal_px: float, fisheye: bool) -> FloatArray:
    """Return the pixels that show directions, as in _flow_of_turns().

    rays: as _rays() returns them
    """
    if not fisheye:
        return np.asarray(rays[:, :2] / rays[:, 2:] * focal_px)
    across = np.maximum(np.hypot(rays[:, 0], rays[:, 1]), 1e-12)
    angle = np.arctan2(across, rays[:, 2])
    return np.asarray(rays[:, :2] * (angle / across * focal_px)[:, np.newaxis])
