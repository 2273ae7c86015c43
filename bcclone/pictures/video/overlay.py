"""Draw the overlay: a frame and its values -> a picture with title, map, saliency, and the panel below."""

from dataclasses import dataclass

import numpy as np

from bcclone.dataset.images import Image
from bcclone.pictures.video.draw import GROUND, ROAD, SKY, WHITE, dim, dot, path, saliency_overlay, text, text_width
from bcclone.pictures.video.panel import Panel
from bcclone.pictures.video.run_data import FrameInfo, RunData
from bcclone.recording.run_tables import TRACE
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2

_TITLE, _PAD = 14, 8  # pixels
_TITLE_DIMMED, _ENDED_DIMMED = 0.35, 0.45  # fraction of the frame's brightness that is kept
_MAP_HEIGHT = 0.42  # fraction of the frame's height
_MAP_MARGIN = 8
_MAP_DIMMED = 0.35
_ROAD_PIXELS, _LINE_PIXELS = 4, 2
_SET_BACK_M = 4.0  # a car that moves farther between two frames was set back, or not recorded
_GAP_PIXELS = 4  # between two runs side by side


def make_overlay(name: str, width: int, data: RunData, size: tuple[int, int], with_model: bool) -> "Overlay":
    """Return an overlay with a place for each value of a run; raises UserError for an unknown track.

    width: of the picture, in pixels; size: width and height of the run's frames; with_model: whether a reference model
    steers, too.
    """
    road_half_m, track_map = None, None
    if data.track is not None and data.positions is not None:
        from bcclone.simulator.track import load_track

        try:
            track = load_track(data.track)
        except UserError as error:
            raise UserError(
                f"{name}: {TRACE.name}: {error}; correct it, or remove the file to leave out {TRACE.provides}"
            ) from None
        road_half_m = track.road.width_m / 2
        map_size = round(size[1] * width / size[0] * _MAP_HEIGHT)
        track_map = make_map(track.line[:, [0, 2]], data.positions, map_size, track.closed)
    panel = Panel(
        width,
        driver=data.driver if data.steering is not None else "",
        model=with_model,
        speed=data.speed_mph is not None,
        latency=data.latency_ms is not None,
        road_half_m=road_half_m,
    )
    return Overlay(name, width, panel, track_map)


@dataclass(frozen=True)
class Overlay:
    """How a run's frames are drawn: scaled to `width` pixels, with a title and a map on them and a panel below."""

    name: str
    width: int
    panel: Panel
    track_map: "TrackMap | None" = None

    def draw(self, frame: Image, info: FrameInfo) -> Image:
        """Return the picture for a frame; both are RGB uint8 (height, width, 3)."""
        lit = frame if info.mask is None else saliency_overlay(frame, info.mask)
        height = round(frame.shape[0] * self.width / frame.shape[1])
        picture = np.empty((height + self.panel.height, self.width, 3), np.uint8)
        upper = picture[:height]
        cv2.resize(lit, (self.width, height), dst=upper, interpolation=cv2.INTER_CUBIC)
        if info.ended:
            dim(upper, _ENDED_DIMMED)
        state = "   ended" if info.ended else "   a person steers" if info.taken_over else ""
        title = f"{self.name}   {info.seconds:.1f} s{state}"
        dim(upper[_PAD : _PAD + 22, _PAD : _PAD + text_width(title, _TITLE) + 14], _TITLE_DIMMED)
        text(upper, title, (_PAD + 7, _PAD + 16), _TITLE, WHITE)
        if self.track_map is not None:
            self.track_map.draw(upper, (self.width - self.track_map.size - _PAD, _PAD), info.index)
        if self.panel.height:
            self.panel.draw(picture[height:], info)
        return picture


@dataclass(frozen=True)
class TrackMap:
    """A map of the track with the driven line. What does not change from frame to frame is drawn once.

    kept: fraction of the frame below that is kept, float32 (size, size, 1); road: what the dimmed ground and the road
    add to it, float32 (size, size, 3); points: the car at each frame, (frames, 2), pixels, NaN where unknown;
    stretches: the driven line between two places where the car was set back, as indices of frames and their points.
    """

    kept: Float32Array
    road: Float32Array
    points: FloatArray
    stretches: tuple[tuple[IndexArray, FloatArray], ...]

    @property
    def size(self) -> int:
        """Return the width and height in pixels."""
        return len(self.road)

    def draw(self, picture: Image, at: tuple[int, int], index: int) -> None:
        """Draw the map with its upper left corner at a point, the line up to a frame, and the car there."""
        x, y = at
        area = picture[y : y + self.size, x : x + self.size]
        area[:] = area * self.kept + self.road
        for frames, points in self.stretches:
            if (count := int(np.searchsorted(frames, index, side="right"))) > 1:
                path(area, points[:count], SKY, _LINE_PIXELS)
        car = self.points[index]
        if np.isfinite(car).all():
            dot(area, (car[0], car[1]), 5.5, GROUND)
            dot(area, (car[0], car[1]), 4.0, WHITE)


def make_map(road: FloatArray, positions: FloatArray, size: int, closed: bool = True) -> TrackMap:
    """Return the map of a track, with z pointing up.

    road: x and z of its centre line, (points, 2), metres; positions: x and z of the car at each frame, (frames, 2);
    size: width and height, in pixels; closed: the road ends where it begins.
    """
    low, high = road.min(axis=0), road.max(axis=0)
    scale = (size - 2 * _MAP_MARGIN) / (high - low).max()
    middle = (low + high) / 2

    def on_map(points: FloatArray) -> FloatArray:
        return np.asarray((points - middle) * (scale, -scale) + size / 2)

    points = on_map(positions)
    located = np.flatnonzero(np.isfinite(positions).all(axis=1))
    moved_m = np.hypot(*np.diff(positions[located], axis=0).T)
    stretches = np.split(located, np.flatnonzero(moved_m > _SET_BACK_M) + 1)
    thinned = [_thinned(stretch, points) for stretch in stretches if len(stretch)]
    covered = np.zeros((size, size), np.uint8)
    path(covered, on_map(road), (255,), _ROAD_PIXELS, closed)
    coverage = covered[..., np.newaxis] / 255
    ground = np.array(GROUND) * (1 - _MAP_DIMMED)
    kept, added = _MAP_DIMMED * (1 - coverage), ground * (1 - coverage) + np.array(ROAD) * coverage
    lines = tuple((frames, points[frames]) for frames in thinned)
    return TrackMap(kept.astype(np.float32), added.astype(np.float32), points, lines)


def _thinned(frames: IndexArray, points: FloatArray) -> IndexArray:
    """Leave out frames within half a pixel of the previous one, so that long drives are drawn as fast as short ones."""
    cells = np.rint(points[frames] * 2)
    return np.asarray(frames[np.concatenate([[True], (np.diff(cells, axis=0) != 0).any(axis=1)])])


def side_by_side(left: Image, right: Image) -> Image:
    """Join two pictures, RGB uint8 (height, width, 3), with a gap between; the lower one is filled up below."""
    height = max(len(left), len(right))
    gap = np.full((height, _GAP_PIXELS, 3), GROUND, np.uint8)

    def filled(picture: Image) -> Image:
        return np.vstack([picture, np.full((height - len(picture), picture.shape[1], 3), GROUND, np.uint8)])

    return np.hstack([filled(left), gap, filled(right)])
