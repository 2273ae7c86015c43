"""Compute the saliency overlay of the newest frame in a separate thread, only while it is switched on.

The newest JPEG of the car goes in, a transparent PNG for the page comes out.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from bcclone.dataset.images import BadImage, Image, decode_jpeg
from bcclone.drive.driver import ModelPolicy
from bcclone.system.opencv import cv2

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 0.2
_COLOR_BGR = (90, 255, 80)
_MAX_ALPHA = 220  # of 255, so that the frame shows through


class SaliencyThread:
    """Computes the saliency overlays of the newest frames, off the driving path.

    newest: returns the number of the newest frame and its JPEG, b"" without one; mask: frame uint8 (160, 320, 3) RGB ->
    float (160, 320), 0..1; None when the network has no saliency, and `unavailable` is the reason.
    """

    def __init__(
        self, newest: Callable[[], tuple[int, bytes]], mask: Callable[[Image], Any] | None, unavailable: str = ""
    ) -> None:
        self.unavailable = unavailable
        self._newest, self._mask = newest, mask
        self._lock = threading.Lock()
        self._png = b""
        self._wanted, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="bcclone-saliency", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._wanted.set()
        self._thread.join()

    @property
    def on(self) -> bool:
        """Return whether overlays are computed; setting it raises ValueError when there is no saliency."""
        return self._wanted.is_set()

    @on.setter
    def on(self, value: bool) -> None:
        if value and self._mask is None:
            raise ValueError(self.unavailable)
        with self._lock:
            self._png = b""
            if value:
                self._wanted.set()
            else:
                self._wanted.clear()

    @property
    def png(self) -> bytes:
        """Return the newest overlay, a PNG with transparency; b"" without one."""
        return self._png

    def _run(self) -> None:
        last = 0
        while self._wanted.wait() and not self._over.is_set():
            number, jpeg = self._newest()
            if number != last and jpeg:
                last = number
                self._compute(jpeg)
            self._over.wait(_EVERY_SECONDS)

    def _compute(self, jpeg: bytes) -> None:
        if self._mask is None:
            return
        try:
            mask = self._mask(decode_jpeg(jpeg))
        except BadImage:
            return  # the driver has warned already
        except Exception as error:  # the car drives on without the overlay
            logger.warning("cannot show which pixels decided: %s", error)
            self.unavailable, self._mask = str(error), None
            self._wanted.clear()
            return
        small = cv2.resize(np.asarray(mask, np.float32), (160, 80), interpolation=cv2.INTER_AREA)
        overlay = np.empty((80, 160, 4), np.uint8)
        overlay[..., :3] = _COLOR_BGR
        overlay[..., 3] = np.clip(small, 0, 1) * _MAX_ALPHA
        png = cv2.imencode(".png", overlay)[1].tobytes()
        with self._lock:
            if self._wanted.is_set() and not self._over.is_set():  # not switched off meanwhile
                self._png = png


def make_saliency_thread(policy: ModelPolicy, newest: Callable[[], tuple[int, bytes]]) -> SaliencyThread:
    """Return the thread that computes the overlays of a policy's network, if it has any."""
    if policy.model is None:
        return SaliencyThread(newest, None, "an ONNX file shows no saliency; drive with the .h5 that it was made from")
    if policy.framing:
        return SaliencyThread(newest, None, "saliency is shown on frames of the simulator, and this is another camera")
    from bcclone.model.saliency import Saliency  # loads TensorFlow

    try:
        return SaliencyThread(newest, Saliency(policy.model, policy.preprocessing).mask)
    except Exception as error:  # an unusual network drives without the overlay
        return SaliencyThread(newest, None, str(error) or type(error).__name__)


def seen_region_of(policy: ModelPolicy) -> tuple[float, float, float, float]:
    """Return the part of the frame that a policy's network sees: left, top, right, bottom, as fractions."""
    if policy.model is None or policy.framing:  # an ONNX file takes whole frames
        return 0.0, 0.0, 1.0, 1.0
    from bcclone.model.saliency import seen_region

    try:
        return seen_region(policy.model, policy.preprocessing)
    except Exception as error:  # as above
        logger.warning("cannot tell which part of the frame the network sees: %s", error)
        return 0.0, 0.0, 1.0, 1.0
