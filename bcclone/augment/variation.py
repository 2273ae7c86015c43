"""Settings -> a batch of samples, each varied in its own way; nothing but seed, epoch and place decides how."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.augment import look
from bcclone.augment.settings import AugmentSettings
from bcclone.augment.viewpoint import Cameras, draw_viewpoints
from bcclone.images import Image, Preprocessing

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Instants:
    """What varying needs to know of samples, (samples,) each.

    flipped: whether the images are mirror images; lookahead_m: how far ahead on its line the car aims that comes back.
    """

    flipped: npt.NDArray[np.bool_]
    lookahead_m: Floats

    def at(self, positions: npt.NDArray[np.uint32]) -> "Instants":
        """Return those of the samples at these positions."""
        return Instants(self.flipped[positions], self.lookahead_m[positions])


class Variation:
    """Varies samples of one preprocessing."""

    def __init__(self, settings: AugmentSettings, preprocessing: Preprocessing) -> None:
        self._settings, self._preprocessing = settings, preprocessing
        self._cameras = Cameras(preprocessing)

    def vary(self, images: Image, steering: Floats, instants: Instants, seed: Sequence[int], into: Image) -> Floats:
        """Write varied images into `into` and return the steering that they call for.

        images, into: uint8 (samples, height, width, 3) or windows of them, whose frames are varied alike; steering:
        float32 (samples, 1), -1 to 1.
        """
        settings, count = self._settings, len(steering)
        random = np.random.default_rng(seed)
        viewpoints = draw_viewpoints(random, count, settings.shift_m, settings.turn_degrees, settings.pitch_degrees)
        seeds, changed = random.integers(0, 2**63, count), steering.copy()
        for place, (viewpoint, flipped) in enumerate(zip(viewpoints, instants.flipped.tolist(), strict=True)):
            if settings.moves_camera:
                changed[place] += viewpoint.steering_change(float(instants.lookahead_m[place]))
            frames, views = (stack[place].reshape(-1, *images.shape[-3:]) for stack in (images, into))
            for frame, view in zip(frames, views, strict=True):
                moved = self._cameras.view(frame, viewpoint, flipped) if settings.moves_camera or flipped else frame
                view[:] = self._changed_look(moved, np.random.default_rng(seeds[place]))
        return changed.clip(-1.0, 1.0)

    def _changed_look(self, image: Image, random: np.random.Generator) -> Image:
        settings = self._settings
        image = self._preprocessing.to_rgb(image)
        if settings.look:
            image = look.change_light(image, settings.look, random)
        for share, change in (
            (settings.shadows, look.cast_shadows),
            (settings.blur, look.blur),
            (settings.patches, look.cover),
            (settings.noise, look.compress),
        ):
            if random.random() < share:
                image = change(image, random)
        return self._preprocessing.convert_colors(image)
