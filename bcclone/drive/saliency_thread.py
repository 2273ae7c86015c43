"""The newest frame -> a picture of which pixels decided, from a thread of its own, only while somebody wants it."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Self

import cv2
import numpy as np

from bcclone.drive.stats import Monitor
from bcclone.images import BadImage, Image, decode_jpeg

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 0.2
_COLOR_BGR = (90, 255, 80)
_STRONGEST = 220  # of 255: the frame shines through


class Viewer:
    """Computes masks of the newest frames, off the driving path.

    mask: frame uint8 (160, 320, 3) RGB -> float (160, 320), 0..1; None when the network has none, `unavailable`
    says why.
    """

    def __init__(self, monitor: Monitor, mask: Callable[[Image], Any] | None, unavailable: str = "") -> None:
        self.unavailable = unavailable
        self._monitor, self._mask = monitor, mask
        self._png: tuple[int, bytes] = (0, b"")
        self._wanted, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._compute, name="bcclone-saliency", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._wanted.set()
        self._thread.join()

    @property
    def on(self) -> bool:
        """Return whether masks are computed."""
        return self._wanted.is_set()

    @on.setter
    def on(self, value: bool) -> None:
        if value and self._mask is None:
            raise ValueError(self.unavailable)
        self._png = (0, b"")
        if value:
            self._wanted.set()
        else:
            self._wanted.clear()

    @property
    def png(self) -> tuple[int, bytes]:
        """Return the newest mask as a PNG with transparency, and the number of its frame; 0 and b"" without one."""
        return self._png

    def _compute(self) -> None:
        done = 0
        while self._wanted.wait() and not self._over.is_set():
            number, jpeg = self._monitor.jpeg
            if number != done and jpeg:
                done = number
                self._show(number, jpeg)
            self._over.wait(_EVERY_SECONDS)

    def _show(self, number: int, jpeg: bytes) -> None:
        if self._mask is None:
            return
        try:
            mask = self._mask(decode_jpeg(jpeg))
        except BadImage:
            return  # the driver has warned of it
        except Exception as error:  # whatever it is, the car drives on
            logger.warning("cannot show which pixels decided: %s", error)
            self.unavailable, self._mask = str(error), None
            self._wanted.clear()
            return
        small = cv2.resize(np.asarray(mask, np.float32), (160, 80), interpolation=cv2.INTER_AREA)
        picture = np.empty((80, 160, 4), np.uint8)
        picture[..., :3] = _COLOR_BGR
        picture[..., 3] = np.clip(small, 0, 1) * _STRONGEST
        self._png = number, cv2.imencode(".png", picture)[1].tobytes()
