"""Cover parts of images with patches, like objects in front of the lens.

The random numbers of a batch choose some of its images, and up to three rectangles of one color for
each. The images come back with the rectangles drawn over them.
"""

from typing import Any, NamedTuple

import numpy as np

from bcclone.camera.images import Image, cv2
from bcclone.feed.augment import Extent, LensChange, Numbers

_MOST = 3  # patches of one image
_UNIFORMS = {
    "patches": 1,
    "patch_count": 1,
    "patch_geometry": 4 * _MOST,
    "patch_color": 3 * _MOST,
}


class _Patches(NamedTuple):
    """Up to _MOST rectangles of one color over each image, in pixels of the changed rows."""

    count: Any  # float32 (samples,), number of patches
    # float32 (samples, _MOST, 4), whole numbers: left, top, right and bottom, inclusive
    corners: Any
    colors: Any  # float32 (samples, _MOST, 3), RGB, whole numbers


def _patches(numbers: Numbers, fraction: float, extent: Extent, xp: Any) -> _Patches:
    width = float(extent.width)
    height = float(extent.height)

    has_any = numbers["patches"][:, 0] < fraction
    count = 1.0 + xp.floor(_MOST * numbers["patch_count"][:, 0])

    # below the upper fifth, which is sky; up to 30 % of the width and 23 % of the height
    geometry = xp.reshape(numbers["patch_geometry"], (-1, _MOST, 4))
    left = 0.95 * width * geometry[:, :, 0]
    top = (0.2 + 0.75 * geometry[:, :, 1]) * height
    right = left + (0.03 + 0.27 * geometry[:, :, 2]) * width
    bottom = top + (0.03 + 0.2 * geometry[:, :, 3]) * height
    corners = [
        xp.floor(left),
        xp.floor(top) - extent.top,
        xp.floor(right),
        xp.floor(bottom) - extent.top,
    ]

    colors = xp.floor(256.0 * xp.reshape(numbers["patch_color"], (-1, _MOST, 3)))
    return _Patches(
        count=xp.where(has_any, count, xp.zeros_like(count)),
        corners=xp.stack(corners, axis=-1),
        colors=colors,
    )


def _on_cpu(images: Image, extent: Extent, patches: _Patches) -> None:
    """Draw the patches; later ones cover earlier ones."""
    counts = patches.count.astype(int).tolist()
    corners = patches.corners.astype(int).tolist()
    colors = patches.colors.tolist()
    below = extent.top + extent.rows
    for sample, count in enumerate(counts):
        for view in images[sample, :, extent.top : below]:
            for patch in range(count):
                left, top, right, bottom = corners[sample][patch]
                color = colors[sample][patch]
                cv2.rectangle(view, (left, top), (right, bottom), color, cv2.FILLED)


def _on_device(images: Any, patches: _Patches, xp: Any) -> Any:
    y, x = np.indices(images.shape[1:3], np.float32)
    for patch in range(_MOST):
        left, top, right, bottom = (patches.corners[:, patch, n, None, None] for n in range(4))
        exists = (patch < patches.count)[:, None, None]
        in_columns = (x >= left) & (x <= right)
        in_rows = (y >= top) & (y <= bottom)
        inside = in_columns & in_rows & exists
        color = patches.colors[:, patch, None, None]
        images = xp.where(inside[..., None], color, images)
    return images


KIND = LensChange(
    setting="patches",
    uniforms=_UNIFORMS,
    parameters=_patches,
    on_cpu=_on_cpu,
    on_device=_on_device,
)
