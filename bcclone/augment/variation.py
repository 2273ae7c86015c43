"""Settings -> a batch of samples, each varied in its own way; nothing but seed, epoch and place decides how."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.augment.look import Change, Extent, draw_looks
from bcclone.augment.settings import AugmentSettings
from bcclone.augment.viewpoint import Cameras, draw_viewpoints
from bcclone.images import Image, Preprocessing
from bcclone.view import Warp

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Instants:
    """What varying needs to know of samples, (samples,) each.

    flipped: whether the images are mirror images; lookahead_m: how far ahead on its line the car aims that comes back.
    """

    flipped: npt.NDArray[np.bool_]
    lookahead_m: Floats

    def __post_init__(self) -> None:
        if len(self.flipped) != len(self.lookahead_m):
            raise ValueError(f"{len(self.flipped)} flips for {len(self.lookahead_m)} lookaheads, expected as many")

    def at(self, positions: npt.NDArray[np.uint32]) -> "Instants":
        """Return those of the samples at these positions, uint32 (positions,)."""
        return Instants(self.flipped[positions], self.lookahead_m[positions])


class Variation:
    """Varies samples of one preprocessing; rows: which rows of their images, all or those that the network sees."""

    def __init__(self, settings: AugmentSettings, preprocessing: Preprocessing, rows: slice = slice(None)) -> None:
        top, below, _ = rows.indices(preprocessing.height)
        self._settings, self._preprocessing, self._rows = settings, preprocessing, slice(top, below)
        self._extent = Extent(top, below - top, preprocessing.width, preprocessing.height)
        self._cameras = Cameras(preprocessing, top)

    def vary(self, images: Image, steering: Floats, instants: Instants, seed: Sequence[int], into: Image) -> Floats:
        """Write varied images into `into` and return the steering that they call for.

        images, into: uint8 (samples, height, width, 3) or windows of them, whose frames are varied alike; steering:
        float32 (samples, 1), -1 to 1.
        """
        random, count = np.random.default_rng(seed), len(steering)
        viewpoints = draw_viewpoints(self._settings, count, random)
        warps, moved = self._cameras.warps(viewpoints, instants.flipped), self._settings.moves_camera | instants.flipped
        looks = draw_looks(self._settings, self._extent, count, random)
        room = _Room(self._preprocessing, self._extent.rows)
        into[:] = images
        for place, changes in enumerate(looks):
            warp = warps[place] if moved[place] else None
            for view in into[place].reshape(-1, *images.shape[-3:]):
                room.change(view, self._rows, warp, changes)
        if not self._settings.moves_camera:
            return steering
        changed = steering + viewpoints.steering_change(instants.lookahead_m.astype(np.float64))[:, np.newaxis]
        return changed.clip(-1.0, 1.0).astype(np.float32)


class _Room:
    """Room to change images in; to get new memory for each of them would take as long as the work itself."""

    def __init__(self, preprocessing: Preprocessing, rows: int) -> None:
        self._preprocessing, width = preprocessing, preprocessing.width
        self._whole = np.empty((preprocessing.height, width, 4), np.uint8)
        self._seen = np.empty((rows, width, 4), np.uint8)
        self._spare = np.empty((rows, width, 3), np.uint8)

    def change(self, image: Image, rows: slice, warp: Warp | None, changes: Sequence[Change]) -> None:
        """Change these rows of a prepared image in place."""
        view = image[rows]
        if warp is not None:
            cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, self._whole)
            warp.draw(self._whole, self._seen)
            cv2.cvtColor(self._seen, cv2.COLOR_RGBA2RGB, view)
        if changes:
            self._preprocessing.to_rgb(view, view)
            for change in changes:
                change(view, self._spare)
            self._preprocessing.convert_colors(view, view)
