"""Controls -> frames: a car on a track whose time goes on from frame to frame, or with the clock on the wall."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bcclone.images import Image, encode_jpeg
from bcclone.recording.run_tables import TracePoint
from bcclone.simulator.car import STEP_SECONDS, Ride
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import Score
from bcclone.simulator.trace import Shown, digest_of
from bcclone.simulator.track import Track, check_laps
from bcclone.simulator.unity_client import CarState
from bcclone.vehicle import FULL_LOCK_DEGREES, MPH

_SPARE_M = 0.3  # that a push leaves to the edge of the road


@dataclass
class Shoves:
    """Pushes of size_m each time the car has come every_m farther, to the right and to the left in turn.

    limit_m: how far from the centre line is off the road. A push is shortened so that it leaves the wheels on the
    asphalt, and is none where the car is at the edge or beyond it already: leaving the road is always the driver's
    doing. size_m 0: there are none.
    """

    size_m: float
    every_m: float
    limit_m: float
    given: int = 0

    def due(self, progress_m: float, cross_track_m: float) -> float:
        """Return how far to the right (negative: to the left) the car is pushed now; 0 when it is not."""
        if self.size_m == 0 or progress_m < (self.given + 1) * self.every_m:
            return 0.0
        side = 1 if self.given % 2 == 0 else -1
        self.given += 1
        room = max(self.limit_m - _SPARE_M - side * cross_track_m, 0.0)
        return side * min(self.size_m, room)


FRAME_SECONDS = 2 * STEP_SECONDS  # of simulated time between two frames
_LOST_M = 15.0  # farther away the drive is over
_STUCK_SECONDS, _STUCK_SPEED = 20.0, 0.2
_SLOWEST = 1.5  # m/s along the track on average; slower, and the drive is over
ALL_DRIVEN = "laps driven"
_MOST_SHOVE_M = 5.0
_VIEWS = 12  # that are kept of a drive, evenly along it
_LONGEST_PAUSE_SECONDS = 1.0  # of the wall clock that a world in real time makes up for at once


@dataclass(frozen=True)
class WorldSettings:
    """laps: how far to drive; start_offset_m, start_turn: how far to the right of the centre line the car begins, and
    how many degrees it is turned to the right there; shove_m, shove_every_m: how far it is pushed aside, right and left
    in turn, and how often; latency_seconds: from a control to when it takes hold; set_back: an intervention puts the
    car back on the centre line, otherwise it drives on; real_time: time goes on while nobody looks."""

    laps: float = 1.0
    start_offset_m: float = 0.0
    start_turn: float = 0.0
    shove_m: float = 0.0
    shove_every_m: float = 100.0
    latency_seconds: float = 0.0
    set_back: bool = True
    real_time: bool = False

    def __post_init__(self) -> None:
        check_laps(self.laps)
        if not 0 <= self.latency_seconds <= 5:
            raise ValueError(f"latency {self.latency_seconds * 1000:g} ms, expected 0 to 5000")
        if not -_LOST_M < self.start_offset_m < _LOST_M:
            raise ValueError(f"start offset {self.start_offset_m:g} m, expected less than {_LOST_M:g} to either side")
        if not -90 <= self.start_turn <= 90:
            raise ValueError(f"start turn {self.start_turn:g} degrees, expected -90 to 90")
        if not 0 <= self.shove_m <= _MOST_SHOVE_M:
            raise ValueError(f"shove {self.shove_m:g} m, expected 0 to {_MOST_SHOVE_M:g}")
        if not self.shove_every_m >= 1:
            raise ValueError(f"shove every {self.shove_every_m:g} m, expected 1 or more")


class SimulatedWorld:
    """A car on a track. `over` says why the drive ended: "" while it goes on, "laps driven" when all went well.

    views: some of the frames, evenly along the way; shown: where the car was at each frame.
    """

    def __init__(
        self,
        renderer: Renderer,
        track: Track,
        settings: WorldSettings,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        self._renderer, self.track, self._settings, self._on_progress = renderer, track, settings, on_progress
        self.ride = Ride(track, settings.start_offset_m, ground_height=renderer.scene.ground.height_at)
        self.ride.car.heading += math.radians(settings.start_turn)
        self.score = Score(track.road.limit_m)
        self._shoves = Shoves(settings.shove_m, settings.shove_every_m, track.road.limit_m)
        self.over = ""
        self._still_seconds, self._shown_m = 0.0, 0.0
        self._pending: deque[tuple[float, float, float]] = deque()
        self._looked_at = 0.0
        self._caught_up: float | None = None
        self.views: list[Image] = []
        self.shown: list[Shown] = []

    @property
    def laps(self) -> float:
        """Return how many laps have been driven."""
        return self.ride.progress_m / self.track.length_m

    def look(self) -> CarState | None:
        """Let the time until the next frame pass and return what the car then reports; None when the drive is over."""
        if self._settings.real_time:
            self._wait_for_frame()
        else:
            self.advance(FRAME_SECONDS)
        if self.over:
            return None
        car = self.ride.car
        frame = self._renderer.frame(car)
        if self.ride.progress_m >= len(self.views) * self._settings.laps * self.track.length_m / _VIEWS:
            self.views.append(frame)
        jpeg = encode_jpeg(frame)
        point = TracePoint(self.ride.seconds, self.track.road.name, car.x, car.z, self.ride.place.cross_track_m)
        self.shown.append(Shown(digest_of(jpeg), point))
        return CarState(car.steering * FULL_LOCK_DEGREES, car.throttle, car.speed / MPH, jpeg)

    def steer(self, steering: float, throttle: float) -> None:
        """Set the controls, -1 to 1, that hold from now on, or from when the latency has passed."""
        if self._settings.real_time:
            self._catch_up()  # what passed before this answer came was driven without it
        self.score.note_steering(steering)
        self._pending.append((self.ride.seconds + self._settings.latency_seconds, steering, throttle))

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""
        for _ in range(round(seconds / STEP_SECONDS)):
            if not self.over:
                self._step()
        if self._on_progress is not None and self.ride.progress_m > self._shown_m:
            self._on_progress(self.ride.progress_m - self._shown_m)
            self._shown_m = self.ride.progress_m

    def _step(self) -> None:
        car = self.ride.car
        while self._pending and self._pending[0][0] <= self.ride.seconds + 1e-9:
            _, steering, throttle = self._pending.popleft()
            car.control(steering, throttle)
        if aside := self._shoves.due(self.ride.progress_m, self.ride.place.cross_track_m):
            self.ride.shove(aside)
        self.ride.step()
        off_road = self.score.note(car.x, car.z, self.ride.place, car.speed)
        if off_road and self._settings.set_back:
            self.ride.set_back()
        self._judge()

    def _judge(self) -> None:
        """Notice when the drive is over."""
        car = self.ride.car
        self._still_seconds = self._still_seconds + STEP_SECONDS if car.speed < _STUCK_SPEED else 0.0
        goal = self._settings.laps * self.track.length_m
        if self.ride.progress_m >= goal:
            self.over = ALL_DRIVEN
        elif abs(self.ride.place.cross_track_m) > _LOST_M:
            self.over = f"the car is more than {_LOST_M:.0f} m from the road"
        elif self._still_seconds >= _STUCK_SECONDS:
            self.over = f"the car has stood still for {_STUCK_SECONDS:.0f} s"
        elif self.ride.seconds > goal / _SLOWEST + _STUCK_SECONDS:
            self.over = f"the car has not come around in {self.ride.seconds:.0f} s"
        if self.over and self.over != ALL_DRIVEN:
            self.score.give_up(car.x, car.z)

    def _wait_for_frame(self) -> None:
        """Sleep until a frame is due, and let the world run on until now."""
        time.sleep(max(self._looked_at + FRAME_SECONDS - time.monotonic(), 0.0))
        self._looked_at = time.monotonic()
        self._catch_up()

    def _catch_up(self) -> None:
        """Let the time pass that has passed on the wall since the last time; of a long pause only a second."""
        now = time.monotonic()
        if self._caught_up is None:
            self._caught_up = now
        self._caught_up = max(self._caught_up, now - _LONGEST_PAUSE_SECONDS)
        steps = math.floor((now - self._caught_up) / STEP_SECONDS)
        self._caught_up += steps * STEP_SECONDS
        self.advance(steps * STEP_SECONDS)
