"""Frames of a drive -> the pixels that do not show what the car passes, such as a clock's.

While a car drives, every detail of the picture moves, except what belongs to the camera or to the
car: writing in the picture, a logo, the bonnet, the edge of the windscreen. In frames of different
places, such a detail has the same gradient, while those of the road cancel each other out. The
median of the gradients is how T. Dekel et al. find watermarks ("On the Effectiveness of Visible
Watermarks", CVPR 2017). The figures of a clock change; but they have gradients in the same small
place, next to those that stay.

The edge of something plain, such as a black border, has a gradient that depends on the road beside
it, which is dark in some frames. But the area itself keeps its level.
"""

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, cv2, recolored, resized
from bcclone.diagnosis.motion import ReadFrame
from bcclone.system.arrays import BoolArray, Float32Array, evenly

_LEAST_STRENGTH = 8.0  # of a strong gradient, grey levels a pixel


def find_fixed_pixels(read: ReadFrame, rows: int) -> BoolArray:
    """Return the pixels that show something which stands still while the car drives, (160, 320).

    Nothing is found in a film of a standing car.

    read: index of a row -> its frame
    """
    fewest_frames = 20  # fewer frames of different places do not show what stands still
    least_px = 12  # number of pixels of a patch; a smaller one is noise
    joined = np.ones((5, 9), np.uint8)  # gaps as large as those between two letters are closed
    line_px = 25  # distance, in a line of writing, from letters that stay to figures that change
    margin_px = 3  # around a patch: JPEG and the lens have blurred its edge
    frames = _frames_of_places(read, rows)
    if len(frames) < fewest_frames:
        return np.zeros((FRAME_HEIGHT, FRAME_WIDTH), np.bool_)
    # gradients across and down, in grey levels a pixel, (frames, 2, 160, 320)
    gradients = np.array(
        [
            [cv2.Sobel(frame, cv2.CV_32F, *order, scale=0.25) for order in ((1, 0), (0, 1))]
            for frame in frames
        ]
    )
    edges, is_strong = _edges_that_stay(gradients)
    stays = edges | _areas_that_stay(frames, gradients)

    # patches of pixels that stay
    patches = cv2.morphologyEx(stays.astype(np.uint8), cv2.MORPH_CLOSE, joined)
    _, numbers = cv2.connectedComponents(patches)
    sizes = np.bincount(numbers[stays], minlength=numbers.max() + 1)
    sizes[0] = 0  # pixels of no patch
    fixed = (sizes >= least_px)[numbers].astype(np.uint8)

    # figures that change, in the same lines
    lines = cv2.dilate(fixed, np.ones((3, 2 * line_px + 1), np.uint8))
    fixed |= cv2.morphologyEx(lines & is_strong.astype(np.uint8), cv2.MORPH_CLOSE, joined)
    around = np.ones((2 * margin_px + 1, 2 * margin_px + 1), np.uint8)
    return np.asarray(cv2.dilate(fixed, around) > 0)


def covered(frame: Image | None, fixed: BoolArray) -> Image | None:
    """Return a frame in which the mean colours around fixed pixels cover them; None for None."""
    reduced = (FRAME_WIDTH // 4, FRAME_HEIGHT // 4)
    around_px = 8.0  # standard deviation of the distances over which the mean is taken, reduced
    if frame is None or not fixed.any():
        return frame
    # the mean of the pixels that are seen: their sum, divided by their number
    seen = (~fixed).astype(np.float32)
    parts = cv2.resize(frame * seen[:, :, np.newaxis], reduced, interpolation=cv2.INTER_AREA)
    shares = cv2.resize(seen, reduced, interpolation=cv2.INTER_AREA)
    sums = cv2.GaussianBlur(parts, (0, 0), around_px)
    counts = cv2.GaussianBlur(shares, (0, 0), around_px)
    means = sums / np.maximum(counts, 1e-6)[:, :, np.newaxis]
    cover = cv2.resize(means, (FRAME_WIDTH, FRAME_HEIGHT))
    return np.where(fixed[:, :, np.newaxis], cover, frame).astype(np.uint8)


def _frames_of_places(read: ReadFrame, rows: int) -> list[Image]:
    """Return grey frames, evenly spread over the rows, that each show another place."""
    most_frames = 80
    least_change = 4.0  # mean difference of two reduced frames from which they show two places
    reduced = (40, 20)
    frames: list[Image] = []
    seen: list[Float32Array] = []  # the same frames, reduced
    for row in evenly(rows, most_frames).tolist():
        frame = read(row)
        if frame is None:
            continue
        gray = recolored(frame, cv2.COLOR_RGB2GRAY)
        small = resized(gray, reduced).astype(np.float32)
        if all(np.abs(small - other).mean() > least_change for other in seen):
            frames.append(gray)
            seen.append(small)
    return frames


def _edges_that_stay(gradients: Float32Array) -> tuple[BoolArray, BoolArray]:
    """Return where the gradient is the same in nearly all frames, and where its median is strong.

    Both are (160, 320).
    """
    least_share = 0.85  # of the frames, that have at least half of the median gradient
    most_spread = 0.5  # of the gradients, as a share of the median
    median = np.median(gradients, axis=0)
    strength = _strength(median)
    along = (gradients * median).sum(axis=1)  # each gradient's part along the median x the median
    share = (along > 0.5 * strength**2).mean(axis=0)
    spread = np.median(_strength(gradients - median), axis=0)
    is_strong = (strength > _LEAST_STRENGTH) & (spread < strength)
    return is_strong & (share > least_share) & (spread < most_spread * strength), is_strong


def _areas_that_stay(frames: list[Image], gradients: Float32Array) -> BoolArray:
    """Return the plain areas that have the same level in nearly all frames, (160, 320).

    An overcast sky keeps its level, too. But where the sky ends is not the same in two frames, so
    the median gradient around it is weak.
    """
    noise_levels = 2.0  # change of a pixel that shows nothing, as in a black border
    most_change = 0.125  # of the level, as a share of the usual change of other pixels
    at_quantile = 0.9  # the change that this share of the frames does not exceed
    least_px = 40  # of an area
    levels = np.array(frames, np.float32)
    changes = np.abs(levels - np.median(levels, axis=0))
    change = np.quantile(changes, at_quantile, axis=0)
    usual = np.median(change[change > noise_levels])
    keeps = change < most_change * usual
    strength = np.median(_strength(gradients), axis=0)
    _, numbers = cv2.connectedComponents(keeps.astype(np.uint8))
    sizes = np.bincount(numbers[keeps], minlength=numbers.max() + 1)
    areas: BoolArray = np.zeros_like(keeps)
    for number in np.flatnonzero(sizes >= least_px).tolist():
        area = numbers == number
        around = (cv2.dilate(area.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~area
        if np.median(strength[around]) > _LEAST_STRENGTH:
            areas |= area
    return areas


def _strength(gradients: Float32Array) -> Float32Array:
    """Return how strong gradients are: (..., 2, 160, 320) -> (..., 160, 320)."""
    return np.hypot(gradients[..., 0, :, :], gradients[..., 1, :, :])
