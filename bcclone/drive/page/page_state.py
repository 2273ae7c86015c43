"""Define the interface of a drive or a play for its pages: contents, state and frames to show, and
controls to set.

docs/reference/page.md describes the fields. A thread computes the saliency overlay, only while it
is switched on.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from bcclone.camera.images import BadImage, Image, decode_jpeg
from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.driver import Driver, SteeringPolicy
from bcclone.drive.recorder import Recorder
from bcclone.drive.wheel import PageHands
from bcclone.model.policy import Policy
from bcclone.system.opencv import cv2

logger = logging.getLogger(__name__)

_OVERLAY_SECONDS = 0.2  # between two overlays
_COLOR_BGR = (90, 255, 80)
_MAX_ALPHA = 220  # of 255, so that the frame shows through


@dataclass(frozen=True)
class PageContents:
    """Which parts the page of a session has, and what starts the session again.

    program: the command's name; command: the whole one, without its port, which is `port` by
    default; has_model: a model drives; sees: the preprocessing of its input, in words; region: the
    part of the frame that it sees, as fractions (left, top, right, bottom), None if it is not
    marked; track: name of the built-in world's track, "" for the car of another program; track_map:
    x and z of the track's centre line in metres, and the width of the asphalt.
    """

    program: str
    command: str
    port: int
    has_model: bool
    sees: str = ""
    region: tuple[float, float, float, float] | None = None
    track: str = ""
    track_map: dict[str, Any] | None = None


@dataclass(frozen=True)
class PageFrame:
    """A camera frame as JPEG, b"" without a car, with its state and the newest saliency overlay as
    PNG, b"" if off.

    number: from 1; the same picture may be sent again, with a new number and state.
    """

    number: int
    jpeg: bytes
    overlay: bytes
    state: dict[str, Any]


@dataclass(frozen=True)
class ControlChanges:
    """Controls to set; None: a control stays as it is.

    autonomous: in a drive, the model drives, or the car is handed over; kept: in a play, the person
    keeps the wheel; put_back: put the car back on the road.
    """

    saliency: bool | None = None
    recording: bool | None = None
    set_speed_mph: float | None = None
    autonomous: bool | None = None
    paused: bool | None = None
    kept: bool | None = None
    put_back: bool | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "set_speed_mph" and not isinstance(value, bool | None):
                raise ValueError(f"{field.name} {value!r}, expected true or false")
        speed = self.set_speed_mph
        if speed is not None and (
            isinstance(speed, bool)
            or not isinstance(speed, int | float)
            or not 0 <= speed <= HIGHEST_SPEED_MPH
        ):
            raise ValueError(f"set speed {speed!r}, expected 0 to {HIGHEST_SPEED_MPH:g} mph")

    @classmethod
    def parse(cls, values: Any, names: Sequence[str]) -> Self:
        """Return the changes in a JSON value. names: of the controls that there are."""
        if not isinstance(values, dict) or not values or not set(values) <= set(names):
            raise ValueError(f"expected an object with some of {', '.join(names)}")
        if missing := [name for name, value in values.items() if value is None]:
            raise ValueError(f"{missing[0]} null, expected true or false, or a speed")
        return cls(**values)


class PageSession(ABC):
    """A drive or a play, for its pages.

    driver: the model and its controller, None if only a person drives; saliency: None without a
    model.
    """

    def __init__(
        self,
        contents: PageContents,
        hands: PageHands,
        recorder: Recorder[Any],
        driver: Driver | None,
        saliency: "SaliencyThread | None" = None,
    ) -> None:
        self.contents, self.hands, self.recorder = contents, hands, recorder
        self.driver, self.saliency = driver, saliency

    @property
    @abstractmethod
    def controls(self) -> Sequence[str]:
        """Return the names of the controls that pages set."""

    @abstractmethod
    def state(self) -> dict[str, Any]: ...

    @abstractmethod
    def newest(self) -> PageFrame | None:
        """Return the newest frame, None before the first."""

    def history(self) -> Sequence[Any]:
        """Return the points of the plots, as dataclasses; none without plots."""
        return ()

    def set(self, changes: ControlChanges) -> None:
        """Set controls; raises ValueError or UserError with the reason when that is not possible."""
        if changes.saliency is not None and self.saliency is not None:
            self.saliency.on = changes.saliency
        if changes.recording is not None:
            self.recorder.turn(changes.recording)
        if changes.set_speed_mph is not None and self.driver is not None:
            self.driver.controller.set_speed_mph = float(changes.set_speed_mph)

    def state_with(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return the state with what the session adds to it; docs/reference/page.md describes the
        fields.
        """
        by, contents, saliency = self.hands.by, self.contents, self.saliency
        return {
            "driver": by.driver,
            "take_over": by.take_over,
            "set_speed_mph": None if self.driver is None else self.driver.controller.set_speed_mph,
            "recording": self.recorder.state(),
            "saliency": {
                "on": saliency is not None and saliency.on,
                "unavailable": saliency.unavailable if saliency else "no model drives",
            },
            "sees": contents.sees,
            "region": contents.region,
            **figures,
        }

    def overlay(self) -> bytes:
        """Return the newest saliency overlay, b"" without one."""
        return self.saliency.png if self.saliency else b""


class SaliencyThread:
    """Computes the saliency overlays of the newest frames, off the driving path.

    newest: returns the number of the newest frame and its JPEG, b"" without one; mask: frame uint8
    (160, 320, 3) RGB -> float (160, 320), 0..1; None when the network has no saliency, and
    `unavailable` is the reason; png: the newest overlay, with transparency, b"" without one.
    """

    def __init__(
        self,
        newest: Callable[[], tuple[int, bytes]],
        mask: Callable[[Image], Any] | None,
        unavailable: str = "",
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
        """Return whether overlays are computed; setting it raises ValueError when there is no
        saliency.
        """
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
        return self._png

    def _run(self) -> None:
        last = 0
        while self._wanted.wait() and not self._over.is_set():
            number, jpeg = self._newest()
            if number != last and jpeg and self._mask is not None:
                last = number
                self._compute(jpeg, self._mask)
            self._over.wait(_OVERLAY_SECONDS)

    def _compute(self, jpeg: bytes, mask_of: Callable[[Image], Any]) -> None:
        try:
            mask = mask_of(decode_jpeg(jpeg))
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


def make_saliency_thread(
    policy: SteeringPolicy, newest: Callable[[], tuple[int, bytes]]
) -> SaliencyThread:
    """Return the thread that computes the overlays of a policy's network, if it has any."""
    if not isinstance(policy, Policy):
        return SaliencyThread(newest, None, "it is computed for model files only")
    if policy.model is None:
        return SaliencyThread(
            newest,
            None,
            "an ONNX or LiteRT file shows no saliency; drive with the .h5 that it was made from",
        )
    if policy.framing:
        return SaliencyThread(
            newest, None, "saliency is shown on frames of the simulator, and this is another camera"
        )
    from bcclone.model.saliency import Saliency  # loads TensorFlow

    try:
        return SaliencyThread(newest, Saliency(policy.model, policy.preprocessing).mask)
    except Exception as error:  # an unusual network drives without the overlay
        return SaliencyThread(newest, None, str(error) or type(error).__name__)


def seen_region_of(policy: Policy) -> tuple[float, float, float, float]:
    """Return the part of the frame that a policy's network sees: left, top, right, bottom, as
    fractions.
    """
    if policy.model is None or policy.framing:  # an ONNX file takes whole frames
        return 0.0, 0.0, 1.0, 1.0
    from bcclone.model.saliency import seen_region

    try:
        return seen_region(policy.model, policy.preprocessing)
    except Exception as error:  # as above
        logger.warning("cannot tell which part of the frame the network sees: %s", error)
        return 0.0, 0.0, 1.0, 1.0
