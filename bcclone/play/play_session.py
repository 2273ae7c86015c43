"""Join the car, the person's hands and the model: one thread drives them, and shows 30 frames a second."""

import logging
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from bcclone.dataset.images import Image, encode_jpeg
from bcclone.dataset.vehicle import FULL_LOCK_DEGREES, MPH
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.hand_controls import RELEASED, HandInput
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.recorder import Recorder, RecordingFigures
from bcclone.drive.saliency_thread import SaliencyThread
from bcclone.drive.wheel import Wheel
from bcclone.play.play_files import PlayedRow
from bcclone.play.play_world import LapFigures, PlayedWorld, WorldPace
from bcclone.recording.drivers import HUMAN, MODEL, DrivenRow

logger = logging.getLogger(__name__)

FRAMES_A_SECOND = 30
_ROW_SECONDS = 1 / 15  # as the Unity program records
_IDLE_SECONDS = 0.1  # between two frames that nobody sees, or that show a world at rest
ASLEEP_SECONDS = 1.0  # without a message of the page that drives
_ROLL_SECONDS, _BRAKE = 1.0, -0.5  # the car then rolls, and brakes after that
_RELEASED = Control(0.0, 0.0)
_SLOW = 0.9  # real-time factor below which the page says so
_APART_SECONDS = 1.6  # without rows after the car was moved, so that a reader of the log begins another episode


@dataclass(frozen=True)
class PlayState:
    """The fields of a frame; docs/reference/play.md describes them."""

    frame: int
    input: int
    seconds: float
    mode: str
    driver: str
    take_over: int | None
    kept: bool
    steering: float
    steering_model: float | None
    throttle: float
    speed_mph: float
    set_speed_mph: float | None
    x_m: float
    z_m: float
    heading: float
    cross_track_m: float
    off_road: bool
    laps: LapFigures
    real_time_factor: float
    frames_per_second: float
    recording: RecordingFigures
    saliency: bool
    saliency_unavailable: str
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the state as an object for JSON, numbers rounded."""
        values = asdict(self)
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}


@dataclass(frozen=True)
class PlayedFrame:
    """A frame as JPEG, and the state with it. number: from 1; a frame is sent again, with a new number, in a pause."""

    number: int
    jpeg: bytes
    state: PlayState


class FrameFeed:
    """Hands the newest frame to any number of threads; one that comes late misses the frames between."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: PlayedFrame | None = None
        self._closed = False

    @property
    def jpeg(self) -> tuple[int, bytes]:
        """Return the number of the newest frame and the frame; b"" without one."""
        newest = self._newest
        return (newest.number, newest.jpeg) if newest else (0, b"")

    def publish(self, frame: PlayedFrame) -> None:
        """Show a frame to all threads."""
        with self._changed:
            self._newest = frame
            self._changed.notify_all()

    def after(self, number: int, seconds: float) -> PlayedFrame | None:
        """Wait for a frame after this number, and return it; None after so many seconds, or when the feed closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number() > number, seconds)
            return self._newest if self._number() > number and not self._closed else None

    def close(self) -> None:
        """Wake all waiting threads; there are no more frames."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Return whether there are no more frames."""
        return self._closed

    def _number(self) -> int:
        return self._newest.number if self._newest else 0


@dataclass
class PlayControls:
    """What pages may change while the session drives; each field is written by one assignment.

    input: number of the newest input, and what the hands do; at: when it came, by time.monotonic().
    """

    input: tuple[int, HandInput] = (0, RELEASED)
    at: float = float("-inf")
    pages: int = 0
    paused: bool = False
    put_back: bool = False


class PlaySession:
    """A car that is driven until the session ends.

    driver: the model and its controller, None if only a person drives. wheel decides who steers; feed shows the
    frames. warning: of something that has happened, such as the end of a recording, until the next recording begins.
    """

    def __init__(
        self, world: PlayedWorld, recorder: Recorder[PlayedRow], feed: FrameFeed, driver: Driver | None = None
    ) -> None:
        self.world, self.recorder, self.feed, self.driver = world, recorder, feed, driver
        self.controls, self.wheel = PlayControls(), Wheel()
        self.saliency: SaliencyThread | None = None
        self.frames = 0
        self._pace, self._over = WorldPace(), threading.Event()
        self._decision: Decision | None = None
        self.wheel.by = DrivenRow(MODEL if driver else HUMAN)  # before the first frame
        self._apart_until = self._next_row_at = 0.0
        self._image: Image | None = None
        self._jpeg = b""

    @property
    def mode(self) -> str:
        """Return what the world does: `driving`, `paused`, or `asleep` while no page sends anything."""
        if self.controls.paused:
            return "paused"
        return "asleep" if time.monotonic() - self.controls.at > ASLEEP_SECONDS else "driving"

    def drive(self) -> None:
        """Drive until end(); one thread calls this."""
        next_at = time.monotonic()
        try:
            while not self._over.is_set():
                seconds = self._step()
                next_at = max(next_at + seconds, time.monotonic())
                self._over.wait(max(next_at - time.monotonic(), 0.0))
        finally:
            self.feed.close()

    def end(self) -> None:
        """Let drive() return; any thread may call this."""
        self._over.set()

    def _step(self) -> float:
        """Show one frame of the world; return the seconds until the next one is due."""
        mode, standing = self.mode, self.world.car.speed == 0.0
        number, hands = self.controls.input
        self._put_back_if_wished()
        at_rest = mode == "paused" or (mode == "asleep" and standing)
        if at_rest:
            self._pace.rest()
        else:
            self._move(mode, hands)
        if at_rest and self._jpeg:
            if self.controls.pages:
                self._show(mode, number)
            return _IDLE_SECONDS
        self._image = self.world.frame()
        self._jpeg = encode_jpeg(self._image)
        self._show(mode, number)
        self._record(mode)
        self._decide()
        return 1 / FRAMES_A_SECOND

    def _put_back_if_wished(self) -> None:
        if not (self.controls.put_back or self.world.lost):
            return
        self.controls.put_back = False
        self.world.put_back()
        self._jpeg = b""
        self._apart_until = time.monotonic() + _APART_SECONDS
        if self.driver is not None:
            self.driver.forget_frames()

    def _move(self, mode: str, hands: HandInput) -> None:
        """Advance the world to the present, with the steering of whoever drives now."""
        steps = self._pace.due()
        model = self._decision.control if self._decision else _RELEASED if self.driver else None
        turn = self.wheel.turn(self._hands_asleep() if mode == "asleep" else hands, steps, model)
        self.world.drive(turn.control.steering, turn.control.throttle, steps)

    def _hands_asleep(self) -> HandInput:
        """Return what the hands would do to stop the car on its road, while no page sends anything."""
        steering = min(max(self.world.steering_home(), -1.0), 1.0) if self.driver is None else None
        quiet = time.monotonic() - self.controls.at
        return HandInput(steering, 0.0 if quiet < ASLEEP_SECONDS + _ROLL_SECONDS else _BRAKE)

    def _decide(self) -> None:
        """Ask the model for the control of the next frame; it sees every frame, also while a person steers."""
        if self.driver is not None:
            car = self.world.car
            degrees, mph = car.steering * FULL_LOCK_DEGREES, car.speed / MPH
            self._decision = self.driver.decide(Telemetry(degrees, car.throttle, mph, self._jpeg))

    def _record(self, mode: str) -> None:
        now = time.monotonic()
        due = now >= self._next_row_at - 0.5 / FRAMES_A_SECOND  # no frame is exactly on time
        if mode != "driving" or not due or now < self._apart_until or self._image is None:
            return
        self._next_row_at += _ROW_SECONDS
        if self._next_row_at < now - _ROW_SECONDS:  # after a pause
            self._next_row_at = now + _ROW_SECONDS
        if self.recorder.on:
            world = self.world
            self.recorder.record(PlayedRow(world.snapshot(), self._image, world.trace_point(), self.wheel.by, now))

    def _show(self, mode: str, number: int) -> None:
        self.frames += 1
        self.feed.publish(PlayedFrame(self.frames, self._jpeg, self._state(mode, number)))

    def _state(self, mode: str, number: int) -> PlayState:
        world, car, decision = self.world, self.world.car, self._decision
        saliency = self.saliency
        return PlayState(
            frame=self.frames,
            input=number,
            seconds=world.tracked.seconds,
            mode=mode,
            driver=self.wheel.by.driver,
            take_over=self.wheel.by.take_over,
            kept=self.wheel.kept,
            steering=car.steering,
            steering_model=None if decision is None else decision.steering,
            throttle=car.throttle - car.brake,
            speed_mph=car.speed / MPH,
            set_speed_mph=None if self.driver is None else self.driver.controller.set_speed_mph,
            x_m=car.x,
            z_m=car.z,
            heading=car.heading,
            cross_track_m=world.tracked.position.cross_track_m,
            off_road=world.off_road,
            laps=world.laps(),
            real_time_factor=self._pace.factor,
            frames_per_second=self._pace.frames_per_second,
            recording=self.recorder.figures(),
            saliency=saliency is not None and saliency.on,
            saliency_unavailable="no model drives" if saliency is None else saliency.unavailable,
            warnings=tuple(self._warnings(mode)),
        )

    def _warnings(self, mode: str) -> list[str]:
        """Return what the person needs to know now."""
        texts = []
        if mode == "asleep" and self.frames > FRAMES_A_SECOND:
            texts.append("the page that drives is silent: the car rolls to a stop")
        if self.world.off_road:
            texts.append("off the road")
        if self._pace.factor < _SLOW:
            texts.append("the world is slower than real time: close other programs")
        if self._decision is not None and self._decision.fault:
            helped = "take over" if self.wheel.by.driver == MODEL else "you steer"
            texts.append(
                f"the model fails: {self._decision.fault}; its steering fades and it gives no throttle: {helped}"
            )
        if self.recorder.failure:
            texts.append(f"the recording has ended: {self.recorder.failure}")
        return texts
