"""What a drive or a play is for its pages: contents, state and frames to show; controls to set.

A `PageSession` gives the pages its state as JSON values and its newest `PageFrame`, and sets the
controls in the `ControlChanges` that they send. docs/reference/page.md describes the fields.

A thread makes the saliency overlay of the newest frame, a PNG, only while it is switched on.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from bcclone.camera.images import BadImage, Image, cv2, decode_jpeg
from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.driver import Driver, SteeringPolicy
from bcclone.drive.page_hands import PageHands
from bcclone.drive.recorder import Recorder
from bcclone.model.policy import Policy
from bcclone.system.numbers import Float32Array

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PageContents:
    """Which parts the page of a session has, and what starts the session again."""

    program: str  # name of the command, such as drive.py
    command: str  # the command line that starts the session again, without its port
    default_port: int  # of the command
    has_model: bool  # whether a model drives
    sees: str = ""  # the preprocessing of the model's input, in words
    # the part of the frame that the model sees, as fractions of its width and height: left, top,
    # right, bottom; None if the page does not mark it
    region: tuple[float, float, float, float] | None = None
    track: str = ""  # name of the built-in world's track, "" for the car of another program
    # x and z of the track's centre line in metres, and the width of the asphalt
    track_map: dict[str, Any] | None = None


@dataclass(frozen=True)
class PageFrame:
    """What a page shows at a moment."""

    number: int  # from 1; the same picture may be sent again, with a new number and state
    jpeg: bytes  # the camera's picture, b"" without a car
    overlay: bytes  # the newest saliency overlay, a PNG, b"" if off
    state: dict[str, Any]


@dataclass(frozen=True)
class ControlChanges:
    """Controls to set; a control of None stays as it is."""

    saliency: bool | None = None
    recording: bool | None = None
    set_speed_mph: float | None = None
    autonomous: bool | None = None  # of a drive: True: the model drives, False: the person does
    paused: bool | None = None  # of a play: whether the world rests
    kept: bool | None = None  # of a play: whether the person keeps the wheel, see Wheel
    put_back: bool | None = None  # of a play: True puts the car back on the road

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "set_speed_mph" and not isinstance(value, bool | None):
                raise ValueError(f"{field.name} {value!r}, expected true or false")
        speed = self.set_speed_mph
        if speed is not None and not _is_speed(speed):
            raise ValueError(f"set speed {speed!r}, expected 0 to {HIGHEST_SPEED_MPH:g} mph")

    @classmethod
    def parse(cls, values: Any, names: Sequence[str]) -> Self:
        """Return the changes in a JSON value; raises ValueError with the reason for a bad one.

        names: names of the controls that the session has
        """
        if not isinstance(values, dict) or not values or not set(values) <= set(names):
            raise ValueError(f"expected an object with some of {', '.join(names)}")
        for name, value in values.items():
            if value is None:
                raise ValueError(f"{name} null, expected true or false, or a speed")
        return cls(**values)


def _is_speed(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= HIGHEST_SPEED_MPH


class PageSession(ABC):
    """A drive or a play, for its pages."""

    def __init__(
        self,
        contents: PageContents,
        hands: PageHands,
        recorder: Recorder[Any],
        driver: Driver | None,
        saliency: "SaliencyThread | None" = None,
    ) -> None:
        self.contents = contents
        self.hands = hands  # the open pages, which of them has the wheel, and what it does
        self.recorder = recorder
        self.driver = driver  # the model and its controller, None if only a person drives
        self.saliency = saliency  # None without a model

    @property
    @abstractmethod
    def controls(self) -> Sequence[str]:
        """Return the names of the controls that pages set."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the state, for JSON."""

    @abstractmethod
    def newest(self) -> PageFrame | None:
        """Return the newest frame, None before the first."""

    def history(self) -> Sequence[Any]:
        """Return the points of the plots, as dataclasses; none without plots."""
        return ()

    def set(self, changes: ControlChanges) -> None:
        """Set controls; raises ValueError or UserError with the reason why it cannot."""
        if changes.saliency is not None and self.saliency is not None:
            self.saliency.on = changes.saliency
        if changes.recording is not None:
            self.recorder.turn(changes.recording)
        if changes.set_speed_mph is not None and self.driver is not None:
            self.driver.controller.set_speed_mph = float(changes.set_speed_mph)

    def state_with(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return the state of any session together with a drive's or play's figures, for JSON."""
        by = self.hands.by
        set_speed_mph = None if self.driver is None else self.driver.controller.set_speed_mph
        return {
            "driver": by.driver,
            "take_over": by.take_over,
            "set_speed_mph": set_speed_mph,
            "recording": self.recorder.state(),
            "saliency": self._saliency_state(),
            "sees": self.contents.sees,
            "region": self.contents.region,
            **figures,
        }

    def _saliency_state(self) -> dict[str, Any]:
        if self.saliency is None:
            return {"on": False, "unavailable": "no model drives"}
        return {"on": self.saliency.on, "unavailable": self.saliency.unavailable}

    def overlay(self) -> bytes:
        """Return the newest saliency overlay, b"" without one."""
        return self.saliency.png if self.saliency else b""


_OVERLAY_SECONDS = 0.2  # between two overlays
_OVERLAY_SIZE = (160, 80)  # width and height, half of a frame's
_COLOR_BGR = (90, 255, 80)
_MAX_ALPHA = 220  # of 255, so that the frame shows through


class SaliencyThread:
    """Computes the saliency overlays of the newest frames, off the driving path."""

    def __init__(
        self,
        newest: Callable[[], tuple[int, bytes]],
        saliency_of: Callable[[Image], Any] | None,
        unavailable: str = "",
    ) -> None:
        """Make the thread, which runs within the `with` block.

        newest: returns the number of the newest frame and its JPEG, b"" without a frame
        saliency_of: a frame, RGB uint8 (160, 320, 3), -> how much each pixel decided the steering,
            float (160, 320), 0 to 1; None when the network has no saliency
        unavailable: why the network has no saliency
        """
        self.unavailable = unavailable
        self._newest = newest
        self._saliency_of = saliency_of
        self._lock = threading.Lock()
        self._png = b""
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
        """Return whether overlays are computed; setting it raises ValueError without saliency."""
        return self._wanted.is_set()

    @on.setter
    def on(self, value: bool) -> None:
        if value and self._saliency_of is None:
            raise ValueError(self.unavailable)
        with self._lock:
            self._png = b""
            if value:
                self._wanted.set()
            else:
                self._wanted.clear()

    @property
    def png(self) -> bytes:
        """Return the newest overlay, with transparency, b"" without one."""
        return self._png

    def _run(self) -> None:
        last_number = 0
        while self._wanted.wait() and not self._over.is_set():
            number, jpeg = self._newest()
            if number != last_number and jpeg and self._saliency_of is not None:
                last_number = number
                self._compute(jpeg, self._saliency_of)
            self._over.wait(_OVERLAY_SECONDS)

    def _compute(self, jpeg: bytes, saliency_of: Callable[[Image], Any]) -> None:
        """Compute the overlay of a frame; if that fails, no overlay is computed any more."""
        try:
            saliency = saliency_of(decode_jpeg(jpeg))
        except BadImage:
            return  # the driver has warned already
        except Exception as error:  # the car drives on without the overlay
            logger.warning("cannot show which pixels decided: %s", error)
            self.unavailable = str(error)
            self._saliency_of = None
            self._wanted.clear()
            return
        png = _draw_overlay(np.asarray(saliency, np.float32))
        with self._lock:
            if self._wanted.is_set() and not self._over.is_set():  # not switched off meanwhile
                self._png = png


def _draw_overlay(saliency: Float32Array) -> bytes:
    """Return the overlay of a saliency, (160, 320), as a PNG; pixels that decided are opaque."""
    small = cv2.resize(saliency, _OVERLAY_SIZE, interpolation=cv2.INTER_AREA)
    overlay = np.empty((*small.shape, 4), np.uint8)
    overlay[..., :3] = _COLOR_BGR
    overlay[..., 3] = np.clip(small, 0, 1) * _MAX_ALPHA
    _, png = cv2.imencode(".png", overlay)
    content: bytes = png.tobytes()
    return content


def make_saliency_thread(
    policy: SteeringPolicy, newest: Callable[[], tuple[int, bytes]]
) -> SaliencyThread:
    """Return the thread that computes a policy's overlays, or says why there are none."""
    if not isinstance(policy, Policy):
        return SaliencyThread(newest, None, "it is computed for model files only")
    if policy.model is None:
        return SaliencyThread(
            newest,
            None,
            "an ONNX or LiteRT file shows no saliency; drive with the .h5 that it was made from",
        )
    if policy.framing is not None:
        return SaliencyThread(
            newest, None, "saliency is shown on frames of the simulator, and this is another camera"
        )
    from bcclone.model.saliency import Saliency  # loads TensorFlow

    try:
        return SaliencyThread(newest, Saliency(policy.model, policy.preprocessing).of_frame)
    except Exception as error:  # an unusual network drives without the overlay
        return SaliencyThread(newest, None, str(error) or type(error).__name__)


def seen_region_of(policy: Policy) -> tuple[float, float, float, float]:
    """Return the part of the frame that a network sees, as fractions: left, top, right, bottom."""
    whole = (0.0, 0.0, 1.0, 1.0)
    # an ONNX file takes whole frames, and the page shows the pictures of another camera as they are
    if policy.model is None or policy.framing is not None:
        return whole
    from bcclone.model.saliency import seen_region

    try:
        return seen_region(policy.model, policy.preprocessing)
    except Exception as error:  # an unusual network drives without the mark
        logger.warning("cannot tell which part of the frame the network sees: %s", error)
        return whole
