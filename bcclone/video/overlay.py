"""Frame, moment -> the picture of a clip with all that is known drawn onto it. No files, no state."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.errors import UserError
from bcclone.images import Image
from bcclone.recording.run_tables import TRACE
from bcclone.video.draw import GROUND, ROAD, SKY, WHITE, dim, dot, heat, path, text, text_width
from bcclone.video.panel import Panel
from bcclone.video.run_data import Array, Facts, Moment

Frames = npt.NDArray[np.int64]
Layer = npt.NDArray[np.float32]

_MARGIN = 8
_DIMMED = 0.35  # what is left of the frame's brightness under the map
_SET_BACK_M = 4.0  # between two frames: the car was put somewhere else
_ROAD_PIXELS, _LINE_PIXELS = 4, 2


@dataclass(frozen=True)
class TrackMap:
    """A map. kept, road: what share of the frame under it is kept, and what the dimmed ground and the road add to that,
    float32 (size, size, 1) and (size, size, 3); spots: where the car
    was at each frame, (frames, 2), NaN where that is not known; stretches: the driven line, each between two places
    where the car was put somewhere else: the numbers of its frames, and its points."""

    kept: Layer
    road: Layer
    spots: Array
    stretches: tuple[tuple[Frames, Array], ...]

    @property
    def size(self) -> int:
        """Return how many pixels wide and high it is."""
        return len(self.road)

    def draw(self, picture: Image, at: tuple[int, int], place: int) -> None:
        """Draw the map with its upper left corner at a point, and the line up to a frame."""
        x, y = at
        part = picture[y : y + self.size, x : x + self.size]
        part[:] = part * self.kept + self.road
        for frames, points in self.stretches:
            if (count := int(np.searchsorted(frames, place, side="right"))) > 1:
                path(part, points[:count], SKY, _LINE_PIXELS)
        spot = self.spots[place]
        if np.isfinite(spot).all():
            dot(part, (spot[0], spot[1]), 5.5, GROUND)
            dot(part, (spot[0], spot[1]), 4.0, WHITE)


def make_map(road: Array, places: Array, size: int) -> TrackMap:
    """Return the map of a track. road: x and z of its centre line, (points, 2), metres; places: x and z of the car at
    each frame; z points up on the map."""
    low, high = road.min(axis=0), road.max(axis=0)
    scale = (size - 2 * _MARGIN) / (high - low).max()
    middle = (low + high) / 2

    def on_map(points: Array) -> Array:
        return np.asarray((points - middle) * (scale, -scale) + size / 2)

    spots = on_map(places)
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    moved = np.hypot(*np.diff(places[known], axis=0).T)
    pieces = np.split(known, np.flatnonzero(moved > _SET_BACK_M) + 1)
    thin = (_thinned(piece, spots) for piece in pieces if len(piece))
    stretches = tuple((frames, spots[frames]) for frames in thin)
    covered = np.zeros((size, size), np.uint8)
    path(covered, on_map(road), (255,), _ROAD_PIXELS, closed=True)
    share = covered[..., np.newaxis] / 255
    ground = np.array(GROUND) * (1 - _DIMMED)
    kept, added = _DIMMED * (1 - share), ground * (1 - share) + np.array(ROAD) * share
    return TrackMap(kept.astype(np.float32), added.astype(np.float32), spots, stretches)


def _thinned(frames: Frames, spots: Array) -> Frames:
    """Return the frames of a stretch without those within the same half pixel as the one before them: an hour's drive
    goes round and round, and takes no longer to draw than its pixels."""
    cells = np.rint(spots[frames] * 2)
    return np.asarray(frames[np.concatenate([[True], (np.diff(cells, axis=0) != 0).any(axis=1)])])


_MAP_SHARE = 0.42  # of the frame's height
_TITLE, _PAD = 14, 8
_ENDED = 0.45


@dataclass(frozen=True)
class Overlay:
    """How a run's frames are drawn: enlarged to `width` pixels, a title and a map on them, and the panel below."""

    name: str
    width: int
    panel: Panel
    track_map: TrackMap | None = None

    def draw(self, frame: Image, moment: Moment) -> Image:
        """Return the picture, RGB uint8 (height, width, 3), for a frame, RGB uint8."""
        lit = frame if moment.mask is None else heat(frame, moment.mask)
        height = round(frame.shape[0] * self.width / frame.shape[1])
        whole = np.empty((height + self.panel.height, self.width, 3), np.uint8)
        picture = whole[:height]
        cv2.resize(lit, (self.width, height), dst=picture, interpolation=cv2.INTER_CUBIC)
        if moment.ended:
            dim(picture, _ENDED)
        title = f"{self.name}   {moment.seconds:.1f} s{'   ended' if moment.ended else ''}"
        dim(picture[_PAD : _PAD + 22, _PAD : _PAD + text_width(title, _TITLE) + 14], 0.35)
        text(picture, title, (_PAD + 7, _PAD + 16), _TITLE, WHITE)
        if self.track_map is not None:
            self.track_map.draw(picture, (self.width - self.track_map.size - _PAD, _PAD), moment.place)
        if self.panel.height:
            self.panel.draw(whole[height:], moment)
        return whole


def make_overlay(name: str, width: int, facts: Facts, size: tuple[int, int], model: bool) -> Overlay:
    """Return the overlay of a run that has room for what its facts know; raises UserError for an unknown track.

    size: width and height of its frames, pixels; model: whether a model is asked, too.
    """
    road_half_m, track_map = None, None
    if facts.track is not None and facts.places is not None:
        from bcclone.simulator.track import ROADS, load_track

        if facts.track not in ROADS:
            raise UserError(
                f"{name}: its {TRACE.name} names the track {facts.track!r}, expected {' or '.join(ROADS)}; mend it, or "
                f"remove the file, and {TRACE.provides} is left out"
            )
        track = load_track(facts.track)
        road_half_m = track.road.asphalt_half_width_m
        map_size = round(size[1] * width / size[0] * _MAP_SHARE)
        track_map = make_map(track.line[:, [0, 2]], facts.places, map_size)
    panel = Panel(
        width,
        driver=facts.driver if facts.steering is not None else "",
        model=model,
        speed=facts.speed_mph is not None,
        latency=facts.latency_ms is not None,
        road_half_m=road_half_m,
    )
    return Overlay(name, width, panel, track_map)


def moment_of(facts: Facts, place: int) -> Moment:
    """Return what is known of a frame without a model."""

    def known(column: Array | None) -> float | None:
        return None if column is None or not np.isfinite(column[place]) else float(column[place])

    return Moment(
        float(facts.seconds[place]),
        place,
        steering=known(facts.steering),
        speed_mph=known(facts.speed_mph),
        latency_ms=known(facts.latency_ms),
        cross_track_m=known(facts.cross_track_m),
    )


def beside(left: Image, right: Image) -> Image:
    """Return two pictures, RGB uint8 (height, width, 3), in one, the lower one filled up below, with a gap between."""
    height = max(len(left), len(right))
    gap = np.full((height, 4, 3), GROUND, np.uint8)

    def filled(picture: Image) -> Image:
        return np.vstack([picture, np.full((height - len(picture), picture.shape[1], 3), GROUND, np.uint8)])

    return np.hstack([filled(left), gap, filled(right)])
