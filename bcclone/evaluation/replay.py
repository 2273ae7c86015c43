"""Models or a drive server, and a recording -> how well each model drives along the recording.

A simulated car drives along the recorded path. A model sees what the camera would have seen from
the car's place, and steers. Where the car deviates by more than a limit, it is set back onto the
path (an intervention). All models drive in one pass over the recording, for all limits at once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bcclone.camera.framing_files import check_framed, framing_of
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import Image, common_remedy, encode_jpeg, read_file, try_frame
from bcclone.camera.vehicle import FULL_LOCK_DEGREES, MPH
from bcclone.dataset.answer import Answer
from bcclone.dataset.preprocessing import PRESETS
from bcclone.evaluation.estimated_drive import read_drive
from bcclone.evaluation.evaluate_settings import ReplaySettings
from bcclone.evaluation.replay_result import Replayed, ReplayResult, replay_controls
from bcclone.evaluation.rollout import RecordedDrive, RelativePose, Rollout, rollouts_of
from bcclone.evaluation.views import RowFrames, Views, read_row
from bcclone.evaluation.worker_model import not_finite
from bcclone.model.policy import Policy, load_one_of_several, load_policy
from bcclone.recording.files import find_log
from bcclone.simulator.unity_client import CarState, UnityClient, connected
from bcclone.simulator.world_settings import ServerSettings
from bcclone.system.errors import UserError, shown_command
from bcclone.system.numbers import Memory
from bcclone.system.pool import read_ahead
from bcclone.system.process import ProgressBar


def replay(
    models: Sequence[Path | str],
    recording: Path | str,
    settings: ReplaySettings | None = None,
    server: ServerSettings | None = None,
) -> Replayed:
    """Score model files on a recording, or without models a drive server; raises UserError.

    models: model files; empty to score a drive server
    recording: folder or log of the recording
    server: the address of the drive server, None to score models
    """
    if models and server:
        raise UserError(
            f"--port {server.port} scores the model of a drive server; "
            "leave out the models or --port"
        )
    if not (models or server):
        raise UserError(
            f"only {recording} is given, expected models and, last, a recording: "
            "bcclone replay MODEL RECORDING; or a recording and the --port of a drive server"
        )
    settings = settings or ReplaySettings()
    log = find_log(str(recording))
    if server:
        return _replay_served(log, settings, server)
    load = load_policy if len(models) == 1 else load_one_of_several
    policies = {str(path): load(Path(path), settings.preprocess) for path in models}
    of_frames = {}
    for name, policy in policies.items():
        check_framed(log, name, policy.framing)
        of_frames[name] = policy.without_framing()  # the recording has frames
    return Replayed(replay_policies(of_frames, log, settings))


def replay_policies(
    policies: Mapping[str, Policy],
    recording: Path,
    settings: ReplaySettings | None = None,
    shows_progress: bool = True,
) -> dict[str, ReplayResult]:
    """Score policies on a recording; return the result of each policy by its name.

    Raises UserError for an unusable recording, and for a policy whose steering is not finite.

    policies: name -> policy
    recording: folder or log of the recording
    shows_progress: True to draw a progress bar on standard error
    """
    settings = settings or ReplaySettings()
    reference = read_drive(find_log(str(recording)), settings.fraction)
    drivers = {
        name: _Driver(name, policy, reference, settings) for name, policy in policies.items()
    }
    readable = 0
    with read_ahead("replaying", "rows", read_row, reference.images, shows_progress) as rows:
        for frames in rows:
            readable += frames.centre is not None
            for driver in drivers.values():
                driver.drive_row(frames)
    if not readable:
        reasons = [try_frame(paths.get("center"))[1] for paths in reference.images]
        remedy = common_remedy(reasons, recording) or "copy its images again"
        # a reason continues the sentence: " is missing" or ": reason"
        raise UserError(
            f"{recording}: no row has a centre image that can be read{reasons[0]}; {remedy}"
        )
    controls = replay_controls(reference, settings)
    results = {}
    for name, driver in drivers.items():
        steering = np.array(driver.steering)
        rows_with_frame = int(np.isfinite(steering).sum())
        results[name] = ReplayResult(
            reference, driver.rollouts, settings.limit_m, steering, rows_with_frame, controls
        )
    return results


class _Driver:
    """A policy that drives one rollout per limit, and also steers on the recording's own frames.

    A rollout is a simulated car's drive along the recorded path. The lists of the present steering
    and of the memories have an entry for each rollout; their last entry is for the recording's own
    frames.
    """

    def __init__(
        self, name: str, policy: Policy, reference: RecordedDrive, settings: ReplaySettings
    ) -> None:
        self._name = name
        self._policy = policy
        self._reference = reference
        self._views = Views(policy.preprocessing, reference.in_heights, reference.pitch_rad)
        self.rollouts = rollouts_of(reference, settings.all_limits_m)
        # the steering on the recording's own frames, row by row; NaN for a row without a frame, at
        # which the cars of the rollouts keep their last steering
        self.steering: list[float] = []
        drives = len(self.rollouts) + 1
        self._memories: list[Memory] = [()] * drives
        self._steering_now = [reference.steering[0]] * drives

    def drive_row(self, frames: RowFrames) -> None:
        """Steer all cars by the frames of a row, and drive them to the next row.

        Raises UserError if a steering is not finite.
        """
        if frames.centre is None:
            self.steering.append(math.nan)
        else:
            self._steer(frames, self._views.prepare(frames.centre))
            self.steering.append(self._steering_now[-1])
        if not all(map(math.isfinite, self._steering_now)):
            raise not_finite(self._name, f"at row {len(self.steering)}")

        # a car that was set back jumped: the frames before do not belong to its drive. The last
        # memory belongs to the recorded car, which jumps only at the end of an episode
        for index, rollout in enumerate(self.rollouts.values()):
            rollout.advance(self._steering_now[index])
            if rollout.fresh:
                self._memories[index] = ()
        if self._reference.ends[len(self.steering) - 1]:
            self._memories[-1] = ()

    def _steer(self, frames: RowFrames, centre: Image) -> None:
        """Ask the policy for the steering of all rollouts and of the recording's own frame.

        Cars that see the same image with the same memory share an answer, which saves time: cars
        of different limits drive the same way until the first one is set back.

        centre: the network's input from the recording's own centre frame
        """
        poses = [rollout.pose for rollout in self.rollouts.values()]
        poses.append(RelativePose())
        images = {RelativePose(): centre}
        for pose in poses:
            if pose not in images:
                images[pose] = self._views.view(frames, pose, centre)

        answers: dict[tuple[int, ...], tuple[Answer, Memory]] = {}
        memories_after = list(self._memories)
        for index, (pose, memory) in enumerate(zip(poses, self._memories, strict=True)):
            image = images[pose]
            # compared by identity: shared answers give the cars the same memory objects
            key = (id(image), *map(id, memory))
            if key not in answers:
                answers[key] = self._policy.next_answer(image, memory)
            answer, memories_after[index] = answers[key]
            self._steering_now[index] = answer.steering
        self._memories = memories_after


def _replay_served(log: Path, settings: ReplaySettings, server: ServerSettings) -> Replayed:
    """Let a drive server drive through a recording, over the simulator's protocol.

    A server drives one car, so the interventions are counted for one limit only: settings.limit_m.
    Raises UserError, also for a recording whose frames the server would take for pictures of the
    model's camera, and cut and stretch a second time.
    """
    framing = framing_of(log)
    if framing and framing.has_shape_of_frames and framing.cuts:
        raise UserError(
            f"{log.parent}: its frames were made as {framing.describe()}, and a drive server would "
            "do the same again, because they have the shape of these pictures; "
            f"score the model itself: {shown_command('replay', 'MODEL', log)}"
        )
    reference = read_drive(log, settings.fraction)
    with (
        connected(server.host, server.port, server.wait) as connection,
        ProgressBar("replaying", len(reference), "rows") as progress,
    ):
        world = RolloutWorld(reference, replace(settings, limits_m=()), progress.advance)
        # one loop: each row needs the answer to the row before
        report = UnityClient(connection, world, server.decimal_comma, loops=1).drive()
    return Replayed({f"{server.host}:{server.port}": world.result()}, report)


class RolloutWorld:
    """A car that a drive server steers through a recording.

    It sends the server what the car's centre camera would have seen. The car has the recorded
    speed. Where the speed is estimated in camera heights, it becomes metres as if the camera were
    as high as the simulator's. An answer takes effect from the row of its frame to the next row.

    on_row: called with 1, the number of rows done, for each row
    """

    def __init__(
        self,
        reference: RecordedDrive,
        settings: ReplaySettings,
        on_row: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self.rollout = Rollout(reference, settings.limit_m)
        self.frames = 0  # frames sent so far
        self._reference = reference
        self._settings = settings
        self._on_row = on_row
        frame = PRESETS["carnd-160x320-rgb"]
        self._views = Views(frame, reference.in_heights, reference.pitch_rad)
        self._steering = self._reference.steering[0]
        self._answers = np.full(len(reference), np.nan)

    def observe(self) -> CarState | None:
        """Drive to the next row that has a frame; return the car's state, None after the last."""
        if self.frames and not self.rollout.ended:
            self.rollout.advance(self._steering)
        while not self.rollout.ended:
            row = self.rollout.row
            self._on_row(1)
            jpeg = self._jpeg(row)
            if jpeg is not None:
                self.frames += 1
                return self._state(row, jpeg)
            self.rollout.advance(self._steering)
        return None

    def _state(self, row: int, jpeg: bytes) -> CarState:
        reference = self._reference
        unit_m = HEIGHT_M if reference.in_heights else 1.0
        speed_mph = reference.speed[row] / MPH * unit_m
        degrees = self._steering * FULL_LOCK_DEGREES
        return CarState(degrees, reference.throttle[row], speed_mph, jpeg)

    def steer(self, steering: float, throttle: float) -> None:
        """Set the steering, -1 to 1, until the next call; the throttle has no effect."""
        self._steering = steering
        if self.frames and not self.rollout.ended:
            self._answers[self.rollout.row] = steering

    def result(self) -> ReplayResult:
        """Return the result.

        The server does not see the recording's own frames once the car has left the path, so its
        steering on these frames is unknown. Without speeds the car never leaves the path; then the
        server saw exactly these frames, and the result has its answers.
        """
        reference = self._reference
        limit_m = self.rollout.limit_m
        controls = replay_controls(reference, self._settings)
        if not reference.distance_m:
            return ReplayResult(reference, {}, limit_m, self._answers, self.frames, controls)
        unknown = np.full(len(reference), np.nan)
        return ReplayResult(
            reference, {limit_m: self.rollout}, limit_m, unknown, self.frames, controls
        )

    def _jpeg(self, row: int) -> bytes | None:
        """Return the view from the car at a row as a JPEG; None without a centre frame."""
        frames = read_row(self._reference.images[row])
        if frames.centre is None:
            return None
        if self.rollout.pose == RelativePose():
            return read_file(self._reference.images[row]["center"])
        return encode_jpeg(self._views.view(frames, self.rollout.pose, frames.centre))
