"""Cover parts of images with patches, like objects in front of the lens."""

from typing import Any, NamedTuple

import numpy as np

from bcclone.camera.images import Image
from bcclone.feed.augment import Extent, LensChange, Numbers
from bcclone.system.opencv import cv2

_MOST = 3  # patches of one image


class _Patches(NamedTuple):
    """Up to _MOST rectangles of one color over each image, in pixels of the changed rows.

    count: float32 (samples,), number of patches; corners: float32 (samples, _MOST, 4), whole
    numbers: left, top, right and bottom, inclusive; colors: float32 (samples, _MOST, 3), RGB, whole
    numbers.
    """

    count: Any
    corners: Any
    colors: Any


def _patches(numbers: Numbers, fraction: float, extent: Extent, xp: Any) -> _Patches:
    width, height = float(extent.width), float(extent.height)
    count = 1.0 + xp.floor(_MOST * numbers["patch_count"][:, 0])
    geometry = xp.reshape(numbers["patch_geometry"], (-1, _MOST, 4))
    left, top = 0.95 * width * geometry[:, :, 0], (0.2 + 0.75 * geometry[:, :, 1]) * height
    right, bottom = (
        left + (0.03 + 0.27 * geometry[:, :, 2]) * width,
        top + (0.03 + 0.2 * geometry[:, :, 3]) * height,
    )
    corners = [
        xp.floor(left),
        xp.floor(top) - extent.top,
        xp.floor(right),
        xp.floor(bottom) - extent.top,
    ]
    colors = xp.floor(256.0 * xp.reshape(numbers["patch_color"], (-1, _MOST, 3)))
    has_any = numbers["patches"][:, 0] < fraction
    return _Patches(
        xp.where(has_any, count, xp.zeros_like(count)), xp.stack(corners, axis=-1), colors
    )


def _on_cpu(images: Image, extent: Extent, patches: _Patches) -> None:
    """Draw the patches; later ones cover earlier ones."""
    corners, colors = patches.corners.astype(int).tolist(), patches.colors.tolist()
    for sample, count in enumerate(patches.count.astype(int).tolist()):
        for view in images[sample, :, extent.top : extent.top + extent.rows]:
            for (left, top, right, bottom), color in zip(
                corners[sample][:count], colors[sample], strict=False
            ):
                cv2.rectangle(view, (left, top), (right, bottom), color, cv2.FILLED)


def _covered(images: Any, patches: _Patches, xp: Any) -> Any:
    y, x = np.indices(images.shape[1:3], np.float32)
    for patch in range(_MOST):
        left, top, right, bottom = (patches.corners[:, patch, n, None, None] for n in range(4))
        inside = (
            (x >= left)
            & (x <= right)
            & (y >= top)
            & (y <= bottom)
            & (patch < patches.count)[:, None, None]
        )
        images = xp.where(inside[..., None], patches.colors[:, patch, None, None], images)
    return images


_UNIFORMS = {"patches": 1, "patch_count": 1, "patch_geometry": 4 * _MOST, "patch_color": 3 * _MOST}
KIND = LensChange("patches", _UNIFORMS, _patches, _on_cpu, _covered)
