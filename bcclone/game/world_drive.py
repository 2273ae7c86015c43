"""Move the car of a play, frame by frame: by a person's hands or by a model.

Input of the hands goes in; pictures and the model's decisions come out. No pages, no files.
"""

import time
from collections.abc import Callable

from bcclone.camera.images import Image, encode_jpeg
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, MPH
from bcclone.drive.driver import Decision, Driver
from bcclone.drive.hand_input import HandInput
from bcclone.drive.page_hands import SILENT_SECONDS, PlayHands
from bcclone.drive.protocol import Control, Telemetry
from bcclone.game.played_world import PlayedWorld
from bcclone.recording.run_tables import HUMAN, MODEL, DrivenBy
from bcclone.simulator.world import WorldPace

_MAX_STEPS = 8  # most steps of the world for one frame: a car that leaps cannot be driven
_RELEASED = Control(0.0, 0.0)

# while no page sends anything, the car first rolls without throttle, then brakes
_ROLL_SECONDS = 1.0  # how long it rolls
_BRAKE = -0.5  # throttle while it brakes


class WorldDrive:
    """A car, the hands that may steer it, and the model that may."""

    def __init__(
        self,
        world: PlayedWorld,
        driver: Driver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin where the world's car is.

        driver: the model and its controller, None if only a person drives
        clock: in seconds
        """
        self.world = world
        self.driver = driver
        self.clock = clock
        by = HUMAN if driver is None else MODEL
        self.hands = PlayHands(DrivenBy(by), clock)
        self.pace = WorldPace(_MAX_STEPS, clock)
        self.decision: Decision | None = None  # the model's decision on the last frame
        self.frames = 0  # shown so far
        self.jpeg = b""  # the newest picture, b"" before the first and after the car was put back

    def newest_picture(self) -> tuple[int, bytes]:
        """Return the number of the newest frame and its picture; any thread may call this."""
        return self.frames, self.jpeg

    def count_frame(self) -> int:
        """Count a frame that is shown, perhaps with the same picture again; return its number."""
        self.frames += 1
        return self.frames

    def put_back(self) -> None:
        """Put the car back on the road; later frames do not continue the earlier ones."""
        self.jpeg = b""  # so that a new picture is made also of a world at rest
        self.world.put_back()
        if self.driver is not None:
            self.driver.forget_frames()

    def rest(self) -> None:
        """Let no time pass in the world."""
        self.pace.rest()

    def go_on(self, positions: HandInput) -> None:
        """Let the time pass that has passed since the last frame.

        positions: of the wheel and the pedals
        """
        steps = self.pace.due()
        control = self.hands.turn(positions, steps, self._model_control())
        self.world.drive(control.steering, control.throttle, steps)

    def roll_to_a_stop(self) -> None:
        """Go on while pages are silent, and stop the car on its road; a model goes on steering."""
        steering: float | None = None  # the hands are off the wheel, so that a model steers
        if self.driver is None:
            steering = min(max(self.world.steering_home(), -1.0), 1.0)
        rolls = self.hands.silent_seconds < SILENT_SECONDS + _ROLL_SECONDS
        throttle = 0.0 if rolls else _BRAKE
        self.go_on(HandInput(steering, throttle))

    def take_picture(self) -> Image:
        """Return what the car sees now, and keep it as the newest picture."""
        image = self.world.frame()
        self.jpeg = encode_jpeg(image)
        return image

    def ask_model(self) -> None:
        """Let the model decide on the newest picture.

        It gets every frame, also while a person steers, so that it can go on at any time.
        """
        if self.driver is None:
            return
        car = self.world.car
        degrees = car.steering * FULL_LOCK_DEGREES
        telemetry = Telemetry(degrees, car.throttle, car.speed / MPH, self.jpeg)
        self.decision = self.driver.decide(telemetry)

    def _model_control(self) -> Control | None:
        """Return the model's control, None without a model."""
        if self.decision is not None:
            return self.decision.control
        return None if self.driver is None else _RELEASED  # until the model's first decision
