"""Frame, mask -> the frame with what decided glowing in it."""

import cv2
import numpy as np

from bcclone.images import Image
from bcclone.video.draw import RED, YELLOW
from bcclone.video.moment import Mask

_STRONGEST = 0.85  # share of the colour where the mask is 1: the frame shines through
_COLOR_KEPT, _GRAY_KEPT = 0.3, 0.55  # of the frame under it: what glows must not be taken for yellow sand
_LEVELS = np.linspace(0.0, 1.0, 256)[:, np.newaxis]
_OPACITY = np.ascontiguousarray(np.broadcast_to(_STRONGEST * _LEVELS**0.8, (256, 3))).astype(np.float32)
_GLOW = ((np.array(RED) * (1 - _LEVELS) + np.array(YELLOW) * _LEVELS) * _OPACITY).astype(np.float32)


def heat(frame: Image, mask: Mask) -> Image:
    """Return an RGB frame, uint8 (height, width, 3), under a mask of its pixels, 0 to 1: red where a little of the
    steering comes from, yellow where most of it does; the frame itself is paler."""
    height, width = frame.shape[:2]
    fitting = mask if mask.shape == (height, width) else cv2.resize(mask, (width, height))
    level = np.rint(np.clip(fitting, 0, 1) * 255).astype(np.uint8)
    opacity = np.take(_OPACITY, level, axis=0)
    gray = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    faint = cv2.addWeighted(frame, _COLOR_KEPT, gray, _GRAY_KEPT, 0)
    return np.asarray(faint * (1 - opacity) + np.take(_GLOW, level, axis=0), np.uint8)
