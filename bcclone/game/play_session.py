"""Show a play to its pages, 30 times a second.

A `PlaySession` takes the controls that its pages set, lets the world go on, and gives the pages
frames with their state.
"""

import copy
import threading
from collections.abc import Callable
from typing import Any

from bcclone.camera.images import Image
from bcclone.camera.vehicle import MPH
from bcclone.drive.page.page_state import (
    ControlChanges,
    PageContents,
    PageFrame,
    PageSession,
    SaliencyThread,
)
from bcclone.drive.page_hands import SILENT_SECONDS
from bcclone.drive.recorder import Recorder
from bcclone.game.play_files import PlayedRow, RowPace
from bcclone.game.world_drive import WorldDrive
from bcclone.recording.run_tables import MODEL

FRAMES_A_SECOND = 30
_IDLE_SECONDS = 0.1  # between two frames of a world at rest
_SLOW_FACTOR = 0.9  # below this share of real time, the page says that the world is slow


class PlaySession(PageSession):
    """A car that is driven until the session ends."""

    def __init__(
        self,
        drive: WorldDrive,
        recorder: Recorder[PlayedRow],
        contents: PageContents,
        saliency: SaliencyThread | None = None,
    ) -> None:
        super().__init__(contents, drive.hands, recorder, drive.driver, saliency)
        self._drive = drive
        # controls that pages set
        self._paused = False
        self._put_back = False  # whether the next step puts the car back on the road
        self._rows = RowPace(1 / FRAMES_A_SECOND)
        self._over = threading.Event()
        self._newest: PageFrame | None = None

    @property
    def frames(self) -> int:
        """Return the number of frames shown so far."""
        return self._drive.frames

    @property
    def controls(self) -> tuple[str, ...]:
        """Return the names of the controls that pages set."""
        names = ("recording", "paused", "put_back")
        if self.driver is None:
            return names
        return (*names, "saliency", "set_speed_mph", "kept")

    @property
    def mode(self) -> str:
        """Return what the world does: `driving`, `paused`, or `asleep` while pages are silent."""
        if self._paused:
            return "paused"
        return "asleep" if self._drive.hands.silent_seconds > SILENT_SECONDS else "driving"

    def newest(self) -> PageFrame | None:
        """Return the newest frame with its state."""
        return self._newest

    def set(self, changes: ControlChanges) -> None:
        """Set some controls; raises ValueError or UserError with the reason why it cannot."""
        super().set(changes)
        if changes.kept is not None:
            self._drive.hands.kept = changes.kept
        if changes.paused is not None:
            self._paused = changes.paused
        if changes.put_back:
            self._put_back = True

    def drive(self, on_frame: Callable[[], None]) -> None:
        """Drive until end(); one thread calls this. on_frame: called when a frame is new."""
        clock = self._drive.clock
        next_at = clock()
        while not self._over.is_set():
            next_at = max(next_at + self.step(on_frame), clock())
            self._over.wait(max(next_at - clock(), 0.0))

    def end(self) -> None:
        """Let drive() return; any thread may call this."""
        self._over.set()

    def step(self, on_frame: Callable[[], None]) -> float:
        """Show the world as it is now; return the seconds until the next frame is due.

        Only drive() calls this.
        """
        drive = self._drive
        mode = self.mode
        is_standing = drive.world.car.speed == 0.0
        input_number, hand_input = drive.hands.input
        if self._put_back or drive.world.lost:
            self._put_back = False
            drive.put_back()
            self._rows.begin_episode(drive.clock())
        # let the time pass, unless the world is at rest
        at_rest = mode == "paused" or (mode == "asleep" and is_standing)
        if at_rest:
            drive.rest()
        elif mode == "asleep":
            drive.roll_to_a_stop()
        else:
            drive.go_on(hand_input)
        # at rest, show the same picture again
        if at_rest and drive.jpeg:
            if drive.hands.is_watched:
                self._show(mode, input_number)
                on_frame()
            return _IDLE_SECONDS
        # otherwise show, record and ask the model about a new picture
        image = drive.take_picture()
        self._show(mode, input_number)
        on_frame()
        if mode == "driving":
            self._record(image)
        drive.ask_model()
        return 1 / FRAMES_A_SECOND

    def _record(self, image: Image) -> None:
        """Record a row, if one is due."""
        now = self._drive.clock()
        if self._rows.is_due(now) and self.recorder.on:
            world = self._drive.world
            row = PlayedRow(
                copy.copy(world.car), image, world.tracked.trace_point, self.hands.by, now
            )
            self.recorder.record(row)

    def _show(self, mode: str, input_number: int) -> None:
        """Make the newest frame.

        input_number: number of the page's input that has steered the car
        """
        drive = self._drive
        number = drive.count_frame()
        state = self._state(mode, input_number)
        self._newest = PageFrame(number, drive.jpeg, self.overlay(), state)

    def state(self) -> dict[str, Any]:
        """Return the state of the newest frame."""
        return self._newest.state if self._newest else self._state(self.mode, 0)

    def _state(self, mode: str, input_number: int) -> dict[str, Any]:
        drive = self._drive
        world = drive.world
        car = world.car
        steering_model = None if drive.decision is None else drive.decision.steering
        warnings = [{"text": text, "count": 1, "seconds": None} for text in self._warnings(mode)]
        figures = {
            "frame": self.frames,
            "input": input_number,
            "seconds": world.tracked.seconds,
            "mode": mode,
            "kept": drive.hands.kept,
            "steering_sent": car.steering,
            "steering_model": steering_model,
            "throttle": car.throttle - car.brake,
            "speed_mph": car.speed / MPH,
            "x_m": car.x,
            "z_m": car.z,
            "heading": car.heading,
            "cross_track_m": world.tracked.position.cross_track_m,
            "off_road": world.tracked.position.off_road,
            "laps": world.laps(),
            "real_time_factor": drive.pace.factor,
            "frames_per_second": drive.pace.frames_per_second,
            "warnings": warnings,
        }
        return self.state_with(figures)

    def _warnings(self, mode: str) -> list[str]:
        """Return what the person needs to know now."""
        drive = self._drive
        texts = []
        if mode == "asleep" and self.frames > FRAMES_A_SECOND:
            texts.append("the page that drives is silent: the car rolls to a stop")
        if drive.world.tracked.position.off_road:
            texts.append("off the road")
        if drive.pace.factor < _SLOW_FACTOR:
            texts.append("the world is slower than real time: close other programs")
        if drive.decision is not None and drive.decision.fault:
            advice = "take over" if self.hands.by.driver == MODEL else "you steer"
            texts.append(
                f"the model fails: {drive.decision.fault}; "
                f"its steering fades and it gives no throttle: {advice}"
            )
        if self.recorder.failure:
            texts.append(f"the recording has ended: {self.recorder.failure}")
        return texts
