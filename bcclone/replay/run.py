"""Models, a recording -> how each would have driven: one pass over the frames, however many rides there are."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bcclone.errors import UserError
from bcclone.images import Image, Preprocessing
from bcclone.progress import ProgressBar
from bcclone.recording import find_log
from bcclone.replay.human import Human, read_human
from bcclone.replay.result import ReplayResult, ReplaySettings
from bcclone.replay.rollout import Pose, Ride
from bcclone.replay.views import Seen, Views, read_seen


def steer_blindly(human: Human, settings: ReplaySettings) -> dict[str, ReplayResult]:
    """Return what the human's steering comes to, none at all, and always the human's mean."""
    recorded = np.array(human.steering)
    controls = {"human": recorded, "zero": np.zeros(len(human)), "mean": np.full(len(human), recorded.mean())}
    results = {}
    for name, steering in controls.items():
        rides = {limit: Ride(human, limit) for limit in settings.all_limits_m}
        for ride in rides.values():
            for value in steering.tolist():
                ride.advance(value)
        results[name] = ReplayResult(human, rides, settings.limit_m, steering, len(human))
    return results


Memory = tuple[npt.NDArray[Any], ...]  # what a policy keeps of a drive; () is one that has not begun


class SteersSeveral(Protocol):
    """What steers several drives at once: a Policy."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Return how its images are prepared."""

    def steer(
        self, images: Sequence[Image], memories: Sequence[Memory]
    ) -> tuple[npt.NDArray[np.float32], list[Memory]]:
        """Return the steering of each drive, (drives,), -1 to 1, and what to keep of it.

        images: the newest prepared image of each, uint8 (height, width, 3); memories: what was kept of each before.
        """


def replay(
    policies: Mapping[str, SteersSeveral], recording: Path, settings: ReplaySettings | None = None
) -> dict[str, ReplayResult]:
    """Let policies drive through a recording, its folder or its log; return what each came to, controls beside it.

    Raises UserError for a recording that cannot be used, and a policy that says what is no steering.
    """
    settings = settings or ReplaySettings()
    human = read_human(find_log(str(recording)), settings.part)
    drivers = {name: _Driver(policy, human, settings) for name, policy in policies.items()}
    with ProgressBar("replaying", len(human), "rows") as progress:
        for seen in read_seen(human.images):
            _pass_row(drivers, seen)
            progress.advance(1)
    controls = steer_blindly(human, settings)
    return {name: driver.result(controls) for name, driver in drivers.items()}


def _pass_row(drivers: Mapping[str, "_Driver"], seen: Seen) -> None:
    for name, driver in drivers.items():
        if not driver.pass_row(seen):
            raise UserError(f"{name}: no usable steering; is it trained, and its input whole?")


class _Driver:
    """One policy in all its rides, and looking on from the human's car.

    steering: what it says there, row by row; NaN where there is no frame, and the rides go on as they steered before.
    """

    def __init__(self, policy: SteersSeveral, human: Human, settings: ReplaySettings) -> None:
        self._policy, self._human, self._views = policy, human, Views(policy.preprocessing)
        self._limit_m = settings.limit_m
        self.rides = {limit: Ride(human, limit) for limit in settings.all_limits_m}
        self.steering: list[float] = []
        self._memories: list[Memory] = [()] * (len(self.rides) + 1)
        self._said = [human.steering[0]] * (len(self.rides) + 1)

    def pass_row(self, seen: Seen) -> bool:
        """Drive from one row to the next; return whether the policy said what can be steered."""
        if seen.centre is not None:
            self._look(seen, self._views.prepare(seen.centre))
        *said, on_real_frame = self._said
        self.steering.append(on_real_frame if seen.centre is not None else math.nan)
        if not all(map(math.isfinite, self._said)):
            return False
        for number, (ride, steering) in enumerate(zip(self.rides.values(), said, strict=True)):
            ride.advance(steering)
            if ride.fresh:
                self._memories[number] = ()
        if self._human.ends[len(self.steering) - 1]:
            self._memories[-1] = ()
        return True

    def result(self, controls: Mapping[str, ReplayResult]) -> ReplayResult:
        """Return what has come of it."""
        steering = np.array(self.steering)
        frames = int(np.isfinite(steering).sum())
        return ReplayResult(self._human, self.rides, self._limit_m, steering, frames, controls)

    def _look(self, seen: Seen, centre: Image) -> None:
        """Let each ride, and the one that looks on, see and say; those that have seen the same share one answer."""
        poses = [*(ride.pose for ride in self.rides.values()), Pose()]
        images = {Pose(): centre}
        for pose in poses:
            if pose not in images:
                images[pose] = self._views.view(seen, pose, centre)
        given = [(images[pose], memory) for pose, memory in zip(poses, self._memories, strict=True)]
        keys = [(id(image), *map(id, memory)) for image, memory in given]
        distinct = dict(zip(keys, given, strict=True))
        said, kept = self._policy.steer(*map(list, zip(*distinct.values(), strict=True)))
        answers = dict(zip(distinct, zip(said.tolist(), kept, strict=True), strict=True))
        self._said = [answers[key][0] for key in keys]
        self._memories = [answers[key][1] for key in keys]
