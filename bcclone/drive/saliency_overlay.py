"""Show which pixels decide a model's steering: the newest frame -> a PNG to lay over it.

A thread makes the overlays, only while they are switched on.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from bcclone.camera.images import BadImage, Image, cv2, decode_jpeg
from bcclone.drive.driver import SteeringPolicy
from bcclone.model.policy import Policy

logger = logging.getLogger(__name__)

_OVERLAY_SECONDS = 0.2  # between two overlays
_OVERLAY_SIZE = (160, 80)  # width and height, half of a frame's
_COLOR_BGR = (90, 255, 80)
_MAX_ALPHA = 220  # of 255, so that the frame shows through


class SaliencyThread:
    """Makes overlays of the newest frames, off the driving path, while `on` within its block."""

    def __init__(
        self,
        newest: Callable[[], tuple[int, bytes]],
        saliency_of: Callable[[Image], Any] | None,
        unavailable: str = "",
    ) -> None:
        """Make the thread.

        newest: returns the number of the newest frame and its JPEG, b"" without a frame
        saliency_of: a frame, RGB uint8 (160, 320, 3), -> how much each pixel decided the steering,
            float (160, 320), 0 to 1; None when the network has no saliency
        unavailable: why the network has no saliency
        """
        self.unavailable = unavailable
        self.png = b""  # the newest overlay, with transparency, b"" without one
        self._newest = newest
        self._saliency_of = saliency_of
        self._lock = threading.Lock()  # held while an overlay is shown, or all are switched off
        self._wanted = threading.Event()
        self._over = threading.Event()
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
        """Return whether overlays are made; setting it raises ValueError without saliency."""
        return self._wanted.is_set()

    @on.setter
    def on(self, value: bool) -> None:
        if value and self._saliency_of is None:
            raise ValueError(self.unavailable)
        with self._lock:
            self.png = b""
            if value:
                self._wanted.set()
            else:
                self._wanted.clear()

    def _run(self) -> None:
        last_number = 0
        while self._wanted.wait() and not self._over.is_set():
            number, jpeg = self._newest()
            if number != last_number and jpeg and self._saliency_of is not None:
                last_number = number
                try:
                    png = _draw(self._saliency_of(decode_jpeg(jpeg)))
                except BadImage:
                    continue  # the driver has warned already
                except Exception as error:  # the car drives on without the overlay
                    logger.warning("cannot show which pixels decided: %s", error)
                    self.unavailable = str(error)
                    self._saliency_of = None
                    self.on = False
                    continue
                with self._lock:
                    if self.on and not self._over.is_set():  # not switched off meanwhile
                        self.png = png
            self._over.wait(_OVERLAY_SECONDS)


def _draw(saliency: Any) -> bytes:
    """Return the overlay of a saliency, (160, 320), as a PNG; pixels that decided are opaque."""
    small = cv2.resize(
        np.asarray(saliency, np.float32), _OVERLAY_SIZE, interpolation=cv2.INTER_AREA
    )
    overlay = np.empty((*small.shape, 4), np.uint8)
    overlay[..., :3] = _COLOR_BGR
    overlay[..., 3] = np.clip(small, 0, 1) * _MAX_ALPHA
    _, png = cv2.imencode(".png", overlay)
    content: bytes = png.tobytes()
    return content


def saliency_thread(
    policy: SteeringPolicy, newest: Callable[[], tuple[int, bytes]]
) -> SaliencyThread:
    """Return the thread that makes a policy's overlays, or says why there are none."""
    if not isinstance(policy, Policy) or policy.model is None or policy.framing is not None:
        reason = (
            "it is computed for a .h5 or .keras file on frames of the simulator, "
            "not for ONNX, LiteRT, another camera or a policy of a program"
        )
        return SaliencyThread(newest, None, reason)
    from bcclone.model.saliency import Saliency  # loads TensorFlow

    try:
        return SaliencyThread(newest, Saliency(policy.model, policy.preprocessing).of_frame)
    except Exception as error:  # an unusual network drives without the overlay
        return SaliencyThread(newest, None, str(error) or type(error).__name__)
